"""Faults injected into commands: signals at random moments, disks that are full, folders that
cannot be written, no home, nobody who reads. A command ends in one line and with its status;
nothing hidden stays, and no file is half there.

Each row runs in this process, so that no start is waited for.
"""

import errno
import io
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from hrdis import cli, ending, files, images
from hrdis.bench.run import Store
from hrdis.cli import progress
from hrdis.cli.signals import Terminated, ended_by_signals
from hrdis.fixing import many
from hrdis.rng import stream
from tests.cli.test_cli import FAST, photo, photographs, prior, run  # noqa: F401

posix = pytest.mark.skipif(os.name != "posix", reason="signals and links are POSIX's")

PLAN = """
tasks: [sr4]
solvers: [{solver: ddrm, settings: {steps: 2}}]
images: {folder: photos}
size: 16
"""
TRAIN = (
    "--steps 4 --pixels 512 --patches 8 --channels 8 16 --blocks 1 --middle 1 --procedural-pool 2 "
    "--device cpu --threads 1 --log-every 1 --checkpoint-minutes 0.0001"
)
TUNE = "--solvers ddrm --tasks sr4 --noise 0 --calls 2 --size 16 --limit 1"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the commands read."""
    monkeypatch.chdir(tmp_path)
    photo(Path("in.png"), size=(16, 16))
    photo(Path("large.png"), size=(64, 64))
    photographs(Path("photos"), 3)
    Path("plan.yaml").write_text(PLAN)
    return tmp_path


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as at a terminal: a shell starts what runs in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def words(command: str, prior: str) -> list[str]:  # noqa: F811
    """The words of a small run of a command, which writes to out.*"""
    rows = {
        "restore": f"restore in.png -o out.png --task sr2 --prior {prior} --samples 2",
        "degrade": "degrade large.png -o out.png --task inpaint-scratches",
        "fix": f"fix large.png -o out.png --noise 5 --only noise --model {prior}",
        "bench": f"bench plan.yaml -o out --prior {prior}",
        "train": f"train photos -o out {TRAIN}",
        "tune": f"tune {prior} photos -o out.toml {TUNE}",
    }
    return [*rows[command].split(), *(FAST if command == "restore" else [])]


#: A training takes seconds: tests/training and test_train.py have the same faults in less.
COMMANDS = (
    "restore", "degrade", "fix", "bench", "tune", pytest.param("train", marks=pytest.mark.slow),
)  # fmt: skip
every_command = pytest.mark.parametrize("command", COMMANDS)


# ---- what is left when a command ends -----------------------------------------------------------


def whole(path: Path) -> None:
    """Raise unless a file is one that its kind of reader takes."""
    if path.suffix in (".png", ".jpg"):
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".safetensors":
        with safe_open(path, "pt") as opened:
            assert list(opened.keys())


def left_behind(place: Path) -> list[str]:
    """Check that every file is whole; return what is hidden and half written."""
    hidden = []
    for path in place.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            whole(path)
        elif path.name.startswith(".") and path.name not in (".lock", ".cache"):
            hidden.append(path.name)
    return hidden


def is_done(command: str, place: Path) -> bool:
    """Return True if what the command writes is there and says so."""
    if command == "bench":
        folder = place / "out"
        return (folder / "config.json").is_file() and len(Store.open(folder).finished()) == 3
    if command == "train":
        return (place / "out" / "MODEL_CARD.md").is_file()
    if command == "tune":
        return (place / "out.toml").is_file()
    record = place / ("out.png.json" if command == "fix" else "out.json")
    return record.is_file() and "unfinished" not in json.loads(record.read_text())


# ---- signals at random moments ------------------------------------------------------------------


def run_until(number: int, moment: float, command: list[str]) -> int:
    """Run a command that a signal meets so many seconds after its start; return its status."""

    def meet(*_: object) -> None:
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # not before, nor after it
            signal.raise_signal(number)

    before = signal.signal(signal.SIGALRM, meet)
    try:
        signal.setitimer(signal.ITIMER_REAL, moment)
        return cli.main(command)
    except KeyboardInterrupt as error:  # in the last instant, when the command had ended
        return 128 + getattr(error, "number", signal.SIGINT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def meet_at_random(command: str, prior: str, place: Path, count: int) -> None:  # noqa: F811
    warm = words(command, prior)
    started = time.monotonic()
    assert cli.main(warm) == 0
    lasts = time.monotonic() - started
    assert left_behind(place) == []
    draw = stream(0, "signals", command)
    for k in range(count):
        for path in place.glob("out*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        number = (signal.SIGTERM, signal.SIGINT)[k % 2]
        status = run_until(number, lasts * float(draw.uniform(0.02, 0.98)), warm)
        # A signal inside torch's no_grad itself leaves gradients off. Its process would be over.
        torch.set_grad_enabled(True)
        assert status in (0, 128 + number)
        assert left_behind(place) == []
        # what is there and says so is done; what says nothing is done by the same command
        assert status != 0 or is_done(command, place)
        assert cli.main(warm) == 0 and is_done(command, place)


@posix
@every_command
def test_signals_at_random_moments_leave_nothing_half_done(
    command: str,
    prior: str,  # noqa: F811
    place: Path,
) -> None:
    meet_at_random(command, prior, place, 1 if command == "tune" else 2)


@posix
@pytest.mark.slow
@every_command
def test_signals_at_many_moments_leave_nothing_half_done(
    command: str,
    prior: str,  # noqa: F811
    place: Path,
) -> None:
    meet_at_random(command, prior, place, 40)


@posix
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_signal_that_compiled_code_makes_an_error_of_is_a_signal(
    number: int, status: int, place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """As safetensors does: an interrupt while it reads becomes "could not determine the shape"."""

    def swallows(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise ValueError("could not determine the shape") from None

    monkeypatch.setattr(images, "read", swallows)
    assert cli.main(words("degrade", "")) == status
    assert "half written" in capsys.readouterr().err


@posix
@pytest.mark.parametrize("command", ["fix", "bench"])
def test_signal_that_became_an_error_is_no_failure_of_one_picture(
    command: str, prior: str, place: Path, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> None:  # fmt: skip
    """A loop that notes failures and goes on would ignore Ctrl-C, and keep a row of it."""
    asked = 0

    def swallows(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("could not determine the shape") from None

    if command == "fix":
        warm = f"fix photos -o out --noise 5 --only noise --model {prior}".split()
        monkeypatch.setattr(many, "is_done", swallows)
    else:
        warm = words("bench", prior)
        monkeypatch.setattr("hrdis.bench.plan.restore_unit.solve", swallows)
    assert cli.main(warm) == 130 and asked == 1
    if command == "bench":
        assert Store.open(place / "out").rows() == []


@posix
def test_signal_that_arrives_when_a_command_is_over_leaves_no_handler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next command of a process would not know of its own signals."""
    before, put_back = signal.getsignal(signal.SIGTERM), signal.signal

    def meets(number: int, handler: object) -> object:
        if number == signal.SIGINT:  # the first that is put back
            signal.raise_signal(signal.SIGTERM)
        return put_back(number, handler)  # type: ignore[arg-type]

    with ended_by_signals():
        monkeypatch.setattr(signal, "signal", meets)
    assert signal.getsignal(signal.SIGTERM) is before and ending.arrived == []


