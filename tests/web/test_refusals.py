"""What a visitor sends costs one line of the log, whatever it is, and no answer is a fault."""

import json
import socket
import time
from urllib.parse import urlparse

import pytest

pytest.importorskip("gradio")
from .conftest import api_values
from .test_guard import ask

pytestmark = pytest.mark.timeout(120)
JSON = {"Content-Type": "application/json"}


def asked(picture, client, **other):
    """Return what a restoration is refused with."""
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError) as error:
        client.predict(**api_values(picture, **other), api_name="/restore")
    return str(error.value)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"noise": "loud"}, "What was sent does not fit its field."),
        ({"samples": 10**6}, "Value 1000000 is greater than maximum value 8."),
        ({"solver": "none"}, "is not in the list of choices"),
    ],
    ids=["kind", "bounds", "choice"],
)
def test_value_that_no_field_takes_is_one_line_of_the_log(other, said, picture, client, capfd):
    """gradio prints a traceback of each, which would let a visitor fill the log."""
    assert said in asked(picture, client, **other)
    log = capfd.readouterr().err
    assert "Traceback" not in log
    assert len([line for line in log.splitlines() if "was refused" in line]) == 1


def test_file_that_was_not_sent_is_refused_in_one_line(served, capfd):
    there = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    data = [there, "sr2", "white", None, None, None, 0, 1, 0, "hrdis", {}, "default", "", "normal"]
    path = "/gradio_api/call/restore"
    _, said = ask(served, "POST", path, json.dumps({"data": data}), JSON)
    _, events = ask(served, "GET", f"{path}/{json.loads(said)['event_id']}")
    assert "event: error" in events and "A file is named that was not sent" in events
    log = capfd.readouterr().err
    assert "Traceback" not in log and len(log.splitlines()) == 1


def test_refusal_is_one_short_line_whatever_was_sent(picture, client, capfd):
    assert len(asked(picture, client, solver="\x1b[2J\n" * 500)) < 600
    log = capfd.readouterr().err
    assert "\x1b" not in log and "Traceback" not in log and len(log.splitlines()) == 1


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b'{"data": [NaN]}', b'{"data": [1e999]}'])
@pytest.mark.parametrize("kind", [JSON, {"Content-Type": "text/plain"}], ids=["json", "text"])
def test_body_that_is_no_json_is_refused(body, kind, served):
    """gradio quotes it in an answer that it then cannot write: status 500."""
    status, said = ask(served, "POST", "/gradio_api/call/restore", body, kind)
    assert status == 400 and "expected" in json.loads(said)["detail"]


def test_visitor_who_leaves_while_sending_leaves_no_traceback(served, capfd):
    port = urlparse(served.address).port
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head)
    time.sleep(0.5)
    assert ask(served, "GET", "/config")[0] == 200
    assert "Traceback" not in capfd.readouterr().err
