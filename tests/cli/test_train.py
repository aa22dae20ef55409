"""``hrdis train`` goes on where nobody reads what it says."""

import io
import sys
from pathlib import Path

import pytest

from hrdis.cli import train as command
from hrdis.training import state as states
from tests.cli.test_cli import photographs, run

FLAGS = (
    "--steps 4 --pixels 512 --patches 8 --channels 8 16 --blocks 1 --middle 1 --procedural-pool 2 "
    "--device cpu --threads 1 --log-every 1 --checkpoint-minutes 0.001"
)


class ClosedAfterOneLine(io.StringIO):
    """Standard error as in ``hrdis train ... 2>&1 | head -1``."""

    lines = 0

    def write(self, text: str) -> int:
        if self.lines:
            raise BrokenPipeError(32, "Broken pipe")
        self.lines += text.count("\n")
        return super().write(text)


def test_a_closed_stderr_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photographs(tmp_path / "photos")
    (folder / "broken.jpg").write_bytes(b"no picture")  # of which a warning tells
    closed = ClosedAfterOneLine()
    monkeypatch.setattr(sys, "stderr", closed)
    assert run("train", folder, "-o", tmp_path / "out", *FLAGS.split()) == 0
    stored = states.read(tmp_path / "out")
    assert stored is not None and stored.step == 4
    assert closed.lines  # something was said before nobody read it


def test_training_that_diverged_is_a_failed_run_and_no_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverged(*_: object) -> None:
        raise RuntimeError("The loss became nan at step 7.")

    monkeypatch.setattr(command, "train", diverged)
    assert run("train", photographs(tmp_path / "photos"), "-o", tmp_path / "out") == 1
    assert "The loss became nan at step 7." in capsys.readouterr().err
