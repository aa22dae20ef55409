"""Signs of progress for a person, on stderr: a bar with the time left, and short lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line."""
    console.print(text, markup=False)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a turning sign on a terminal while something is read or loaded."""
    with console.status(what):
        yield


@contextmanager
def bar(total: int, what: str = "network calls") -> Iterator[Callable[[], None]]:
    """Show a bar of ``total`` steps; yield the function that advances it by one."""
    columns = (
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    # a step on a large picture takes minutes: over rich's 30 s there would never be two to tell the
    # speed from
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        speed_estimate_period=3600,
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


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
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        tasks = {}

        def report(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield report
