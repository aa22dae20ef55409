"""Files that are written whole, locked, hashed and read."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hrdis import files


def test_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "old")

    def broken(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError) as caught:
        files.write_atomically(path, broken)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old" and os.listdir(path.parent) == ["a.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_threads_leave_the_umask_alone(tmp_path):
    """Setting it to read it is seen by all threads: a file of another one would be open to all."""
    old = os.umask(0o077)
    try:
        threads = []
        for k in range(4):
            threads.append(threading.Thread(target=_write_many, args=(tmp_path / str(k),)))
            threads[-1].start()
        seen = set()
        while any(thread.is_alive() for thread in threads):
            probe = tmp_path / "probe"
            probe.touch()
            seen.add(probe.stat().st_mode & 0o777)
            probe.unlink()
        assert seen == {0o600}
        modes = {path.stat().st_mode & 0o777 for path in tmp_path.glob("*/*")}
        assert modes == {0o600}
    finally:
        assert os.umask(old) == 0o077


def _write_many(folder: Path) -> None:
    for k in range(100):
        files.write_text(folder / str(k), "x")


def test_bytes_are_on_the_disk_before_their_name_and_the_name_after(tmp_path, monkeypatch):
    calls = []
    real = os.replace

    def replaced(*names):
        calls.append("replace")
        real(*names)

    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("fsync"))
    monkeypatch.setattr(os, "replace", replaced)
    (tmp_path / "part").write_text("whole")
    files.replace(tmp_path / "part", tmp_path / "file")
    assert calls == ["fsync", "replace", "fsync"]
    calls.clear()
    files.write_json(tmp_path / "a.json", {"a": 1})
    assert calls == ["fsync", "replace", "fsync"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def test_lock_is_waited_for_until_its_process_ends(tmp_path):
    code = f"""
import time
from hrdis.files import lock
with lock(__import__("pathlib").Path({str(tmp_path / "lock")!r})):
    print("held", flush=True)
    time.sleep(1.0)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    try:
        assert files.try_lock(descriptor) is False
    finally:
        os.close(descriptor)
    start = time.monotonic()
    with files.lock(tmp_path / "lock"):
        waited = time.monotonic() - start
    child.wait()
    assert waited > 0.5  # of the second that the child holds it


def test_file_system_without_locks_holds_nobody_up(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with files.lock(tmp_path / "lock"):
        pass
    with (tmp_path / "lock").open() as file:
        assert files.try_lock(file.fileno()) is None


def test_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 10**6)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 10**6).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[" * 10**6, "cannot be read \\(maximum recursion depth"),
        (b"[1]", "holds a list. A JSON object is expected"),
        (b" " * (files.MOST_JSON + 1), "cannot be read \\(it has 16777217 bytes"),
    ],
    ids=["empty", "no text", "nested", "list", "large"],
)
def test_json_that_is_no_object_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        files.read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_missing_json_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"a\.json does not exist\. It is written by X\.$"):
        files.read_json(tmp_path / "a.json", "It is written by X.")
