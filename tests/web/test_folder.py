"""Files of visitors are for nobody else, and do not stay: not after an end, a kill or a day."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrdis import images

pytest.importorskip("gradio")
from hrdis.web.folder import PREFIX, VisitorFolder

from .conftest import api_values, free_port

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.name != "posix", reason="folders are locked by flock"),
]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The system's temporary folder, and no page of this process."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(VisitorFolder, "_open", None)
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    return tmp_path


def pages(folder):
    return list(folder.glob(f"{PREFIX}*"))


def make_old(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_folder_is_for_its_owner_alone_and_gone_at_the_end(temporary):
    folder = VisitorFolder.shared()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert os.environ["GRADIO_TEMP_DIR"] == str(folder.uploads)
    (folder.uploads / "secret.png").write_bytes(b"x")
    folder.close()
    assert not pages(temporary) and "GRADIO_TEMP_DIR" not in os.environ


def test_two_pages_of_a_process_share_it_until_the_last_one_ends(temporary):
    first, second = VisitorFolder.shared(), VisitorFolder.shared()
    assert first is second
    first.close()
    assert second.path.is_dir()
    second.close()
    assert not pages(temporary)


def test_folder_of_a_page_that_was_killed_is_removed_by_the_next(temporary):
    left = temporary / f"{PREFIX}killed"
    (left / "gradio").mkdir(parents=True)
    (left / "gradio" / "secret.png").write_bytes(b"x")
    VisitorFolder.shared().close()
    assert not left.exists()


def test_folder_of_a_page_that_is_served_is_left_alone(temporary):
    served = VisitorFolder()
    VisitorFolder.shared().close()
    assert served.path.is_dir()
    served.close()


def test_links_and_strangers_are_left_alone(temporary, monkeypatch):
    precious = temporary / "precious"
    precious.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(precious)
    strange = temporary / f"{PREFIX}strange"
    strange.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: strange.stat().st_uid + 1)
    VisitorFolder.shared().close()
    assert precious.is_dir() and strange.is_dir()


def test_what_is_older_than_a_day_is_removed_with_its_folder(temporary):
    folder = VisitorFolder.shared()
    for name, age in (("old", 25 * 3600), ("new", 23 * 3600)):
        (folder.uploads / name).mkdir()
        (folder.uploads / name / "a.png").write_bytes(b"x")
        make_old(folder.uploads / name / "a.png", age)
        make_old(folder.uploads / name, age)
    folder.sweep()
    assert [path.name for path in folder.uploads.rglob("*.png")] == ["a.png"]
    make_old(folder.uploads / "old", 3600)  # it was changed just now
    folder.sweep()
    assert [path.name for path in folder.uploads.iterdir()] == ["new"]
    folder.close()


def test_parts_of_uploads_that_were_broken_off_go_after_some_minutes(temporary):
    folder = VisitorFolder.shared()
    for name, age in (("tmpold", 3600), ("tmpnew", 60)):
        (folder.uploads / name).write_bytes(b"half")
        make_old(folder.uploads / name, age)
    folder.sweep()
    assert [path.name for path in folder.uploads.iterdir()] == ["tmpnew"]
    folder.close()


def test_many_small_files_count_against_the_quota(temporary):
    """Otherwise they would fill the file system with names."""
    folder = VisitorFolder.shared()
    for k in range(50):
        (folder.uploads / str(k)).write_bytes(b"x")
    assert folder.size() >= 50 * 4096
    folder.close()


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path):
    """Start ``hrdis serve`` with a temporary folder of its own; return the process and port."""
    started = []
    (tmp_path / "tmp").mkdir()

    def start_one():
        port = free_port()
        words = [sys.executable, "-m", "hrdis", "serve", "--port", str(port)]
        environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
        environment.pop("GRADIO_TEMP_DIR", None)
        process = subprocess.Popen(
            words, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=default_signals
        )
        started.append(process)
        assert f":{port}. Ctrl-C ends it." in process.stderr.readline()
        return process, port

    yield start_one
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def default_signals():
    """A shell may have told its jobs to ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def visit(port, picture):
    """Restore a picture, begin to restore another, and break off an upload."""
    from gradio_client import Client

    client = Client(f"http://127.0.0.1:{port}", verbose=False)
    client.predict(**api_values(picture), api_name="/restore")
    client.submit(**api_values(picture, settings={"steps": 90}), api_name="/restore")
    half = socket.create_connection(("127.0.0.1", port))
    half.sendall(
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: "
        b'form-data; name="files"; filename="a.png"\r\n\r\n' + bytes(50_000)
    )
    time.sleep(0.5)
    half.close()


@pytest.mark.slow
@pytest.mark.timeout(300)  # three processes that import torch and gradio
def test_nothing_of_a_visitor_is_left_after_a_kill_and_after_sigterm(start, picture, tmp_path):
    killed, port = start()
    visit(port, picture)
    killed.kill()
    killed.wait()
    (left,) = pages(tmp_path / "tmp")

    ended, port = start()
    assert not left.exists()
    visit(port, picture)
    (served,) = pages(tmp_path / "tmp")
    assert stat.S_IMODE(served.stat().st_mode) == 0o700
    assert any(path.suffix == ".png" for path in served.rglob("*"))
    ended.send_signal(signal.SIGTERM)
    assert ended.wait(60) == 128 + signal.SIGTERM
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]


def test_runs_leave_no_files_but_those_to_download(tmp_path, picture):
    """Pictures of a run in progress are no files; gradio copies what can be downloaded."""
    from hrdis.web.events import restorer
    from hrdis.web.jobs import JobRunner

    runner = JobRunner("cpu")
    runner.folder = tmp_path / "jobs"
    runner.folder.mkdir()
    restore = restorer(runner)
    values = (str(picture), "sr2", "white", None, None, None, 0, 1, 0, "hrdis", {"steps": 1})
    before = set(Path(tmp_path).rglob("*"))
    for _ in range(20):
        for _ in restore(*values, "default", ""):
            pass
    assert set(Path(tmp_path).rglob("*")) == before
    assert images.read(picture)
