"""Shards: the division of a plan's units among runs that do not know of each other."""

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Protocol, TypeVar

#: (i, n): the i-th of n parts, counted from 0.
Shard = tuple[int, int]


class Named(Protocol):
    """A unit, of which a shard knows the name alone."""

    @property
    def key(self) -> str:
        """Name of the unit."""
        ...


AnyUnit = TypeVar("AnyUnit", bound=Named)


def read_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """Read ``i/n``; without it, what launchers put into the environment; None for everything.

    Raises:
        ValueError: unless 0 <= i < n.
    """
    name = "--shard"
    if text is None and environment.get("WORLD_SIZE", "1") != "1":
        text = f"{environment.get('RANK', '')}/{environment['WORLD_SIZE']}"
        name = "RANK/WORLD_SIZE of the environment"
    if text is None:
        return None
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        last = f"{int(n) - 1}/{n}" if n.isdecimal() and int(n) else "3/4"
        raise ValueError(
            f"{name} is {text!r}. Parts count from 0: i/n with i < n is expected, the last is "
            f"{last}."
        )
    return None if int(n) == 1 else (int(i), int(n))


def units_of_shard(units: Sequence[AnyUnit], shard: Shard | None) -> list[AnyUnit]:
    """Return the units of a shard, in their order."""
    return [unit for unit in units if is_in_shard(unit, shard)]


def is_in_shard(unit: Named, shard: Shard | None) -> bool:
    """Return True if the unit belongs to the shard.

    Its name alone decides, so that no run has to ask another.
    """
    if shard is None:
        return True
    i, n = shard
    return int.from_bytes(sha256(unit.key.encode()).digest()[:8], "big") % n == i
