"""Rows of one method on one task, and which of several seeds is looked at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal

from .records import variant_of
from .rows import Row

#: How several seeds of one picture become one result: the mean of their scores; the one of highest
#: PSNR, which has seen the truth; the one that explains y best.
Selection = Literal["each", "oracle", "residual"]

#: Tasks of which the best of several seeds is reported (`tasks.md` of the paper: "the best results
#: under four seeds").
BEST_OF = ("phase",)


@dataclass(frozen=True)
class Variant:
    """One method on one task: the rows that differ in picture and seed only.

    Args:
        id: `Cell.variant`.
        rows: of every status.
    """

    id: str
    rows: tuple[Row, ...]

    @property
    def cell(self) -> Mapping[str, Any]:
        """The cell of one of the rows, for what they share."""
        return self.rows[0]["cell"]

    @cached_property
    def finished(self) -> tuple[Row, ...]:
        """The rows that succeeded."""
        return tuple(row for row in self.rows if row["status"] == "ok")

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The pictures it was tried on, sorted, by their hashes."""
        return tuple(sorted({row["cell"]["image_sha256"] for row in self.rows}))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds it was tried with."""
        return tuple(sorted({row["cell"]["seed"] for row in self.rows}))

    @property
    def failed(self) -> int:
        """How many cells failed or ran out of time."""
        return len(self.rows) - len(self.finished)

    @property
    def selections(self) -> tuple[Selection, ...]:
        """What is reported of its seeds, the first one as the paper does."""
        several = self.cell["task"] in BEST_OF and len(self.seeds) > 1
        return ("oracle", "residual", "each") if several else ("each",)

    @cached_property
    def by_image(self) -> dict[str, list[Row]]:
        """Finished rows of each picture, in order of seed."""
        found: dict[str, list[Row]] = {}
        for row in sorted(
            self.finished, key=lambda r: (r["cell"]["image_sha256"], r["cell"]["seed"])
        ):
            found.setdefault(row["cell"]["image_sha256"], []).append(row)
        return found

    def selected(self, how: Selection) -> dict[str, list[Row]]:
        """The rows that count for each picture: all seeds, or the one that is chosen for every
        metric alike.
        """
        if how == "each":
            return self.by_image
        name, sign = ("psnr", -1) if how == "oracle" else ("residual", 1)
        chosen = {}
        for image, rows in self.by_image.items():
            known = [row for row in rows if row.get(name) is not None]
            if known:
                chosen[image] = [min(known, key=lambda r: (sign * r[name], r["cell"]["seed"]))]
        return chosen


def shared(members: Sequence[Variant]) -> list[Variant]:
    """The same methods, with only those pictures that all of them have finished: what may be
    compared.
    """
    common = set.intersection(*(set(member.by_image) for member in members)) if members else set()
    kept = [
        tuple(row for row in member.rows if row["cell"]["image_sha256"] in common)
        for member in members
    ]
    return [Variant(member.id, rows) for member, rows in zip(members, kept, strict=True) if rows]


def variants(rows: Iterable[Row]) -> list[Variant]:
    """Sort rows into variants, in the order of their first rows."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.get("variant") or variant_of(row["cell"]), []).append(row)
    return [Variant(id, tuple(sorted(members, key=_order))) for id, members in found.items()]


def _order(row: Row) -> tuple[Any, ...]:
    cell = row["cell"]
    return cell.get("index", 0), cell["image_sha256"], cell["seed"], row["key"]


def digest(keys: Iterable[str]) -> str:
    """A name for a set of results: scores of a set hold for it and for no other."""
    return sha256(" ".join(sorted(keys)).encode()).hexdigest()[:12]
