"""A standard error that may be closed while a command works."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class TolerantStream:
    """A text stream that drops what can no longer be written.

    ``hrdis train ... 2>&1 | head -1`` closes the pipe after one line; the next line of progress or
    the next warning would otherwise end hours of work.
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text if somebody can still read it; return its length in any case."""
        with suppress(OSError, ValueError):  # a closed pipe, a full disk, a closed file
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream if somebody can still read it."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def tolerant_stderr() -> Iterator[None]:
    """Let nothing that is written to stderr fail; progress, warnings and messages go there."""
    before = sys.stderr
    if before is not None:  # None under pythonw, where print writes nothing anyway
        sys.stderr = TolerantStream(before)
    try:
        yield
    finally:
        sys.stderr = before
