"""Signals that end a command, so that SIGTERM and a closed terminal do what Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hrdis import ending
from hrdis.ending import Terminated as Terminated


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

    ending.arrived.clear()
    over = False

    def end(number: int, _: object) -> None:
        if not over:  # what is being cleaned up then must not be left half done
            ending.arrived.append(number)
            raise ending.interrupt(number)

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
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            ending.raise_if_asked(error)
            raise
        finally:
            over = True
    finally:  # also if a signal came between the end and the note of it
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.arrived.clear()
