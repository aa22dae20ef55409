"""A closed stderr ends no command."""

import io
import sys

import pytest
from rich.console import Console

from hrdis.cli.streams import tolerant_stderr


class ClosedPipe(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")

    def flush(self):
        raise BrokenPipeError(32, "Broken pipe")


def test_messages_and_bars_go_on_when_nobody_reads_them(monkeypatch):
    monkeypatch.setattr(sys, "stderr", ClosedPipe())
    with tolerant_stderr():
        print("a message", file=sys.stderr)
        Console(stderr=True).print("a line of rich, which would exit")
        sys.stderr.flush()


def test_what_can_be_written_is_written(capsys):
    with tolerant_stderr():
        print("seen", file=sys.stderr)
    assert capsys.readouterr().err == "seen\n"


def test_stderr_is_as_before_afterwards(monkeypatch):
    closed = ClosedPipe()
    monkeypatch.setattr(sys, "stderr", closed)
    with pytest.raises(RuntimeError), tolerant_stderr():
        raise RuntimeError
    assert sys.stderr is closed
