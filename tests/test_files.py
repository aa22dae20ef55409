"""Files that are written whole, locked, hashed and read."""

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
import time
import types
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


# ---- other systems ------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_private_file_stays_private_when_it_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o600)
    seen = []

    def write(file):
        seen.append(os.fstat(file.fileno()).st_mode & 0o777)
        file.write(b"new")

    files.write_atomically(path, write)
    # from the first byte on: the file beside it is private, too
    assert seen == [0o600] and path.stat().st_mode & 0o777 == 0o600


def test_longest_name_of_a_file_can_be_written(tmp_path):
    """The file beside it has a longer name, which is shortened, not in the middle of a letter."""
    for name in ("x" * 255, "ä" * 127 + "x"):
        files.write_text(tmp_path / name, "content")
        assert (tmp_path / name).read_text() == "content"
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_folder_that_cannot_be_flushed_is_no_hindrance(tmp_path, monkeypatch, code):
    """So it is on some network file systems; a disk that fails (EIO) is told of."""
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, "no")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_text(tmp_path / "a", "content")
    assert (tmp_path / "a").read_text() == "content"
    code = errno.EIO
    with pytest.raises(OSError):
        files.write_text(tmp_path / "a", "content")


def test_folder_that_cannot_be_opened_is_no_hindrance(tmp_path, monkeypatch):
    """Windows opens no folders."""
    real = os.open

    def opened(path, *args, **options):
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", opened)
    files.write_text(tmp_path / "a", "content")


def test_system_without_file_locks_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with files.lock(tmp_path / "lock"), (tmp_path / "lock").open() as file:
        assert files.try_lock(file.fileno()) is None


@pytest.mark.parametrize(
    ("code", "got"), [(errno.EACCES, False), (errno.EDEADLK, False), (errno.EINVAL, None)]
)
def test_locks_of_windows_are_told_from_none(tmp_path, monkeypatch, code, got):
    """Its locks are taken byte by byte, and reported by other errors than POSIX's."""

    def locking(*_):
        raise OSError(code, "no")

    windows = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr(sys, "platform", "win32")
    with (tmp_path / "lock").open("w") as file:
        assert files.try_lock(file.fileno()) is got
        assert files.try_lock(file.fileno(), shared=True) is None
        windows.locking = lambda *_: None
        assert files.try_lock(file.fileno()) is True
