"""Signals that end a command, so that SIGTERM and a closed terminal do what Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(KeyboardInterrupt):
    """The end of a command by a signal other than Ctrl-C, raised where Ctrl-C would be.

    Args:
        number: the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, which batch systems send before they kill, and on SIGHUP.

    By default they end a process at once, and files half written stay under hidden names. A signal
    that is ignored, as SIGHUP is under nohup, stays so, and so does one that has a handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return

    def end(number: int, _: object) -> None:
        raise Terminated(number)

    taken = []
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
