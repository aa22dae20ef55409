"""Signs of progress for a person, on stderr: a bar with the time left, and short lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line."""
    console.print(text, markup=False)


class Signs(Progress):
    """A display of progress on a terminal; nothing at all elsewhere.

    Args:
        columns: what it shows.
        transient: nothing of it stays on the terminal.
        speed_estimate_period: seconds of which the speed is the mean.
    """

    def __init__(
        self,
        *columns: ProgressColumn,
        transient: bool = True,
        speed_estimate_period: float = 30.0,
    ):
        super().__init__(
            *columns,
            console=console,
            transient=transient,
            disable=not console.is_terminal,
            speed_estimate_period=speed_estimate_period,
        )

    def stop(self) -> None:
        """End it. Older versions of rich end one that shows nothing with an empty line."""
        if not self.disable:
            super().stop()


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Show a turning sign and the time so far on a terminal while something is done.

    Yields:
        a function that says what is done from now on.
    """
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Signs(*columns) as progress:
        task = progress.add_task(what)
        yield lambda now: progress.update(task, description=now)


class Bar:
    """Bar of steps, each of which may go through the tiles of a large picture."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task

    def advance(self) -> None:
        """One step more is done."""
        self._progress.update(self._task, advance=1, part="")

    def tiles(self, done: int, total: int) -> None:
        """Say how many tiles of a network call are done."""
        self._progress.update(self._task, part=f"tile {done} of {total}")


@contextmanager
def bar(total: int, what: str = "network calls") -> Iterator[Bar]:
    """Show a bar of ``total`` steps."""
    columns = (
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[part]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    # a step on a large picture takes minutes: over rich's 30 s there would never be two to tell the
    # speed from
    with Signs(*columns, speed_estimate_period=3600) as progress:
        yield Bar(progress, progress.add_task(what, total=total, part=""))


@contextmanager
def byte_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar for every file that is fetched.

    Yields:
        a function of (name, bytes here, bytes in all) that advances the bar of that file.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Signs(*columns) as progress:
        tasks = {}

        def report(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield report
