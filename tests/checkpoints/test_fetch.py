"""Fetching a prior: whatever goes wrong on the way, one message, and nothing in the cache that
could be loaded.
"""

import contextlib
import errno
import hashlib
import re
import shutil
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hrdis.checkpoints import FetchError, cards, download, fetch_prior
from hrdis.rng import stream

BODY = stream(0, "fetch").bytes(300_000)
SHA = hashlib.sha256(BODY).hexdigest()
OTHER = "0" * 64


class Server(ThreadingHTTPServer):
    """A loopback server whose manners a test chooses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.kind, self.status = BODY, '"v1"', "application/octet-stream", 200
        self.ranges, self.breaks, self.claims, self.move = True, [], None, ""
        self.obeys_if_range, self.tells_version_of_parts, self.endless = True, True, False
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights.pt"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        s = self.server
        if s.move and self.path != s.move:
            self.send_response(302)
            self.send_header("Location", s.move)
            self.end_headers()
            return
        s.asked.append(self.headers.get("Range"))
        start = 0
        if (
            s.ranges
            and (asked := self.headers.get("Range"))
            and (not s.obeys_if_range or self.headers.get("If-Range") in (None, s.etag))
        ):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(s.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(s.body)}")
                self.end_headers()
                return
        self.send_response(s.status if s.status != 200 else 206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(s.body) - 1}/{len(s.body)}")
        self.send_header("Content-Type", s.kind)
        if not s.endless:
            self.send_header("Content-Length", str(s.claims or len(s.body) - start))
        if s.etag and (not start or s.tells_version_of_parts):
            self.send_header("ETag", s.etag)
        self.end_headers()
        if s.endless:
            with contextlib.suppress(ConnectionError):
                for _ in range(400):  # 120 MB: more than any test here may take
                    self.wfile.write(s.body)
            self.close_connection = True
            return
        stop = s.breaks.pop(0) if s.breaks else len(s.body)
        self.wfile.write(s.body[start : max(stop, start)])
        self.close_connection = True


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HRDIS_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HRDIS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PATIENCE", 5.0)
    return tmp_path / "cache"


@pytest.fixture
def server():
    made = Server()
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def card(server: Server, sha256: str | None = SHA, size: int | None = None) -> cards.Card:
    file = cards.File(name="weights.pt", url=server.url, sha256=sha256, bytes=size)
    return cards.Card(name="mine", scheme="diffusers", files=(file,), load="weights.pt")


def place(cache: Path) -> Path:
    return cache / "priors" / "mine" / "weights.pt"


def refused(made: cards.Card, cache: Path, message: str) -> str:
    """The message of a get that fails and leaves nothing that could be loaded."""
    with pytest.raises(FetchError, match=message) as caught:
        fetch_prior(made, pause=0.0)
    assert not place(cache).exists()
    assert {p.name for p in place(cache).parent.iterdir()} <= {
        ".lock",
        ".weights.pt.part",
        ".weights.pt.part.version",
    }
    assert "\n" not in str(caught.value)
    return str(caught.value)


def left(cache: Path) -> set[str]:
    return {p.name for p in place(cache).parent.iterdir()} - {".lock"}


def test_file_is_fetched_checked_and_alone_in_its_place(server, cache):
    told = []
    said = fetch_prior(card(server), lambda *words: told.append(words), pause=0.0)
    assert place(cache).read_bytes() == BODY and left(cache) == {"weights.pt"}
    assert SHA in said[0] and "as published" in said[0]
    assert told[-1] == ("weights.pt", len(BODY), len(BODY))
    assert fetch_prior(card(server)) == [] and len(server.asked) == 1, "nothing is fetched twice"


def test_another_hash_is_refused_with_both(server, cache):
    message = refused(card(server, OTHER), cache, "is not the file of the prior 'mine'")
    assert SHA in message and OTHER in message and left(cache) == set()


def test_transfer_that_breaks_is_taken_up_where_it_stopped(server, cache):
    server.breaks = [100_000, 200_000]
    fetch_prior(card(server), pause=0.0)
    assert place(cache).read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-", "bytes=200000-"]


def test_server_without_ranges_starts_anew(server, cache):
    server.ranges, server.breaks = False, [100_000]
    fetch_prior(card(server), pause=0.0)
    assert place(cache).read_bytes() == BODY


def test_file_that_changed_meanwhile_is_fetched_anew(server, cache):
    """Half of the old file and half of the new one would be neither: If-Range makes the server send
    all of it.
    """
    server.breaks = [100_000] + [0] * 20
    refused(card(server, None), cache, "could not be fetched")
    assert ".weights.pt.part" in left(cache)
    server.body, server.etag, server.breaks = BODY[::-1], '"v2"', []
    fetch_prior(card(server, None), pause=0.0)
    assert place(cache).read_bytes() == BODY[::-1]


def test_part_of_a_file_without_a_version_is_not_continued(server, cache):
    server.etag, server.breaks = "", [100_000]
    fetch_prior(card(server), pause=0.0)
    assert server.asked == [None, None] and place(cache).read_bytes() == BODY


@pytest.mark.parametrize("ranges", [True, False])
def test_transfer_that_never_gets_further_ends(server, cache, ranges):
    server.ranges, server.breaks = ranges, [100_000, 50_000, 100_000, 50_000] * 5
    message = refused(card(server), cache, "100000 of 300000 bytes came|50000 of 300000 bytes came")
    assert "hrdis model download mine" in message and len(server.asked) == 1 + download.RETRIES


def test_length_that_is_too_large_ends(server, cache):
    server.claims, server.ranges = len(BODY) + 1000, False
    refused(card(server), cache, "300000 of 301000 bytes came")


def test_length_that_is_too_small_gives_another_hash(server, cache):
    server.claims = 1000
    refused(card(server), cache, "is not the file")
    assert left(cache) == set()


def test_size_of_another_file_is_refused_before_it_is_fetched(server, cache):
    refused(card(server, size=5), cache, "has 300000 bytes, but the file of the prior 'mine' has 5")
    assert left(cache) == set()


@pytest.mark.parametrize("status", [404, 403])
def test_missing_file_is_said_at_once(server, cache, status):
    server.status = status
    refused(card(server), cache, f"the server says {status} .*By hand: fetch {server.url}")
    assert len(server.asked) == 1


def test_server_in_trouble_is_asked_again(server, cache):
    server.status = 503
    refused(card(server), cache, "the server says 503")
    assert len(server.asked) == download.RETRIES


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_is_no_file(server, cache, kind):
    server.body, server.kind = b"\n<!DOCTYPE html><html>confirm</html>", kind
    refused(
        card(server, None),
        cache,
        "a web page instead of the file, .*hrdis model add NAME diffusers:PATH",
    )
    assert left(cache) == set() and cards.pins(card(server)) == {}


def test_redirect_is_followed_and_keeps_the_range(server, cache):
    server.move, server.breaks = "/elsewhere", [100_000]
    fetch_prior(card(server), pause=0.0)
    assert server.asked == [None, "bytes=100000-"] and place(cache).read_bytes() == BODY


def test_empty_answer_is_no_file(server, cache):
    server.body = b""
    refused(card(server, None), cache, "0 of some bytes came")


def test_full_disk_leaves_nothing(server, cache, monkeypatch):
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, piece):
            self.file.write(piece[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name):
            return getattr(self.file, name)

    def opened(path, mode="r", *a, **k):
        return (
            Full(real(path, mode, *a, **k))
            if path.suffix == ".part" and mode == "ab"
            else real(path, mode, *a, **k)
        )

    monkeypatch.setattr(Path, "open", opened)
    refused(card(server), cache, "is full. Free 0 MB, or use another disk: HRDIS_HOME=")
    assert left(cache) == set()


def test_disk_with_too_little_room_is_said_before(server, cache, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000)
    )
    refused(card(server), cache, r"has 0 MB left, 67 MB are expected")
    assert left(cache) == set()


def test_no_network_is_said_in_plain_words(cache, server):
    made = card(server)
    server.shutdown()
    server.server_close()
    message = refused(made, cache, "cannot be reached")
    assert f"put it at {place(cache)}" in message


def test_offline_mode_asks_nobody(server, cache, monkeypatch):
    monkeypatch.setenv("HRDIS_OFFLINE", "1")
    refused(card(server), cache, "HRDIS_OFFLINE is set")
    assert server.asked == []


def test_file_put_there_by_hand_is_checked(server, cache):
    place(cache).parent.mkdir(parents=True)
    place(cache).write_bytes(BODY)
    assert fetch_prior(card(server)) == [] and server.asked == []
    place(cache).write_bytes(BODY[:-1])
    with pytest.raises(ValueError, match=f"{SHA} is expected"):
        fetch_prior(card(server))


def test_file_without_a_published_hash_is_pinned(server, cache):
    assert "pinned" in fetch_prior(card(server, None))[0]
    assert cards.pins(card(server))["weights.pt"] == {"sha256": SHA, "date": cards.today()}
    place(cache).unlink()
    server.body = BODY[::-1]
    assert SHA in refused(card(server, None), cache, "is not the file of the prior")


def test_processes_that_fetch_at_once_fetch_once(server, cache):
    threads = [threading.Thread(target=fetch_prior, args=(card(server),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert place(cache).read_bytes() == BODY and len(server.asked) == 1


@pytest.mark.parametrize(
    ("start", "address"),
    [
        ("https://h/w.pt", "http://h/w.pt"),
        ("https://h/w.pt", "ftp://h/w.pt"),
        ("http://h/w.pt", "file:///etc/passwd"),
    ],
)
def test_encryption_is_not_given_up_on_the_way(start, address):
    """Anybody on the way could swap a file whose hash nobody knows; the last address may be https
    again.
    """
    request, headers = urllib.request.Request(start), {"Location": address}
    with pytest.raises(FetchError, match=f"leads to {address}, which is not encrypted"):
        download._SafeRedirects().redirect_request(request, None, 302, "Found", headers, address)


def test_addresses_on_the_way_are_checked(server, cache):
    server.move = "ftp://127.0.0.1/weights.pt"
    refused(card(server), cache, "leads to ftp://127.0.0.1/weights.pt")


@pytest.mark.parametrize("url", ["ftp://h/weights.pt", "file:///etc/passwd"])
def test_address_that_is_not_of_the_web_is_refused(cache, url):
    file = cards.File(name="weights.pt", url=url)
    made = cards.Card(name="mine", scheme="diffusers", files=(file,), load="weights.pt")
    refused(made, cache, "is not one of the web")


# ---- one version of a file, and no more of it than there may be ---------------------------------


def test_part_is_not_continued_by_a_cache_that_ignores_if_range(server, cache):
    """Its answer names the new version; without a published hash the join would be pinned."""
    server.breaks = [100_000] + [0] * 20
    refused(card(server, None), cache, "could not be fetched")
    server.obeys_if_range, server.body, server.etag, server.breaks = False, BODY[::-1], '"v2"', []
    fetch_prior(card(server, None), pause=0.0)
    assert place(cache).read_bytes() == BODY[::-1]


@pytest.mark.parametrize("hashed", [True, False])
def test_partial_response_without_a_version_needs_a_hash(server, cache, hashed):
    """RFC 9110 lets a 206 to an If-Range leave the Last-Modified date out."""
    server.breaks, server.tells_version_of_parts = [100_000], False
    fetch_prior(card(server, SHA if hashed else None), pause=0.0)
    assert place(cache).read_bytes() == BODY
    assert server.asked == [None, "bytes=100000-", *([] if hashed else [None])]


def test_part_is_continued_from_what_is_certainly_on_the_disk(server, cache):
    """After a power cut a part may be longer than what was written, and end in zeros."""
    server.breaks = [100_000] + [0] * 20
    refused(card(server, None), cache, "could not be fetched")
    with place(cache).with_name(".weights.pt.part").open("ab") as part:
        part.write(bytes(50_000))
    server.breaks, server.asked = [], []
    fetch_prior(card(server, None), pause=0.0)
    assert place(cache).read_bytes() == BODY and server.asked == ["bytes=100000-"]


def test_endless_response_stops_at_the_size_of_the_card(server, cache):
    server.endless = True
    refused(card(server, None, size=len(BODY)), cache, "brings more than the 300000 bytes that are")
    assert left(cache) == set()


def test_endless_response_leaves_room_on_the_disk(server, cache, monkeypatch):
    room = download.ROOM + 20 * download.PIECE

    def usage(folder):
        used = sum(path.stat().st_size for path in Path(folder).iterdir())
        return shutil._ntuple_diskusage(room, used, room - used)

    server.endless = True
    monkeypatch.setattr(shutil, "disk_usage", usage)
    refused(card(server, None), cache, "is full. Free some of it.")
    assert left(cache) == set()


def test_file_in_a_subfolder_has_a_folder(server, cache):
    file = cards.File(name="unet/weights.pt", url=server.url, sha256=SHA)
    fetch_prior(cards.Card(name="mine", scheme="diffusers", files=(file,)), pause=0.0)
    assert (cache / "priors" / "mine" / "unet" / "weights.pt").read_bytes() == BODY


@pytest.mark.parametrize("name", [".lock", "unet/.x.part", "../x", "/x", ""])
def test_name_that_is_not_a_file_of_the_prior_is_refused(name):
    with pytest.raises(ValueError, match="is no path inside a folder"):
        cards.File(name=name)
