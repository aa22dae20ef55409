"""The page fetches nothing, answers only under its own names, and takes no more than its quota."""

import asyncio
import http.client
import json
import socket
from urllib.parse import urlparse

import pytest

pytest.importorskip("gradio")
from hrdis.web.guard import LARGEST_BODY, Guard

ELSEWHERE = "elsewhere.example"
FILE = {"path": f"https://{ELSEWHERE}/a.png", "meta": {"_type": "gradio.FileData"}}


def ask(served, method, path, body=None, headers=None):
    """Return status and body of a request with exactly these headers."""
    address = urlparse(served.address)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def resolved(monkeypatch):
    """The names that anything in this process tries to resolve."""
    names = []
    real = socket.getaddrinfo

    def noted(host, *others, **more):
        names.append(host)
        return real(host if host == "127.0.0.1" else "127.0.0.1", *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    return names


# ---- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        f"/gradio_api/file=https://{ELSEWHERE}/a.png",
        f"/gradio_api/file=http://{ELSEWHERE}/a.png",
        f"/gradio_api/file=https%3A%2F%2F{ELSEWHERE}/a.png",
        f"/gradio_api/file/https://{ELSEWHERE}/a.png",
        f"/gradio_api/file=ftp://{ELSEWHERE}/a.png",
        f"/gradio_api/proxy=https://{ELSEWHERE}/a.png",
    ],
)
def test_an_address_in_a_path_is_not_fetched(method, path, served, resolved):
    assert ask(served, method, path)[0] == 403
    assert ELSEWHERE not in resolved


@pytest.mark.parametrize("path", ["queue/join", "run/restore", "api/restore", "call/restore"])
@pytest.mark.parametrize(
    "data",
    [
        [FILE],
        [{"layers": [FILE], "background": None, "composite": None}],
        [{"path": f"HTTP://{ELSEWHERE}/a.png"}],
    ],
)
def test_an_address_in_a_body_is_not_fetched(path, data, served, resolved):
    body = json.dumps({"data": data, "fn_index": 0, "session_hash": "abc"})
    headers = {"content-type": "application/json"}
    status, said = ask(served, "POST", f"/gradio_api/{path}", body, headers)
    assert status == 403 and "Download the picture and send its file" in json.loads(said)["detail"]
    assert ELSEWHERE not in resolved


def test_a_body_that_calls_itself_something_else_is_looked_at_as_well(served, resolved):
    body = json.dumps({"data": [FILE], "fn_index": 0, "session_hash": "abc"})
    for kind in ("text/plain", "application/x-json"):
        answer = ask(served, "POST", "/gradio_api/queue/join", body, {"content-type": kind})
        assert answer[0] == 403
    assert ELSEWHERE not in resolved


def test_a_deeply_nested_body_is_an_error_of_its_sender(served):
    body = "[" * 200_000 + "]" * 200_000
    headers = {"content-type": "application/json"}
    assert ask(served, "POST", "/gradio_api/queue/join", body, headers)[0] >= 400
    assert ask(served, "GET", "/")[0] == 200  # the page goes on


def test_a_body_that_is_no_upload_is_bounded(served):
    body = b" " * (LARGEST_BODY + 1)
    headers = {"content-type": "application/json"}
    assert ask(served, "POST", "/gradio_api/queue/join", body, headers)[0] == 413


# ---- senders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [ELSEWHERE, f"{ELSEWHERE}:7860", "", "127.0.0.1.evil.example"])
def test_a_local_page_answers_under_no_other_name(host, served):
    """A web site may give itself the address 127.0.0.1 and read the page as its own."""
    status, said = ask(served, "GET", "/config", headers={"host": host})
    assert status == 403 and "--name" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:7860"])
def test_a_local_page_answers_under_its_names(host, served):
    assert ask(served, "GET", "/config", headers={"host": host})[0] == 200


def post_upload(served, origin):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        b"12345\r\n--x--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    if origin is not None:
        headers["origin"] = origin
    return ask(served, "POST", "/gradio_api/upload", body, headers)


@pytest.mark.parametrize("origin", [f"https://{ELSEWHERE}", "null", "http://192.168.1.1"])
def test_other_web_sites_cannot_send_files(origin, served):
    assert post_upload(served, origin)[0] == 403


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:7860", "http://localhost"])
def test_the_page_itself_and_programs_can_send_files(origin, served):
    assert post_upload(served, origin)[0] == 200


# ---- the middleware by itself -------------------------------------------------------------------


class FullFolder:
    """A folder that holds so many bytes, some of which are old."""

    def __init__(self, held, old=0):
        self.held, self.old = held, old

    def size(self):
        return self.held

    def sweep(self):
        self.held -= self.old


def drive(guard, chunks, path="/gradio_api/upload", headers=()):
    """Send an upload in chunks; return the status and how many bytes reached the application."""
    messages = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    given = [(b"content-type", b"multipart/form-data; boundary=x"), *headers]
    scope = {"type": "http", "method": "POST", "path": path, "headers": given}
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"]


def taking(bodies):
    """An application that reads the whole body and answers 200."""

    async def app(scope, receive, send):
        while True:
            message = await receive()
            bodies.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.mark.parametrize(
    ("held", "sent", "status"), [(0, 1000, 200), (0, 1001, 413), (600, 500, 413), (2000, 1, 413)]
)
def test_uploads_end_at_the_quota_whatever_length_they_declare(held, sent, status):
    bodies = []
    guard = Guard(taking(bodies), FullFolder(held), quota=1000)
    assert drive(guard, [b"x"] * sent) == status
    assert sum(map(len, bodies)) <= max(0, 1000 - held)


def test_old_files_make_room_for_new_ones():
    guard = Guard(taking([]), FullFolder(1000, old=900), quota=1000)
    assert drive(guard, [b"x" * 500]) == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        (b"photos.example", b"https://photos.example", 200),
        (b"127.0.0.1:7860", b"https://photos.example", 200),  # a proxy that sets its own Host
        (b"photos.example", b"https://elsewhere.example", 403),
        (b"elsewhere.example", None, 403),
    ],
)
def test_names_of_a_proxy_are_allowed(host, origin, status):
    hosts = {"photos.example", "127.0.0.1"}
    guard = Guard(taking([]), FullFolder(0), hosts=hosts)
    headers = [(b"host", host)]
    if origin is not None:
        headers.append((b"origin", origin))
    assert drive(guard, [b"x"], headers=headers) == status