@posix
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (getattr(signal, "SIGHUP", 0), 129)]
)
def test_signal_gives_its_status_and_one_line(
    number: int, status: int, place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        pytest.skip("whoever started the tests has this signal ignored (nohup), and so it stays")
    monkeypatch.setattr(images, "write", lambda *_: signal.raise_signal(number))
    assert cli.main(words("degrade", "")) == status
    assert capsys.readouterr().err == (
        "hrdis degrade: ended by a signal; nothing was left half written.\n"
    )
    assert signal.getsignal(number) is before


@posix
def test_signal_that_is_ignored_or_handled_stays_so() -> None:
    """Under nohup a closed terminal ends nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(Terminated):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_command_in_a_thread_leaves_signals_alone(place: Path) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(cli.main(words("degrade", ""))))
    thread.start()
    thread.join()
    assert found == [0]


# ---- full disks ---------------------------------------------------------------------------------


@pytest.fixture
def full_from(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], list[str]]]:
    """Let the disk be full from the n-th file on; yields a function of n, which returns the
    names that were refused.
    """
    real = files.write_atomically

    def fill(first: int) -> list[str]:
        refused: list[str] = []
        seen = [0]

        def write(path: Path, write_to: Callable[..., object], **options: str) -> None:
            seen[0] += 1

            def partly(file: io.BufferedWriter) -> None:
                if seen[0] < first:
                    write_to(file)
                    return
                file.write(b"half")
                refused.append(Path(path).name)
                raise OSError(errno.ENOSPC, "No space left on device")

            real(path, partly, **options)

        for name, module in list(sys.modules.items()):
            if name.startswith("hrdis") and getattr(module, "write_atomically", None):
                monkeypatch.setattr(module, "write_atomically", write)
        return refused

    yield fill


@every_command
def test_disk_that_is_full_is_one_line_and_leaves_nothing_half_written(
    command: str, prior: str, place: Path, full_from: Callable[[int], list[str]],  # noqa: F811
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """From the first file on, and from the third."""
    for first in (1, 3):
        monkeypatch.setattr("tempfile.tempdir", str(place / "tmp"))
        (place / "tmp").mkdir(exist_ok=True)
        refused = full_from(first)
        status = cli.main(words(command, prior))
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hrdis ")]
        if refused:
            assert status == 1 and len(said) >= 1 and "No space left on device" in said[-1]
            assert not is_done(command, place)
        else:  # so few files
            assert status == 0
        assert left_behind(place) == []
        monkeypatch.undo()
        monkeypatch.chdir(place)
    assert cli.main(words(command, prior)) == 0 and is_done(command, place)


# ---- folders that cannot be written -------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that root cannot write either")
@every_command
def test_folder_that_cannot_be_written_is_refused_before_any_work(
    command: str,
    prior: str,  # noqa: F811
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = sorted(place.rglob("*"))
    into = words(command, prior)
    where = into.index("-o") + 1
    into[where] = f"/proc/hrdis/{into[where]}"
    assert cli.main(into) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "/proc/hrdis" in said[0]
    assert sorted(place.rglob("*")) == there


# ---- no home ------------------------------------------------------------------------------------


@every_command
def test_user_without_a_home_can_run_everything(
    command: str,
    prior: str,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container may run under a user id that has no name and no home."""

    def nowhere(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("HOME", "HRDIS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert cli.main(words(command, prior)) == 0 and is_done(command, place)


# ---- nobody reads -------------------------------------------------------------------------------


class ClosedAfterOneLine(io.StringIO):
    """Standard error as in ``hrdis ... 2>&1 | head -1``."""

    lines = 0

    def write(self, text: str) -> int:
        if self.lines:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.lines += text.count("\n")
        return super().write(text)


@every_command
def test_closed_stderr_ends_no_command(
    command: str,
    prior: str,  # noqa: F811
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", ClosedAfterOneLine())
    assert cli.main(words(command, prior)) == 0 and is_done(command, place)


# ---- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "there is not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried ..."), "there is not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), "not enough memory"),
        (RuntimeError("CUDA error: an illegal memory access"), "the GPU failed"),
    ],
    ids=["memory", "gpu", "allocator", "sticky"],
)
def test_trouble_of_the_machine_is_one_line(
    error: Exception, said: str, place: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(images, "write", fails)
    assert cli.main(words("degrade", "")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_error_of_the_program_is_not_hidden(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(images, "write", fails)
    with pytest.raises(RuntimeError, match="shapes differ"):
        cli.main(words("degrade", ""))


def test_progress_goes_where_stderr_is_now() -> None:
    """A console that kept the stream it was made with would not see that it is closed."""
    assert progress.console._file is None and progress.console.stderr
