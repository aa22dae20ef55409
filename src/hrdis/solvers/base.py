"""Base classes of solvers: frozen settings, the times they visit, and one generator."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, fields
from functools import wraps
from inspect import Parameter, Signature
from itertools import pairwise
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    TypeVar,
    cast,
    dataclass_transform,
    get_type_hints,
)

import pydantic.dataclasses
import torch
from pydantic import Field
from torch import Tensor

from ..operators.base import BlindOperator, LinearOperator, Operator
from ..priors.base import Prediction, Prior
from ..rng import ImageRNG, Replay
from ..schedule import Schedule
from .papers import Paper as Paper
from .papers import bibtex_entry as bibtex_entry

if TYPE_CHECKING:
    from ..presets import Choice
    from ..problem import Problem

T = TypeVar("T")
AnySolver = TypeVar("AnySolver", bound="Solver")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass with keyword-only fields, bounds checked, unknown names
    refused.

    The text under each field is added to the docstring of the class, for ``help``.

    Raises (on construction):
        ValueError: naming every field that is out of bounds or unknown, and what was expected.
        TypeError: for a setting without a name.
    """
    # JSON has no infinity: a record of such settings could not be written after the run.
    config = pydantic.ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    checked = made.__init__

    @wraps(checked)
    def __init__(self: T, *args: object, **values: object) -> None:
        if args:
            first = fields(made)[0].name
            raise TypeError(
                f"{cls.__name__} got {args[0]!r} without a name. Settings are given by name: "
                f"{cls.__name__}({first}={args[0]!r})."
            )
        try:
            checked(self, **values)
        except pydantic.ValidationError as error:
            raise ValueError(
                _explain(cls.__name__, error, {f.name: f.default for f in fields(made)})
            ) from None

    made.__init__ = __init__
    _describe(made)
    return cast("type[T]", made)


