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

    Compiled code may turn what a handler raises into an error of its own. The reader of weights
    then says that they are damaged, so that an error after a signal counts as the signal, unless it
    is one of the system.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return

    arrived: list[int] = []

    def end(number: int, _: object) -> None:
        arrived.append(number)
        raise interrupt(number)

    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is None:
            continue
        handler = signal.getsignal(number)
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = handler
            signal.signal(number, end)
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if arrived:
            raise interrupt(arrived[-1]) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(number: int) -> KeyboardInterrupt:
    """Return what ends a command on a signal."""
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
