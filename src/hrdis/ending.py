"""Signals that ask a command to end, for whoever would take one for an error of its own.

Compiled code turns what a signal's handler raises into an error of its own. The reader of weights
then says that a file is damaged. A loop that notes the errors of its items and goes on has to ask
here first.
"""

import signal

#: The signals that have arrived since the command began; written by `hrdis.cli.signals`.
arrived: list[int] = []


class Terminated(KeyboardInterrupt):
    """The end of a command by a signal other than Ctrl-C, raised where Ctrl-C would be.

    Args:
        number: the signal.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def interrupt(number: int) -> KeyboardInterrupt:
    """Return what ends a command on a signal."""
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


def raise_if_asked(error: BaseException | None = None) -> None:
    """Raise if a signal has asked the command to end.

    Args:
        error: what was raised instead.

    Raises:
        KeyboardInterrupt: `Terminated` for a signal other than Ctrl-C.
    """
    if arrived:
        raise interrupt(arrived[-1]) from error