def _describe(made: Any) -> None:
    """Put plain types into the signature, and the help text of the fields into the docstring."""
    hints = get_type_hints(made)
    made.__signature__ = Signature(
        [
            Parameter(f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
            for f in fields(made)
        ]
    )
    told = _helps(made)
    lines = [f"        {f.name}: {told.get(f.name, '')}" for f in fields(made)]
    made.__doc__ = "\n".join([(made.__doc__ or "").rstrip(), "", "    Settings:", *lines, "    "])


def _helps(cls: type) -> dict[str, str]:
    """Return the help text of every settings field, inherited ones included, by name."""
    told = {}
    # The class itself comes last, so that its text replaces an inherited one.
    for base in reversed(cls.__mro__):
        for name, setting in getattr(base, "__pydantic_fields__", {}).items():
            if setting.description:
                told[name] = " ".join(setting.description.split())
    return told


def _explain(name: str, error: pydantic.ValidationError, known: Mapping[str, object]) -> str:
    """Return what is wrong with each field that was refused, and its default."""
    lines = []
    for e in error.errors():
        where = str(e["loc"][0]) if e["loc"] else "settings"
        if e["type"] == "unexpected_keyword_argument":
            hint = ""
            for near in difflib.get_close_matches(where, known, n=1):
                hint = f" Did you mean {near!r}?"
            lines.append(f"{name} has no setting {where!r}. Valid names: {', '.join(known)}.{hint}")
        else:
            expected = e["msg"][0].lower() + e["msg"][1:]
            usual = ""
            if where in known:
                usual = f" The default is {name}({where}={known[where]!r})."
            lines.append(f"{name}: {where} is {e['input']!r}, but {expected}.{usual}")
    return " ".join(dict.fromkeys(lines))


def settings_schema(solver: type["Solver"]) -> dict[str, dict[str, Any]]:
    """Return the settings of a solver as JSON schema, by name: type, bounds, choices, default and
    help text.
    """
    known, told = pydantic.TypeAdapter(solver).json_schema()["properties"], _helps(solver)
    schema = {}
    for setting in fields(cast(Any, solver)):
        schema[setting.name] = known[setting.name] | {"description": told.get(setting.name, "")}
    return schema


@dataclass(frozen=True)
class Step:
    """State of a run after one iteration.

    Args:
        t: the network time just visited.
        x: the current estimate of the image, (b, c, h, w), detached.
        info: numbers per image, each (b,), left on the device.
        theta: parameters of the operator where they are estimated too, the image axis first.
    """

    t: int
    x: Tensor
    info: Mapping[str, Tensor] = field(default_factory=dict)
    theta: Mapping[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        info = {}
        for name, value in self.info.items():
            info[name] = [float(f"{v:.3g}") for v in value.flatten().tolist()]
        return f"Step(t={self.t}, x={tuple(self.x.shape)}, info={info}, theta={list(self.theta)})"


Run = Generator[Step, None, Tensor]


class Solver(ABC):
    """Settings of one algorithm; the problem, the prior and the noise come with `run`.

    Leaves are frozen dataclasses (``@final @settings``). ``run`` is decorated with
    ``torch.no_grad`` (torch re-enters it on every resume), opens ``torch.enable_grad`` only around
    a derivative, and never yields inside it. It draws from ``rng`` only what it multiplies by
    something other than zero.
    """

    #: The key of `hrdis.SOLVERS`, by which a prior's tuned settings know the solver.
    name: ClassVar[str] = ""
    #: The class of operators it can work with, whatever the settings.
    requires: ClassVar[type[Operator]] = Operator  # type: ignore[type-abstract]
    #: True if it can explain noiseless measurements only.
    noiseless: ClassVar[bool] = False
    #: The use it makes of the noise level: a word of ``hrdis list solvers``.
    noise: ClassVar[str] = "weights"
    #: True if it is meant for consistency models, and means something else on other priors.
    of_consistency: ClassVar[bool] = False
    #: True if its steps are those of a reverse process, which has none up again.
    descends: ClassVar[bool] = False
    #: True if no code of its authors was there to compare with: it is rebuilt from their text.
    reconstruction: ClassVar[bool] = False
    #: The settings of its paper, by family of measurements and noise; the foot of its file.
    paper: ClassVar[Mapping[str, "Solver"]] = {}
    #: The paper itself, for ``hrdis cite``; at the foot of its file, too.
    source: ClassVar[Paper | None] = None
    summary: ClassVar[str] = ""
    cost: ClassVar[str] = ""
    reference: ClassVar[str] = ""

    @classmethod
    def preset(cls, problem: "Problem", prior: Prior) -> Self:
        """Return the settings that fit a problem and a prior, to use or to change.

        `hrdis.presets.choose` finds them by the operator's ``families``, the noise level and the
        rows tuned for the prior (``prior.presets``), else among the paper's. Where there are none,
        they are the defaults of the class.

        Args:
            problem: its operator and its noise level decide.
            prior: its tuned rows go first.

        Example:
            >>> import hrdis, torch
            >>> A = hrdis.operators.SuperResolution(scale=4)
            >>> HRDIS = hrdis.HRDIS
            >>> problem = hrdis.Problem(torch.zeros(1, 3, 4, 4), A)
            >>> HRDIS.preset(problem, hrdis.load_prior("default")).init
            'smooth'
        """
        return choose_for(cls, problem, prior).settings

    @abstractmethod
    def times(self, schedule: Schedule) -> list[int]:
        """Return the network times in order of visit, ending in -1."""

    def calls(self, times: list[int], schedule: Schedule) -> int:
        """Return the number of network calls of a run; by default one per move down."""
        return sum(s < t for t, s in pairwise(times))

    def passes(self) -> int:
        """Return the number of backward passes per network call; by default 0."""
        return 0

    def draws(self, times: list[int]) -> int:
        """Return about how often a run draws noise, which is sent ahead to an accelerator; by
        default once per network time.
        """
        return len(times) - 1

    def needs(self) -> type[Operator]:
        """Return the class of operators that these settings need; by default `requires`."""
        return self.requires

    @abstractmethod
    def run(
        self, prior: Prior, problem: "Problem", times: list[int], rng: ImageRNG | Replay
    ) -> Run:
        """Yield a `Step` per network time and return the images."""


def choose_for(cls: type[AnySolver], problem: "Problem", prior: Prior) -> "Choice[AnySolver]":
    """Return the settings of a solver that fit a problem and a prior, and why."""
    level = problem.sigma_y / 2  # sigma_y is for images in [-1, 1], levels of noise for [0, 1]
    # A solver is settings and an algorithm; only this looks for settings that fit.
    from ..presets import choose

    return choose(cls, problem.A.families, level, tuned=prior.presets)


@settings
class Sampler(Solver):
    """Base of solvers that denoise x_t along an even grid of times."""

    steps: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Network calls."""
    start: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Largest time visited; below the top, the run starts from the operator's smooth picture,
    diffused to that time.
    """

    def times(self, schedule: Schedule) -> list[int]:
        return schedule.uniform(self.steps, self.start)

    def first(self, problem: "Problem", q: Schedule, t: int, z: Tensor) -> Tensor:
        """Return x_T, noise z or, if ``start`` is given, the smooth picture diffused to t."""
        return z if self.start is None else q.diffuse(problem.A.smooth(problem.y), t, z)


def through_network(
    prior: Prior, x_t: Tensor, t: int, objective: Callable[[Tensor], Tensor]
) -> tuple[Prediction, Tensor, Tensor]:
    """Return the network's prediction, an objective of x0_hat per image (b,), and its gradient in
    x_t.

    All three are returned without a graph. The caller may be in inference mode, which has none.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x_t = _leaf(x_t)
        prediction = prior(x_t, t)
        value = objective(prediction.x0_hat)
        gradient = slope(value, x_t)
    return prediction.map(Tensor.detach), value.detach(), gradient


def transposed_jacobian(
    prior: Prior, x_t: Tensor, t: int
) -> tuple[Prediction, Callable[[Tensor], Tensor]]:
    """Return the network's prediction, and the map v -> J^T v for the Jacobian J of x0_hat in x_t.

    The graph lives as long as the function. The caller may be in inference mode, which has none.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x_t = _leaf(x_t)
        prediction = prior(x_t, t)

    def pull(v: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            return torch.autograd.grad(prediction.x0_hat, x_t, v.clone(), retain_graph=True)[0]

    return prediction.map(Tensor.detach), pull


def _leaf(x: Tensor) -> Tensor:
    """Return x as the start of a graph; a copy of what was made in inference mode, which has
    none.
    """
    return (x.clone() if x.is_inference() else x.detach()).requires_grad_()


def in_half_precision(prior: Prior) -> bool:
    """Return True if a network of the prior computes in float16 or bfloat16."""
    return any(p.dtype in (torch.float16, torch.bfloat16) for p in prior.parameters())


def slope(value: Tensor, x: Tensor) -> Tensor:
    """Return the gradient in x of the sum of a value that A(x) became."""
    if not value.requires_grad:
        raise TypeError(
            "A has no gradient: autograd finds no way from A(x) back to x (a detach, numpy, or an "
            "integer in between). Torch operations throughout are expected, or a solver that takes "
            "no derivative of A: hrdis.DDNM()."
        )
    return torch.autograd.grad(value.sum(), x)[0]


def misfit_gradient(A: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the residual r = A(x) - y and J^T r, the gradient of half its sum of squares.

    For a `LinearOperator` J^T is its adjoint, which needs no graph; for any other map it is taken
    by autograd. Neither result has a graph.
    """
    if isinstance(A, LinearOperator):
        r = A(x) - y
        return r, A.adjoint(r)
    # The caller may be in inference mode, which has no graph.
    with torch.inference_mode(False), torch.enable_grad():
        x = _leaf(x)
        r = A(x) - (y.clone() if y.is_inference() else y)
        gradient = slope(0.5 * r.abs().square(), x)
    return r.detach(), gradient


def data_gradient(A: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the residual r = A(x) - y and (N_x / M) J^T r, per image.

    For N_x entries in x and M in y, that is the gradient of N_x times half the mean square of r. So
    it does not depend on the size of the image.
    """
    scale = x[0].numel() / y[0].numel()
    if scale == 1:
        return misfit_gradient(A, x, y)
    if isinstance(A, LinearOperator):
        r = A(x) - y
        return r, A.adjoint(scale * r)  # r is seldom larger than x
    r, gradient = misfit_gradient(A, x, y)
    return r, scale * gradient


def parameter_gradients(
    A: BlindOperator, x: Tensor, y: Tensor, theta: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the gradient in every parameter of half the mean squared residual y - A(x; theta) of
    each image.
    """
    with torch.inference_mode(False), torch.enable_grad():
        own = {name: value.detach().clone().requires_grad_() for name, value in theta.items()}
        loss = 0.5 * (A.at(x.detach().clone(), own) - y.clone()).square().flatten(1).mean(1).sum()
        gradients = torch.autograd.grad(loss, list(own.values()))
    return dict(zip(own, gradients, strict=True))
