"""Words for what a repair does, while it does it."""

from collections.abc import Callable


class Stages:
    """Teller of what is being done, and of which tile."""

    def __init__(self, tell: Callable[[str], object]):
        self._tell, self._stage = tell, ""

    def begin(self, stage: str) -> None:
        """Say that something is begun."""
        self._stage = stage
        self._tell(stage)

    def tiles(self, done: int, total: int) -> None:
        """Say how many tiles of a network call are done."""
        self._tell(f"{self._stage}, tile {done} of {total}")
