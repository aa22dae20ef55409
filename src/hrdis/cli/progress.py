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

#: Seconds: a step on a large picture takes minutes, and two are needed to tell the time left.
LONG = 3600

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


class Folder:
    """The bar of the pictures of a folder, under which each picture has its own."""

    def __init__(self, progress: Progress, task: TaskID):
        self.progress, self._task = progress, task

    def part(self, now: str) -> None:
        """Say what is done with the present picture."""
        self.progress.update(self._task, part=now)


#: The bar of pictures that is shown; a terminal has room for one display.
_folder: Folder | None = None


@contextmanager
def pictures(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar of the pictures of a folder.

    Yields:
        a function to call when a picture has ended.
    """
    global _folder
    with Signs(*_bar_columns(), speed_estimate_period=LONG) as progress:
        task = progress.add_task("pictures", total=total, part="")
        _folder = Folder(progress, task)
        try:
            yield lambda: progress.update(task, advance=1, part="")
        finally:
            _folder = None


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Show a turning sign and the time so far on a terminal while something is done; in a folder,
    what is done beside its bar.

    Yields:
        a function that says what is done from now on.
    """
    if _folder is not None:
        _folder.part(what)
        yield _folder.part
        _folder.part("")
        return
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
    """Show a bar of ``total`` steps, under that of the folder if there is one."""
    if _folder is not None:
        progress = _folder.progress
        task = progress.add_task(what, total=total, part="")
        try:
            yield Bar(progress, task)
        finally:
            progress.remove_task(task)
        return
    with Signs(*_bar_columns(), speed_estimate_period=LONG) as progress:
        yield Bar(progress, progress.add_task(what, total=total, part=""))


def _bar_columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[part]}", markup=False), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip


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
