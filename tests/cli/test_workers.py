"""``--workers`` and ``--engine``: the same results from several processes, none lost with one."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from hrdis.cli.workers import LOST, Ended, Workers, work_off
from hrdis.images import Errand
from tests.cli.test_cli import prior as prior
from tests.cli.test_cli import run
from tests.cli.test_restore_folder import NAMES
from tests.cli.test_restore_folder import album as album

DATE = 1_500_000_000  # a day in 2017
SLOW = pytest.mark.slow  # each takes a few seconds, mostly to import torch


def restore(album: Path, out: Path, prior: str, *more: str) -> int:
    words = ("--task", "upscale", "--scale", "2", "--solver", "ddnm", "--steps", "2")
    return run("restore", album, "-o", out, *words, "--model", prior, *more)


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in NAMES]


def test_several_workers_give_the_results_of_one(album: Path, prior: str, tmp_path: Path) -> None:
    assert restore(album, tmp_path / "one", prior) == 0
    assert restore(album, tmp_path / "two", prior, "--workers", "2") == 0
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert restore(album, tmp_path / "two", prior) == 0  # what they did counts as finished


def test_pictures_are_fixed_by_several_workers(
    album: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = album / NAMES[1]
    broken.write_bytes(b"no picture")
    assert run("fix", album, "-o", tmp_path / "out", "--workers", "2") == 1
    said = capfd.readouterr().err
    assert "2 done, 0 finished before, 1 failed" in said and str(broken) in said
    assert run("fix", album, "-o", tmp_path / "out") == 1
    assert "0 done, 2 finished before, 1 failed" in capfd.readouterr().err


def test_results_have_the_dates_of_the_pictures(album: Path, prior: str, tmp_path: Path) -> None:
    for k, name in enumerate(NAMES):
        os.utime(album / name, (DATE + k, DATE + k))
    assert restore(album, tmp_path / "out", prior) == 0
    assert run("fix", album, "-o", tmp_path / "mended") == 0
    for k, name in enumerate(NAMES):
        for folder in ("out", "mended"):
            assert (tmp_path / folder / name).stat().st_mtime == DATE + k


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("restore", "a.png", "--task", "upscale", "-o", "o.png", "--workers", "2"), "--workers"),
        (("restore", "a.png", "--task", "upscale", "-o", "o.png", "--engine", "ray"), "--engine"),
        (("fix", "a.png", "--address", "auto"), "one picture is worked on in this process"),
        (("fix", ".", "--dry-run", "--workers", "2"), "looks at one picture after the other"),
        (("fix", ".", "--engine", "local", "--address", "auto"), "takes no --address"),
        (("fix", ".", "--workers", "0"), "--workers"),
    ],
)
def test_options_without_use_are_refused(
    words: tuple[str, ...], says: str, album: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(album)
    assert run(*words) == 2
    said = capfd.readouterr().err
    assert says in said and len(said.splitlines()) == 1
    assert not (album / "o.png").exists()


# ---- processes that die --------------------------------------------------------------------------


@dataclass(frozen=True)
class Toy:
    """Work that writes a file for each number, and dies at some; slow, if asked."""

    folder: Path
    deadly: tuple[int, ...] = ()
    seconds: float = 0.0

    def __call__(self, k: int) -> Ended:
        with (self.folder / f"{k}.begun").open("a") as file:
            file.write(f"{os.getpid()}\n")
        if k in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        (self.folder / f"{k}.done").touch()
        return Ended("done", f"number {k}")


def toys(count: int) -> list[Errand]:
    return [Errand(Path(f"in{k}"), Path(f"out{k}")) for k in range(count)]


@SLOW
def test_death_of_a_process_costs_its_own_picture_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert work_off("toy", Toy(tmp_path, deadly=(1,)), toys(5), Workers(workers=2)) == 1
    assert {path.stem for path in tmp_path.glob("*.done")} == {"0", "2", "3", "4"}
    assert len((tmp_path / "1.begun").read_text().split()) == 2  # tried again, alone
    said = capfd.readouterr().err
    assert said.count(LOST) == 1 and "4 done, 0 finished before, 1 failed" in said


SCRIPT = """
import sys
from pathlib import Path
from hrdis.cli.signals import ended_by_signals
from hrdis.cli.workers import Workers, work_off
from tests.cli.test_workers import Toy, toys
if __name__ == "__main__":
    with ended_by_signals():
        work_off("toy", Toy(Path(sys.argv[1]), seconds=300), toys(4), Workers(workers=2))
"""


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=SLOW),
        pytest.param(signal.SIGKILL, marks=SLOW),
    ],
)
def test_processes_end_with_the_command(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], env=env, stderr=subprocess.DEVNULL
    ) as command:
        deadline = time.monotonic() + 120
        while len(begun := list(tmp_path.glob("*.begun"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        workers = [int(path.read_text()) for path in begun]
        assert len(workers) == 2
        command.send_signal(number)
        command.wait(30)
        assert command.returncode != 0
        while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    """True if a process runs; what has ended but was not fetched does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@SLOW
def test_cluster_does_what_processes_do(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    work = Toy(tmp_path)
    assert work_off("toy", work, toys(3), Workers(workers=2, engine="ray")) == 0
    assert {path.stem for path in tmp_path.glob("*.done")} == {"0", "1", "2"}
