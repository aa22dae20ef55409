"""Small problems with known answers, and the tables that the common suites run over.

A new solver is tested by its line in ``hrdis.solvers``; a new linear operator by its line in
``hrdis.operators``, if it can be made without arguments, and otherwise by a row of `LINEAR` here.
"""

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from inspect import isabstract
from math import prod

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import hrdis
from hrdis.operators import (
    CT,
    HDR,
    JPEG,
    MRI,
    BlindOperator,
    Blur,
    Channelwise,
    CircularBlur,
    Colorization,
    Composition,
    CompressedSensing,
    Identity,
    Inpainting,
    LinearFunction,
    LinearOperator,
    LowLight,
    Matrix,
    Operator,
    PhaseRetrieval,
    Quantization,
    SeparableBlur,
    SuperResolution,
    WalshHadamard,
)
from hrdis.operators.nonlinear_blur import BKSE
from hrdis.tasks import TASKS, Task

# ---- random numbers -----------------------------------------------------------------------------


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal numbers, a function of the seed and the shape."""
    return torch.from_numpy(hrdis.rng.stream(seed, "toy", *shape).standard_normal(shape)).to(dtype)


def rel(a: Tensor, b: Tensor) -> float:
    """||a - b|| / ||b|| over everything, in float64."""
    return float((a.double() - b.double()).norm() / b.double().norm())


# ---- operators ----------------------------------------------------------------------------------


def pixels(*shape: int, seed: int = 0, keep: float = 0.6) -> Tensor:
    """A random mask of any shape, in which every image keeps its first pixel."""
    mask = (torch.from_numpy(hrdis.rng.stream(seed, "pixels", *shape).random(shape)) < keep).float()
    mask[..., 0, 0] = 1
    return mask


def dense(m: int, n: int) -> Tensor:
    """A random matrix with singular values between 1 and 2, so that nothing is lost to its
    condition.
    """
    U, _, Vt = torch.linalg.svd(normal(m, n, seed=7), full_matrices=False)
    return U @ torch.diag(torch.linspace(2, 1, m, dtype=torch.float64)) @ Vt


def sensitivities(n: int, h: int, w: int) -> Tensor:
    """Smooth complex coil maps with sum |S_i|^2 between 1 and 2."""
    v, u = torch.meshgrid(
        torch.linspace(-1, 1, h).double(), torch.linspace(-1, 1, w).double(), indexing="ij"
    )
    angles = 2 * torch.pi * torch.arange(n)[:, None, None] / n
    maps = torch.polar(1 + 0.3 * (u * angles.cos() + v * angles.sin()), u * angles.sin() + angles)
    return maps / n**0.5


MILD = torch.tensor(
    [[0.0, 0.06, 0.02], [0.1, 0.7, 0.03], [0.01, 0.05, 0.03]]
)  # a blur that loses little, no symmetry
TAPS = torch.tensor([0.15, 0.6, 0.25])


@dataclass(frozen=True)
class Row:
    """A row of `LINEAR`: how to make an operator for images of a shape, and which shapes it can
    take.

    Args:
        make: (b, c, h, w) to the operator.
        channels: what c may be.
        sizes: what (h, w) may be; None means any multiples of 12.
        iterative: pinv is found by conjugate gradient, which must look at numbers to know when to
            stop.
        rough: the operator's smooth picture does not claim to explain y.
        condition: bound of the ratio of the largest to the smallest non-zero singular value.
    """

    make: Callable[[int, int, int, int], LinearOperator]
    channels: tuple[int, ...] = (1, 3)
    sizes: tuple[tuple[int, int], ...] | None = None
    iterative: bool = False
    rough: bool = False
    condition: float = 3

    def __call__(self, b: int, c: int, h: int, w: int) -> LinearOperator:
        return self.make(b, c, h, w)

    def fit(self, b: int, c: int, h: int, w: int) -> tuple[int, int, int, int]:
        """The shape (b, c, h, w) itself if it can be taken, else the nearest in kind."""
        c = c if c in self.channels else self.channels[0]
        return (
            (b, c, h, w) if self.sizes is None or (h, w) in self.sizes else (b, c, *self.sizes[0])
        )


#: linear operators, those that need no row follow below; h and w are multiples of 12 unless the
#: row says otherwise
LINEAR: dict[str, Row] = {
    "identity": Row(lambda b, c, h, w: Identity()),
    "inpaint": Row(lambda b, c, h, w: Inpainting(pixels(h, w))),
    "inpaint, a mask per image": Row(lambda b, c, h, w: Inpainting(pixels(b, 1, h, w))),
    "inpaint, a mask per channel": Row(lambda b, c, h, w: Inpainting(pixels(c, h, w))),
    "sr1": Row(lambda b, c, h, w: SuperResolution(1)),
    "sr2": Row(lambda b, c, h, w: SuperResolution(2)),
    "sr3": Row(lambda b, c, h, w: SuperResolution(3)),
    "sr4": Row(lambda b, c, h, w: SuperResolution(4)),
    "sr2 bicubic": Row(lambda b, c, h, w: SuperResolution(2, kernel="bicubic")),
    "sr4 bicubic": Row(lambda b, c, h, w: SuperResolution(4, kernel="bicubic")),
    "any linear function": Row(
        lambda b, c, h, w: LinearFunction(lambda x: F.avg_pool2d(x, 2), (c, h, w)), iterative=True
    ),
    "matrix": Row(lambda b, c, h, w: Matrix(dense(c * h * w // 3, c * h * w), (c, h, w))),
    "cs": Row(lambda b, c, h, w: CompressedSensing(0.3, block=4)),
    "cs, everything": Row(lambda b, c, h, w: CompressedSensing(1.0, block=4)),
    "cs, a matrix": Row(
        lambda b, c, h, w: CompressedSensing(matrix=torch.linalg.qr(normal(9, 5)).Q.T, block=3)
    ),
    "walsh": Row(lambda b, c, h, w: WalshHadamard(4), sizes=((16, 16), (8, 8))),
    "walsh, sequency": Row(lambda b, c, h, w: WalshHadamard(2, order="sequency"), sizes=((8, 8),)),
    "colorize": Row(lambda b, c, h, w: Colorization(), channels=(3,)),
    "colorize, bt601": Row(lambda b, c, h, w: Colorization("bt601"), channels=(3,)),
    "blur": Row(lambda b, c, h, w: Blur(MILD), iterative=True, rough=True),
    "blur, replicate": Row(lambda b, c, h, w: Blur(MILD, "replicate"), iterative=True, rough=True),
    "blur, zero": Row(lambda b, c, h, w: Blur(MILD, "zero"), iterative=True, rough=True),
    "circular blur": Row(lambda b, c, h, w: CircularBlur(MILD), rough=True),
    "circular blur, blind": Row(
        lambda b, c, h, w: CircularBlur(torch.ones(3, 3) / 9), condition=20, rough=True
    ),
    "separable blur": Row(
        lambda b, c, h, w: SeparableBlur(TAPS, TAPS.flip(0), threshold=0), condition=30, rough=True
    ),
    "separable blur, cut": Row(
        lambda b, c, h, w: SeparableBlur(TAPS, threshold=0.5), condition=4, rough=True
    ),
    "mri": Row(lambda b, c, h, w: MRI(pixels(h, w)), channels=(2,)),
    "mri, a mask per image": Row(lambda b, c, h, w: MRI(pixels(b, 1, h, w)), channels=(2,)),
    "mri, columns": Row(lambda b, c, h, w: MRI(pixels(1, w)[0]), channels=(2,)),
    "mri, coils": Row(
        lambda b, c, h, w: MRI(torch.ones(h, w), sensitivities(3, h, w)),
        channels=(2,),
        iterative=True,
        rough=True,
    ),
    "mri, coils and a mask per image": Row(
        lambda b, c, h, w: MRI(pixels(b, 1, h, w), sensitivities(3, h, w).expand(b, -1, -1, -1)),
        channels=(2,),
        sizes=((6, 4),),
        iterative=True,
        rough=True,
        condition=20,
    ),
    # Small, as every view costs the same whatever the size, and conjugate gradient takes hundreds.
    "ct": Row(
        lambda b, c, h, w: CT(6, 4),
        channels=(1,),
        sizes=((4, 4),),
        iterative=True,
        rough=True,
        condition=25,
    ),
    "mri, of a picture": Row(
        lambda b, c, h, w: Channelwise(MRI(pixels(h, w)), channels=2), iterative=True
    ),
    "ct, of a picture": Row(
        lambda b, c, h, w: Channelwise(CT(6, 4)),
        sizes=((4, 4),),
        iterative=True,
        rough=True,
        condition=25,
    ),
    "blur, then sr2": Row(
        lambda b, c, h, w: Composition(CircularBlur(MILD), SuperResolution(2)),
        iterative=True,
        rough=True,
    ),
    "inpaint, then blur": Row(
        lambda b, c, h, w: Composition(Inpainting(pixels(b, 1, h, w)), Blur(MILD)),
        iterative=True,
        rough=True,
    ),
}


def listed() -> set[type]:
    """The classes of `LINEAR`."""
    return {type(row(*row.fit(1, 1, 12, 12))) for row in LINEAR.values()}


def exported() -> set[type[LinearOperator]]:
    """The linear operators that ``hrdis.operators`` hands out, without the bases."""
    found = set()
    for cls in vars(hrdis.operators).values():
        if isinstance(cls, type) and issubclass(cls, LinearOperator) and not isabstract(cls):
            found.add(cls)
    return found


def channels_of(A: LinearOperator) -> tuple[int, ...]:
    """The numbers of channels that an operator does not refuse."""
    taken = []
    for c in (1, 3, 2):
        with suppress(ValueError):
            A(torch.zeros(1, c, 12, 12))
            taken.append(c)
    return tuple(taken)


def without_a_row() -> dict[str, Row]:
    """Rows for the operators that no row names and that can be made without arguments.

    They are held to the strictest of everything; who needs less writes a row.
    """
    rows = {}
    for cls in sorted(exported() - listed(), key=lambda cls: cls.__name__):
        with suppress(TypeError):  # it has arguments, and the test of the list asks for a row
            rows[cls.__name__] = Row(
                lambda b, c, h, w, cls=cls: cls(),
                channels=channels_of(cls()),
                iterative=cls.pinv is LinearOperator.pinv,
            )
    return rows


LINEAR |= without_a_row()


@lru_cache
def random_weights() -> dict[str, Tensor]:
    """For the blurring network: random numbers that keep the size of what passes through."""
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in BKSE().state_dict().items()}
    rng, state = hrdis.rng.stream(0, "random blur"), {}
    for key, shape in shapes.items():
        fan = prod(shape[1:]) / (4 if ".up." in key else 1)
        std = 0.3 / fan**0.5 if ".conv2." in key else 1 / fan**0.5
        state[key] = torch.from_numpy(std * rng.standard_normal(tuple(shape), dtype=np.float32))
    return state


@lru_cache
def ready(name: str) -> Task:
    """A task; with random weights where it needs some."""
    task = TASKS[name]
    return task.with_weights(random_weights()) if task.weights else task


#: name -> (b, c, h, w) -> operator; h and w are multiples of 16
NONLINEAR: dict[str, Callable[[int, int, int, int], Operator]] = {
    "phase": lambda b, c, h, w: PhaseRetrieval(),
    "phase, [0, 1]": lambda b, c, h, w: PhaseRetrieval(oversample=1.3, data_range="[0,1]"),
    "phase, padded": lambda b, c, h, w: PhaseRetrieval(padding=(3, 4)),
    "hdr": lambda b, c, h, w: HDR(),
    "jpeg": lambda b, c, h, w: JPEG(30),
    "jpeg, hard": lambda b, c, h, w: JPEG(30, rounding="hard"),
    "quantize": lambda b, c, h, w: Quantization(3),
    "quantize, hard": lambda b, c, h, w: Quantization(3, rounding="hard"),
    "low light": lambda b, c, h, w: LowLight(),
    "low light, given": lambda b, c, h, w: LowLight(
        0.3 + 0.1 * pixels(b, 1)[:, 0], 0.1 * pixels(b, 1, h, w)
    ),
}

# ---- priors -------------------------------------------------------------------------------------


def mixture(
    c: int = 1, h: int = 8, w: int = 8, spread: float = 0.15
) -> hrdis.priors.GaussianMixture:
    """Three pictures close enough to each other that the component stays open over middle noise
    levels.
    """
    means = 0.3 * normal(1, c, h, w, seed=1) + spread * normal(3, c, h, w, seed=2)
    return hrdis.priors.GaussianMixture(
        means, torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.25])
    )


def gaussian(c: int = 1, h: int = 4, w: int = 4) -> hrdis.priors.Gaussian:
    """Correlated, so that what was not observed can be told from what was."""
    n = c * h * w
    at = (
        torch.stack(torch.meshgrid(*(torch.arange(k) for k in (c, h, w)), indexing="ij"), -1)
        .reshape(n, 3)
        .double()
    )
    covariance = 0.25 * torch.exp(-torch.cdist(at, at) / 2)
    return hrdis.priors.Gaussian(0.3 * normal(c, h, w, seed=3), covariance)


class Recorded(hrdis.Prior):
    """A prior that keeps what it was shown."""

    def __init__(self, prior: hrdis.Prior):
        super().__init__()
        self.prior, self.schedule, self.channels = prior, prior.schedule, prior.channels
        self.inputs: list[Tensor] = []
        self.times: list[int] = []

    def forward(self, x_t: Tensor, t: int) -> hrdis.priors.Prediction:
        self.inputs.append(x_t.detach().clone())
        self.times.append(t)
        return self.prior(x_t, t)


class Pixelwise(hrdis.Prior):
    """Pixels are independent, near one of two levels each: local, exact at any size, and not
    linear.
    """

    schedule = hrdis.Schedule.linear()
    channels = (1, 3)
    name = "pixelwise"

    def forward(self, x_t: Tensor, t: int) -> hrdis.priors.Prediction:
        q, v = (
            self.schedule,
            0.04 * self.schedule[t] + 1 - self.schedule[t],
        )  # levels -0.5 and 0.5, variance 0.04
        level = 0.5 * (0.5 * q.signal(t) * x_t / v).tanh()
        eps = q.noise(t) * (x_t - q.signal(t) * level) / v
        return hrdis.priors.Prediction(q.denoised(x_t, t, eps), eps)


class Gain(BlindOperator):
    """y = mask * g * x, a gain per image unknown: the smallest blind problem, with holes like the
    others.
    """

    def __init__(self, mask: Tensor):
        super().__init__()
        self.mask, self.rates = mask, {"g": 0.02}

    def forward(self, x: Tensor) -> Tensor:
        return self.at(x, {"g": x.new_full((len(x), 1, 1, 1), 0.5)})

    def at(self, x: Tensor, theta: dict[str, Tensor]) -> Tensor:
        return self.mask.to(x) * theta["g"] * x

    def start(self, y: Tensor) -> dict[str, Tensor]:
        return {"g": y.new_full((len(y), 1, 1, 1), 0.7)}

    def pinv(self, y: Tensor) -> Tensor:
        return self.mask.to(y) * y / 0.7

    def for_image(self, i: int) -> "Gain":
        return self if len(self.mask) == 1 else Gain(self.mask[i : i + 1])


class Tape:
    """A source of noise that keeps what it gave, to be replayed."""

    def __init__(self, seeds):
        self.rng, self.draws = hrdis.rng.ImageRNG(seeds, "tape"), []

    def randn(self, shape, like=None) -> Tensor:
        self.draws.append(self.rng.randn(shape, like))
        return self.draws[-1].clone()

    def rand(self, shape, like) -> Tensor:
        self.draws.append(self.rng.rand(shape, like))
        return self.draws[-1].clone()

    def randn_like(self, x: Tensor) -> Tensor:
        return self.randn(x.shape[1:], like=x)


# ---- solvers ------------------------------------------------------------------------------------


def short(solver: hrdis.Solver, steps: int = 8) -> hrdis.Solver:
    """The same settings with few steps."""
    return replace(solver, steps=steps) if "steps" in {f.name for f in fields(solver)} else solver


def _solvers() -> dict[str, hrdis.Solver]:
    table = {}
    for name, (cls, presets) in hrdis.SOLVERS.items():
        table[name] = short(cls())
        table |= {f"{name}:{key}": short(preset) for key, preset in presets.items()}
    return table


#: every solver at its defaults and at its presets, with few steps; listed alike in
#: ``hrdis.SOLVERS``
SOLVERS: dict[str, hrdis.Solver] = _solvers()

#: settings that take another path through a solver
VARIANTS: dict[str, hrdis.Solver] = {
    "hrdis, noisy mu": hrdis.HRDIS(steps=8, sigma_x0=0.01),
    "hrdis, fresh steps": hrdis.HRDIS(steps=8, fresh_steps=3),
    "hrdis, from a smooth picture": hrdis.HRDIS(steps=8, init="smooth", start=500),
    "hrdis, first update": hrdis.HRDIS(steps=8, first_update=True, beta=0.5),
    "ddnm, travel": hrdis.DDNM(steps=8, length=2, repeat=3),
    "ddnm, low start": hrdis.DDNM(steps=8, start=500),
    "ddnm, deterministic": hrdis.DDNM(steps=8, eta=0),
    "drddim, three sub-steps": hrdis.DRDDIM(steps=8, substeps=3),
    "drddim, its own noise": hrdis.DRDDIM(steps=8, beta=0),
    "ddrm, low start": hrdis.DDRM(steps=8, start=500),
    "ddrm, half of y": hrdis.DDRM(steps=8, eta_b=0.5),
    "dps, ddim": hrdis.DPS(steps=8, form="ddim", eta=0.5),
    "pigdm, soft": hrdis.PiGDM(steps=8, hard_replace=False),
    "pigdm, score": hrdis.PiGDM(steps=8, hard_replace=False, form="score"),
    "pigdm, deterministic": hrdis.PiGDM(steps=8, eta=0),
    "mmps, converged": hrdis.MMPS(steps=8, cg_steps=50),
    "mmps, deterministic": hrdis.MMPS(steps=8, eta=0),
    "ddnmplus, simplified": hrdis.DDNMPlus(steps=8, form="simplified"),
    "ddnmplus, travel": hrdis.DDNMPlus(steps=8, length=2, repeat=3),
    "dds, converged": hrdis.DDS(steps=8, cg_steps=50),
    "gdp, the noisy image": hrdis.GDP(steps=8, guide="xt", kappa=0.05),
    "gdp, blind": hrdis.GDP(steps=8, blind=True, kappa=0.05),
    "fps, particles": hrdis.FPS(steps=8, particles=3),
    "fps, joint": hrdis.FPS(steps=8, form="joint", particles=3),
    "fps, joint, low start": hrdis.FPS(steps=8, form="joint", start=500),
    "dps, poisson": hrdis.DPS(steps=8, likelihood="poisson"),
    "fps, low start": hrdis.FPS(steps=8, start=500),
    "diffpir, deterministic": hrdis.DiffPIR(steps=8, zeta=0),
    "overrelaxed, from the top": hrdis.OverRelaxed(steps=8, start=None),
    "overrelaxed, split Gibbs": hrdis.OverRelaxed(steps=8, alpha=0),
    "overrelaxed, a mean": hrdis.OverRelaxed(steps=8, alpha=-0.5, result="mean"),
    "overrelaxed, after mmps": hrdis.OverRelaxed(steps=8, start=None, mmps_above=50),
    "fire, plain": hrdis.FIRE(steps=8, aim="plain", start=None),
    "fire, samples": hrdis.FIRE(steps=8, aim="sample"),
    "repaint, resampling": hrdis.RePaint(steps=8, length=2, repeat=3),
    "repaint, low start": hrdis.RePaint(steps=8, start=500),
    "cm4ir, grows": hrdis.CM4IR(steps=8, gamma=0.2),
    "cm4ir, keeps its sign": hrdis.CM4IR(steps=8, flip=False, eta=0),
}

EVERY = SOLVERS | VARIANTS


def drain(run) -> tuple[list[hrdis.Step], hrdis.Result]:
    """Every step of a run, and its result."""
    steps = []
    while True:
        try:
            steps.append(next(run))
        except StopIteration as end:
            return steps, end.value


def whole(solver: hrdis.Solver, y: Tensor) -> hrdis.Problem:
    """The plainest problem a solver can take: all of the picture was seen."""
    A = (
        Identity()
        if isinstance(Identity(), solver.needs())
        else Gain(torch.ones(1, 1, *y.shape[-2:]))
    )
    return hrdis.Problem(y, A)


def repeated(problem: hrdis.Problem, count: int) -> hrdis.Problem:
    """A batch of one measurement; its smooth picture, from which many start, is computed once."""
    A = copy(problem.A)
    A.smooth = lambda y: problem.A.smooth(y[:1]).expand(len(y), -1, -1, -1)
    y = problem.y.repeat(count, *[1] * (problem.y.ndim - 1))
    return hrdis.Problem(y, A, problem.sigma_y)


def problem_for(
    solver: hrdis.Solver,
    b: int = 3,
    c: int = 1,
    h: int = 8,
    w: int = 8,
    dtype: torch.dtype = torch.float64,
) -> hrdis.Problem:
    """A noiseless problem that the solver can take; every image has a mask of its own where masks
    are possible.
    """
    for kind in (Inpainting, Gain):
        problem = masked(kind, b, c, h, w, dtype)
        if isinstance(problem.A, solver.needs()):
            return replace(
                problem, y=problem.y.clone()
            )  # a solver that writes into it is found out
    raise AssertionError(
        f"{type(solver).__name__} requires a {solver.requires.__name__}; give it a problem here."
    )


@lru_cache
def masked(
    kind: type[Inpainting] | type[Gain], b: int, c: int, h: int, w: int, dtype: torch.dtype
) -> hrdis.Problem:
    with torch.inference_mode(False):  # it outlives a caller in that mode
        x = mixture(c, h, w).means[torch.arange(b) % 3] + 0.2 * normal(b, c, h, w, seed=4)
        return hrdis.measure(kind(pixels(b, 1, h, w, seed=5)), x.to(dtype))
