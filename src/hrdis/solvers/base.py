"""What a solver is: frozen settings, the times it visits, and one generator."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import pydantic.dataclasses
from torch import Tensor

from ..operators.base import Operator, Problem
from ..priors.base import Prior
from ..rng import ImageRNG, Replay
from ..schedule import Schedule

#: Decorator of every solver: a frozen pydantic dataclass with keyword-only fields; unknown names are refused.
settings = partial(
    pydantic.dataclasses.dataclass, frozen=True, kw_only=True, config=pydantic.ConfigDict(extra="forbid")
)


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

    requires: ClassVar[type[Operator]] = Operator
    summary: ClassVar[str] = ""
    cost: ClassVar[str] = ""
    reference: ClassVar[str] = ""

    @abstractmethod
    def times(self, schedule: Schedule) -> list[int]:
        """The `for` line of the algorithm: network times in order of visit, ending in -1."""

    @abstractmethod
    def run(self, prior: Prior, problem: Problem, times: list[int], rng: ImageRNG | Replay) -> Run:
        """Yield a `Step` per network time and return the images."""
