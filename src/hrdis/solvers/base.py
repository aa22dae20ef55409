"""What a solver is: frozen settings, the times it visits, and one generator."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

import pydantic.dataclasses
from torch import Tensor

from ..operators.base import Operator
from ..operators.problem import Problem
from ..priors.base import Prior
from ..rng import ImageRNG, Replay
from ..schedule import Schedule

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with keyword-only fields, bounds checked, unknown names refused.

    Raises (on construction):
        ValueError: naming every field that is out of bounds or unknown, and what was expected.
    """
    config = pydantic.ConfigDict(extra="forbid")
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    checked = made.__init__

    @wraps(checked)
    def __init__(self: T, *args: object, **values: object) -> None:
        try:
            checked(self, *args, **values)
        except pydantic.ValidationError as error:
            raise ValueError(_explain(cls.__name__, error, [f.name for f in fields(made)])) from None

    made.__init__ = __init__
    return cast("type[T]", made)


def _explain(name: str, error: pydantic.ValidationError, known: list[str]) -> str:
    """One sentence per field that was refused."""
    lines = []
    for e in error.errors():
        where = str(e["loc"][0]) if e["loc"] else "settings"
        if e["type"] == "unexpected_keyword_argument":
            near = difflib.get_close_matches(where, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            lines.append(f"{name} has no setting {where!r}. Valid names: {', '.join(known)}.{hint}")
        else:
            expected = e["msg"][0].lower() + e["msg"][1:]
            lines.append(f"{name}: {where} is {e['input']!r}, but {expected}.")
    return " ".join(dict.fromkeys(lines))


@dataclass(frozen=True)
class Step:
    """What an observer sees of one iteration.

    Args:
        t: the network time just visited.
        x: the answer so far, (b, c, h, w), detached.
        info: numbers per image, each (b,), left on the device.
    """

    t: int
    x: Tensor
    info: Mapping[str, Tensor] = field(default_factory=dict)


Run = Generator[Step, None, Tensor]


class Solver(ABC):
    """Settings of one algorithm; the problem, the prior and the noise come with `run`.

    Leaves are frozen dataclasses (``@final @settings``). ``run`` is decorated with ``torch.no_grad`` (torch
    re-enters it on every resume), opens ``torch.enable_grad`` only around a derivative, never yields inside it,
    and draws from ``rng`` only what it multiplies by something other than zero.
    """

    requires: ClassVar[type[Operator]] = Operator  # type: ignore[type-abstract]
    noiseless: ClassVar[bool] = False  # whether it can explain noiseless measurements only
    summary: ClassVar[str] = ""
    cost: ClassVar[str] = ""
    reference: ClassVar[str] = ""

    @abstractmethod
    def times(self, schedule: Schedule) -> list[int]:
        """The `for` line of the algorithm: network times in order of visit, ending in -1."""

    @abstractmethod
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        """Yield a `Step` per network time and return the images."""
