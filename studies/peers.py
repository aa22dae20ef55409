"""Whose samples are right, by how much: our solvers, deepinv's and azula's against exact
posteriors.

    pip install deepinv==0.5.0 azula==0.11.1   # by hand: hrdis never depends on them
    python studies/peers.py  # everything; rewrites measurements/peers.md
    python studies/peers.py --measurements 2 --seeds 50 --no-write

The cases are those of `posterior.py` with denoising in place of the random matrix. Each library is
called as its own documentation says, in its own range ([0, 1] for deepinv, [-1, 1] for azula), and
gets the true noise level, the exact denoiser of the prior at whatever level it asks for, and the
schedule with beta from 0.1 to 20. What cannot run is listed with the reason.
"""

import copy
import csv
import functools
import importlib.metadata
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields
from typing import Any
from unittest import mock

import torch
import tyro
from common.pages import DOCS, rewrite, table, with_error
from posterior import (
    NOISY,
    SETS,
    SIDE,
    SMALL_SIDE,
    Case,
    draw,
    exact_samples,
    gaussian,
    jackknife,
    mixture,
    sliced_w2,
    split,
)
from torch import Tensor

import hrdis
from hrdis.linalg import matrix
from hrdis.priors.exact import MixturePosterior
from hrdis.problem import Problem
from hrdis.rng import ImageRNG
from hrdis.schedule import Schedule

try:
    import azula.denoise
    import azula.guidance
    import azula.linalg.covariance
    import azula.noise
    import azula.sample
    import deepinv
    import deepinv.sampling.sde_solver
except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
    raise SystemExit(
        "This comparison needs deepinv 0.5 and azula 0.11, and one of them cannot be imported "
        f"({error}). Install them by hand, with a torchvision that fits torch: pip install "
        "deepinv==0.5.0 azula==0.11.1"
    ) from error

PAGE = DOCS / "measurements" / "peers.md"
#: Tables of every case: printed, and in docs/data/peers.csv; too long for the page.
BY_CASE = ("distance", "distance-mixture", "variance-seen", "variance-unseen")
CALLS = 100
NOISES = (0.0, 0.05, 0.3)
LONG = ("correlated", 0.05)  # prior and noise of the cases that 1000 calls are spent on
FEW = 20  # samples per measurement where images have to run one at a time


@dataclass(frozen=True)
class Setting:
    """One line of the tables: a method of a library with its settings.

    ``measure`` takes a case and our y to what the library expects; ``run`` takes a case, the exact
    denoiser, that measurement and a seed (None: none is passed) to images in [-1, 1].
    """

    method: str
    library: str
    label: str
    measure: Callable[[Case, Tensor], Tensor]
    run: Callable[["Case", "Exact", Tensor, int | None], Tensor]
    seeded: bool = True  # whether the library takes a seed
    alone: bool = False  # one image at a time: results depend on who shares the batch

    @property
    def long(self) -> bool:
        """Whether it makes 1000 calls: on a few cases only."""
        return self.label.endswith("1000 calls")


@dataclass(frozen=True)
class Row:
    """The figures of one setting on one case, each with its jackknife standard error over the
    measurements.
    """

    prior: str
    operator: str
    sigma_y: float
    method: str
    library: str
    label: str
    calls: int
    samples: int
    bias_unseen: float
    bias_unseen_error: float
    variance_unseen: float
    variance_unseen_error: float
    bias_seen: float
    bias_seen_error: float
    variance_seen: float
    variance_seen_error: float
    distance: float
    distance_error: float


class Exact:
    """Mean of x given x + s z, s > 0, for a prior known in closed form: at every s, not on a grid
    of times.
    """

    def __init__(self, prior: hrdis.Prior):
        self.prior, self.calls = prior, 0

    def __call__(self, x: Tensor, s: float) -> Tensor:
        self.calls += 1
        if s <= 1e-7:
            return x
        at = copy.copy(self.prior)
        at.schedule = Schedule([1 / (1 + s * s)])
        return at(x / (1 + s * s) ** 0.5, 0).x0_hat


def cases() -> Iterator[Case]:
    """Three priors times three operators times the noise levels; denoising only where there is
    noise.
    """
    for name, side in {"pixelwise": SIDE, "correlated": SIDE, "mixture": SMALL_SIDE}.items():
        shape = (1, side, side)
        inpainting = hrdis.operators.Inpainting(
            hrdis.operators.masks.random_pixels(side, side, 0.5)
        )
        halves = spaces(inpainting, shape)
        for operator_name, A in {
            "inpainting, 50 %": inpainting,
            "average pooling x2": hrdis.operators.SuperResolution(2),
            "denoising": hrdis.operators.Identity(),
        }.items():
            seen, unseen = spaces(A, shape)
            apart = (
                (seen, unseen) if len(unseen) else halves
            )  # where the modes of the mixture differ
            prior = (
                mixture(side, *apart) if name == "mixture" else gaussian(side, name == "correlated")
            )
            for sigma_y in NOISES:
                if len(unseen) or sigma_y > 0:
                    yield Case(name, operator_name, prior, A, sigma_y, seen, unseen)


def spaces(A: Any, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Orthonormal bases of what A sees and of its null space."""
    _, s, Vt = torch.linalg.svd(matrix(A, shape))
    rank = int((s > 1e-10).sum())
    return Vt[:rank], Vt[rank:]


# ---- ours
# -----------------------------------------------------------------------------------------


def ours(
    method: str,
    label: str,
    solver: hrdis.solvers.Solver,
    noiseless: hrdis.solvers.Solver | None = None,
) -> Setting:
    """A solver of this library; ``noiseless`` replaces it where the noise is 0."""

    def run(case: Case, exact: Exact, y: Tensor, seed: int | None) -> Tensor:
        chosen = noiseless if noiseless is not None and case.sigma_y == 0 else solver
        first = 0 if seed is None else seed
        result = hrdis.solve(
            chosen, case.prior, Problem(y, case.A, case.sigma_y), seeds=range(first, first + len(y))
        )
        exact.calls = result.nfe
        return result.x

    return Setting(method, "hrdis", label, lambda case, y: y.clone(), run)


# ---- deepinv: images in [0, 1], so that the noise is half of ours; float32
# ------------------------------------


class DeepinvDenoiser(deepinv.models.Denoiser):
    """The exact denoiser in deepinv's convention."""

    def __init__(self, exact: Exact):
        super().__init__()
        self.exact = exact

    def forward(self, x: Tensor, sigma: Any, **_: Any) -> Tensor:
        levels = torch.as_tensor(sigma).flatten()
        assert bool((levels == levels[0]).all())
        return (self.exact(2 * x - 1, 2 * float(levels[0])) + 1) / 2


def blocks(x: Tensor) -> Tensor:
    """(b, 1, h, w) to (b, 4, h/2, w/2): mean of each 2 x 2 block times 2, and its three
    differences. Orthogonal.
    """
    return torch.einsum("kp,bpij->bkij", HAAR.to(x), torch.nn.functional.pixel_unshuffle(x, 2))


def unblocks(z: Tensor) -> Tensor:
    """The inverse of `blocks`."""
    return torch.nn.functional.pixel_shuffle(torch.einsum("kp,bkij->bpij", HAAR.to(z), z), 2)


HAAR = (
    torch.tensor(
        [[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], dtype=torch.float64
    )
    / 2
)


def physics(case: Case) -> Any:
    """The operator of a case as deepinv's, with its SVD."""
    noise = deepinv.physics.GaussianNoise(sigma=case.sigma_y / 2)
    side = case.prior.means.shape[-1] if case.prior_name == "mixture" else case.prior.mean.shape[-1]
    if isinstance(case.A, hrdis.operators.Inpainting):
        mask = case.A.mask.reshape(1, side, side).float()
        return deepinv.physics.Inpainting(img_size=(1, side, side), mask=mask, noise_model=noise)
    if isinstance(case.A, hrdis.operators.Identity):
        return deepinv.physics.Denoising(noise_model=noise)
    singular = torch.zeros(1, 4, side // 2, side // 2)
    singular[:, 0] = 0.5
    return deepinv.physics.DecomposablePhysics(
        U=lambda z: z[:, :1],
        U_adjoint=lambda y: torch.cat([y, y.new_zeros(len(y), 3, *y.shape[2:])], 1),
        V=unblocks,
        V_adjoint=blocks,
        mask=singular,
        img_size=(1, side, side),
        noise_model=noise,
    )


def deepinv_y(case: Case, y: Tensor) -> Tensor:
    """Our measurement in deepinv's range; rows of every operator here sum to 1, and holes stay
    0.
    """
    y01 = (y + 1) / 2
    return (
        y01 * case.A.mask.to(y) if isinstance(case.A, hrdis.operators.Inpainting) else y01
    ).float()


def from_deepinv(method: str, label: str, build: Callable[[Any, Case], Any]) -> Setting:
    """A sampler of deepinv: ``build`` takes its denoiser and a case."""

    def run(case: Case, exact: Exact, y: Tensor, seed: int | None) -> Tensor:
        A = physics(case)
        return 2 * build(DeepinvDenoiser(exact), case)(y, A, seed=seed).double() - 1

    return Setting(method, "deepinv", label, deepinv_y, run)


def deepinv_settings() -> list[Setting]:
    s, levels = deepinv.sampling, Schedule.linear()
    ours_levels = [float(levels.sigma(t)) / 2 for t in levels.uniform(CALLS)[:-1]]

    def guided(fidelity: Callable[[], Any], calls: int = CALLS) -> Callable[[Any, Case], Any]:
        """PosteriorDiffusion as its own DPS class sets it up: VP, ancestral steps from 1 to 0."""

        def build(denoiser: Any, case: Case) -> Any:
            times = torch.linspace(1, 0, calls + 1, dtype=torch.float64)
            sde = s.VariancePreservingDiffusion(alpha=1.0, dtype=torch.float64)
            return s.PosteriorDiffusion(
                fidelity(), denoiser, sde, s.DDPMSolver(times), dtype=torch.float64
            )

        return build

    def diffpir(denoiser: Any, case: Case) -> Any:
        return s.DiffPIR(
            denoiser, deepinv.optim.data_fidelity.L2(), sigma=case.sigma_y / 2, max_iter=CALLS
        )

    return [
        from_deepinv("DDRM", "default (levels 1 to 0)", lambda d, case: s.DDRM(d)),
        from_deepinv(
            "DDRM", "levels of our schedule", lambda d, case: s.DDRM(d, sigmas=ours_levels)
        ),
        from_deepinv("DPS", "default", lambda d, case: s.DPS(d, num_steps=CALLS + 1)),
        from_deepinv("DPS", "default, 1000 calls", lambda d, case: s.DPS(d, num_steps=1001)),
        from_deepinv(
            "DPS",
            "guidance annealed",
            lambda d, case: s.DPS(d, num_steps=CALLS + 1, guidance="annealed"),
        ),
        from_deepinv("PiGDM", "default", guided(s.PiGDMDataFidelity)),
        from_deepinv("PiGDM", "default, 1000 calls", guided(s.PiGDMDataFidelity, 1000)),
        from_deepinv("DiffPIR", "default (lambda 7, zeta 0.1)", diffpir),
        from_deepinv("moment matching", "default", guided(s.MomentMatchingDataFidelity)),
    ]


# ---- azula: images in [-1, 1], flattened; float64
# -------------------------------------------------------------


class Linear(azula.noise.Schedule):
    """The schedule that the others have: beta from 0.1 to 20; the floor of sigma is azula's own."""

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha = torch.exp(-0.5 * (0.1 * t + 9.95 * t**2))
        return alpha, torch.sqrt(1 - alpha**2 + 1e-6)


class AzulaDenoiser(azula.denoise.Denoiser):
    """The exact denoiser in azula's convention."""

    def __init__(self, exact: Exact, side: int):
        super().__init__()
        self.exact, self.side, self.schedule = exact, side, Linear()

    def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> Any:
        alpha, sigma = self.schedule(t)
        x = (x_t / alpha).reshape(-1, 1, self.side, self.side)
        return azula.denoise.DiracPosterior(self.exact(x, float(sigma / alpha)).reshape(x_t.shape))


@dataclass(frozen=True)
class Dense:
    """What azula's classes are given: matrix (without the empty rows of holes), its pseudo-inverse,
    and the case.
    """

    case: Case
    H: Tensor
    H_pinv: Tensor
    side: int

    def A(self, x: Tensor) -> Tensor:
        return x @ self.H.T

    def A_inv(self, y: Tensor) -> Tensor:
        return y @ self.H_pinv.T

    @property
    def cov_y(self) -> Any:
        return azula.linalg.covariance.IsotropicCovariance(self.case.sigma_y**2)

    @property
    def cov_x(self) -> Any:
        """The covariance of the prior."""
        p = self.case.prior
        if isinstance(p, hrdis.priors.GaussianMixture):
            modes = [
                hrdis.priors.Gaussian(m, float(s) ** 2)
                for m, s in zip(p.means, p.stds, strict=True)
            ]
            covariance = MixturePosterior(modes, p.weights).covariance
        else:
            covariance = p.covariance
        variances, basis = torch.linalg.eigh(covariance)
        return azula.linalg.covariance.FullCovariance(basis, variances)

    @property
    def mask(self) -> Tensor:
        if not isinstance(self.case.A, hrdis.operators.Inpainting) or self.case.sigma_y > 0:
            raise ValueError("takes a mask, and pixels observed without noise")
        return self.case.A.mask.flatten() > 0


def dense(case: Case) -> Dense:
    side = int((case.seen.shape[1]) ** 0.5)
    H = matrix(case.A, (1, side, side))
    H = H[(H != 0).any(1)]
    return Dense(case, H, torch.linalg.pinv(H), side)


def azula_y(case: Case, y: Tensor) -> Tensor:
    """Flattened, without holes."""
    side = int((case.seen.shape[1]) ** 0.5)
    return y.double().flatten(1)[:, (matrix(case.A, (1, side, side)) != 0).any(1)]


def from_azula(
    method: str, label: str, build: Callable[..., Any], repeats: int = 1, batch: bool = True
) -> Setting:
    """A sampler of azula: ``build(denoiser, y, dense, **time)`` returns it."""

    def run(case: Case, exact: Exact, y: Tensor, seed: int | None) -> Tensor:
        d = dense(case)

        def sample(part: Tensor) -> Tensor:
            exact.calls = 0
            sampler = build(
                AzulaDenoiser(exact, d.side),
                part,
                d,
                steps=CALLS // repeats,
                silent=True,
                dtype=torch.float64,
            )
            return sampler(sampler.init((len(part), d.side**2), dtype=torch.float64))

        x = sample(y) if batch else torch.cat([sample(y[i : i + 1]) for i in range(len(y))])
        return x.reshape(-1, 1, d.side, d.side)

    return Setting(method, "azula", label, azula_y, run, seeded=False, alone=not batch)


def azula_settings() -> list[Setting]:
    g, ddpm = (
        azula.guidance,
        functools.partial(azula.sample.DDIMSampler, eta=1.0),
    )  # as in azula's tutorial

    def dps(q: Any, y: Tensor, d: Dense, **time: Any) -> Any:
        return g.DPSSampler(q, y, d.A, **time)

    def pgdm(eta: float) -> Callable[..., Any]:
        return lambda q, y, d, **time: g.PGDMSampler(q, y, d.A, d.A_inv, eta=eta, **time)

    def mmps(iterations: int) -> Callable[..., Any]:
        return lambda q, y, d, **time: ddpm(
            g.MMPSDenoiser(q, y, d.A, d.cov_y, iterations=iterations), **time
        )

    def repaint(q: Any, y: Tensor, d: Dense, **time: Any) -> Any:
        full = torch.zeros(len(y), d.side**2, dtype=y.dtype)
        full[:, d.mask] = y
        return g.RePaintSampler(q, full, d.mask, **time)

    def diffpir(q: Any, y: Tensor, d: Dense, **time: Any) -> Any:
        return ddpm(g.DiffPIRDenoiser(q, y, d.A, d.case.sigma_y**2), **time)

    def tmpd(q: Any, y: Tensor, d: Dense, **time: Any) -> Any:
        return ddpm(g.TMPDenoiser(q, y, d.A, d.case.sigma_y**2), **time)

    def jfps(q: Any, y: Tensor, d: Dense, **time: Any) -> Any:
        return ddpm(g.JFPSDenoiser(q, y, d.A, d.cov_y, d.cov_x), **time)

    return [
        from_azula("DPS", "default, images one by one", dps, batch=False),
        from_azula("DPS", "default, all images in one batch", dps),
        from_azula("PiGDM", "PGDM, default (eta 0)", pgdm(0.0)),
        from_azula("PiGDM", "PGDM, eta 1", pgdm(1.0)),
        from_azula("DiffPIR", "default (lmbda 10, 1 iteration), DDPM", diffpir),
        from_azula("moment matching", "MMPS, default (1 iteration), DDPM", mmps(1)),
        from_azula("moment matching", "MMPS, 3 iterations, DDPM", mmps(3)),
        from_azula("moment matching", "TMPD, DDPM", tmpd),
        from_azula("moment matching", "JFPS, prior's covariance given, DDPM", jfps),
        from_azula("RePaint", "default (3 iterations)", repaint, repeats=3),
    ]


def settings() -> list[Setting]:
    """All lines, those of one method together."""
    s = hrdis.solvers
    own = [
        ours("DDRM", "default", s.DDRM(steps=CALLS)),
        ours("DPS", "default", s.DPS(steps=CALLS)),
        ours("DPS", "default, 1000 calls", s.DPS(steps=1000)),
        ours("moment matching", "MMPS, default (3 CG steps)", s.MMPS(steps=CALLS)),
        ours("PiGDM", "default", s.PiGDM(steps=CALLS)),
        ours("PiGDM", 'form="score"', s.PiGDM(steps=CALLS, form="score")),
        ours("PiGDM", "default, 1000 calls", s.PiGDM(steps=1000)),
        ours("PiGDM", 'form="score", 1000 calls', s.PiGDM(steps=1000, form="score")),
        ours("DiffPIR", "default (lam 1, zeta 1)", s.DiffPIR(steps=CALLS)),
        ours(
            "DiffPIR", "preset for x4 (lam 1, zeta 0.1)", s.DiffPIR(steps=CALLS, lam=1.0, zeta=0.1)
        ),
        ours("DiffPIR", "deepinv's lam 7, zeta 0.1", s.DiffPIR(steps=CALLS, lam=7.0, zeta=0.1)),
        ours("DDNM+", "default", s.DDNMPlus(steps=CALLS)),
        ours(
            "HRDIS", "default; the paper's noisy settings with noise", s.HRDIS(**NOISY), s.HRDIS()
        ),
    ]
    every = own + deepinv_settings() + azula_settings()
    order = list(dict.fromkeys(x.method for x in every))
    return sorted(every, key=lambda x: order.index(x.method))


# ---- accuracy
# ---------------------------------------------------------------------------------------


def compare(
    case: Case, chosen: list[Setting], measurements: int, seeds: int, failures: dict[Any, list[str]]
) -> list[Row]:
    """Every setting on one case."""
    x = draw(case.prior, measurements, seed=1)
    problem = hrdis.measure(
        case.A, x, hrdis.noise.Gaussian(case.sigma_y, "[-1,1]"), seeds=range(measurements)
    )
    posterior = case.prior.posterior(problem)
    exact = [exact_samples(posterior, seeds, k) for k in range(SETS)]
    truth = (
        torch.stack([p.mean.flatten() for p in posterior]),
        torch.stack([p.covariance for p in posterior]),
    )
    rows = []
    for setting in chosen:
        if setting.long and (case.prior_name, case.sigma_y) != LONG:
            continue
        count = min(seeds, FEW) if setting.alone else seeds
        denoiser = Exact(case.prior)
        y = setting.measure(case, problem.y.repeat_interleave(count, 0))
        torch.manual_seed(1)  # noqa: TID251  # the peers draw from the global generator
        try:
            samples = setting.run(case, denoiser, y, None)
            if not bool(samples.isfinite().all()):
                raise ValueError("the result is not finite")
        except Exception as error:  # whatever a peer raises belongs into the table
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:160]
            failures.setdefault((setting, reason), []).append(
                f"{case.prior_name}, {case.operator_name}, noise {case.sigma_y:g}"
            )
            print(f"  {setting.library} {setting.method}, {setting.label}: {reason}", flush=True)
            continue
        samples = samples.double().reshape(measurements, count, -1)
        distance = sliced_w2(samples, exact[0][:, :count])
        floors = [sliced_w2(other[:, :count], exact[0][:, :count]) for other in exact[1:]]
        floor = torch.stack(floors).mean(0)
        rows.append(
            Row(
                case.prior_name, case.operator_name, case.sigma_y, setting.method, setting.library,
                setting.label,
                denoiser.calls, measurements * count, *figures(samples, truth, case.unseen),
                *figures(samples, truth, case.seen),
                *jackknife(lambda w: w[:, 0].mean() / w[:, 1].mean(),
                torch.stack([distance, floor], 1)),
            )
        )  # fmt: skip
    return rows


def figures(
    samples: Tensor, truth: tuple[Tensor, Tensor], basis: Tensor
) -> tuple[float, float, float, float]:
    """Bias per posterior standard deviation and variance ratio, with errors; nan where there is
    nothing to see.
    """
    if not len(basis):
        return (float("nan"),) * 4
    _, error, per_std, _, ratio, ratio_error = split(samples, truth, basis)
    std = float(torch.einsum("ri,bij,rj->br", basis, truth[1], basis).mean().clamp(min=0).sqrt())
    known = std > 1e-6  # else y fixes these directions
    return (
        per_std,
        error / std if known else float("nan"),
        ratio if known else float("nan"),
        ratio_error,
    )


# ---- behaviour
# --------------------------------------------------------------------------------------


@contextmanager
def pinned(seeds: range) -> Iterator[None]:
    """Draws of the peers from one stream per image, so that an image meets the same noise in any
    batch.
    """
    rng = ImageRNG(list(seeds), "peers")

    def like(x: Tensor, **_: Any) -> Tensor:
        return rng.randn_like(x)

    def init(self: Any, shape: Any, rng: Any = None, t: Any = None) -> Tensor:
        return like(torch.zeros(*shape, dtype=torch.float64))  # the variance of x_1 is 1 - 5e-5

    with ExitStack() as stack:
        stack.enter_context(mock.patch("torch.randn_like", like))
        solver = deepinv.sampling.sde_solver.BaseSDESolver
        stack.enter_context(
            mock.patch.object(solver, "randn_like", lambda self, x, seed=None: like(x))
        )
        stack.enter_context(
            mock.patch.object(deepinv.sampling.EDMDiffusionSDE, "sample_init", init)
        )
        yield


def behaviour(chosen: list[Setting]) -> str:
    """Batch independence, seeds, and whether y survives, on inpainting of independent pixels; y
    also on pooling.
    """
    inpainting, pooling = [c for c in cases() if c.prior_name == "pixelwise" and c.sigma_y == 0.05][
        :2
    ]
    clean = next(c for c in cases() if c.prior_name == "pixelwise" and c.sigma_y == 0)
    lines = []
    for setting in chosen:
        if setting.long or setting.alone:
            continue
        case = clean if setting.method == "RePaint" else inpainting
        x = draw(case.prior, 16, seed=1)

        def measured(case: Case, x: Tensor = x, setting: Setting = setting) -> Tensor:
            noise = hrdis.noise.Gaussian(case.sigma_y, "[-1,1]")
            return setting.measure(case, hrdis.measure(case.A, x, noise, seeds=range(16)).y)

        y, run = measured(case), setting.run

        def alone(
            first: int, count: int, y: Tensor = y, case: Case = case, setting: Setting = setting
        ) -> Tensor:
            with pinned(range(first, first + count)):
                part = y[first : first + count].clone()
                return setting.run(
                    case, Exact(case.prior), part, first if setting.library == "hrdis" else None
                )

        together = alone(0, 16)
        apart = torch.cat([alone(i, 1) for i in range(4)])
        change = float((together[:4] - apart).abs().max())

        def repeats(seed: int, y: Tensor = y, case: Case = case, run: Any = run) -> bool:
            pair = []
            for state in (5, 6):
                torch.manual_seed(state)  # noqa: TID251  # to tell a seed that counts from the global state
                pair.append(run(case, Exact(case.prior), y.clone(), seed))
            return bool(torch.equal(*pair))

        touched = 0.0
        for c in [case] if setting.method == "RePaint" else [inpainting, pooling]:
            before = measured(c)
            after = before.clone()
            run(c, Exact(c.prior), after, None)
            touched = max(touched, float((after - before).abs().max()))
        lines.append([
            f"{setting.method}, {setting.library}: {setting.label}",
            f"{change:.0e}",
            ("yes" if repeats(0) else "**no**") if setting.seeded else "takes none",
            ("yes" if repeats(1) else "**no**") if setting.seeded else "takes none",
            "yes" if touched == 0 else f"**no**, changed by up to {touched:.0e}",
        ])  # fmt: skip
        print("  ", *lines[-1], flush=True)
    header = [
        "setting",
        "largest change when 15 others join",
        "seed 0 repeats",
        "seed 1 repeats",
        "y untouched",
    ]
    return table(header, lines)


# ---- the page
# ---------------------------------------------------------------------------------------


def name(r: Row) -> list[str]:
    return [r.method, f"**{r.library}**" if r.library == "hrdis" else r.library, r.label]


def average(rows: list[Row], field: str, digits: int = 2, span: bool = False) -> str:
    """Mean over cases with its standard error, and smallest to largest."""
    pairs = [(getattr(r, field), getattr(r, f"{field}_error")) for r in rows]
    pairs = [(v, e) for v, e in pairs if v == v]
    if not pairs:
        return "-"
    values = [v for v, _ in pairs]
    text = with_error(
        sum(values) / len(values), sum(e * e for _, e in pairs) ** 0.5 / len(pairs), digits
    )
    return f"{text} ({min(values):.2g} to {max(values):.2g})" if span else text


def groups(rows: list[Row]) -> list[list[Row]]:
    keys = dict.fromkeys((r.method, r.library, r.label) for r in rows)
    return [[r for r in rows if (r.method, r.library, r.label) == key] for key in keys]


def summary(rows: list[Row]) -> str:
    """One line per setting: means over the noisy cases."""
    lines = []
    for own in groups([r for r in rows if r.sigma_y > 0 and r.calls <= CALLS]):
        single, mixed = (
            [r for r in own if r.prior != "mixture"],
            [r for r in own if r.prior == "mixture"],
        )
        lines.append([
            *name(own[0]), own[0].calls, average(single, "bias_unseen"),
            average(single, "variance_unseen", span=True),
            average(single, "bias_seen"), average(single, "variance_seen", span=True),
            average(single, "distance", 1),
            average(mixed, "distance", 1),
        ])  # fmt: skip
    header = ["method", "library", "settings", "calls", "bias unseen / std",
    "variance ratio unseen", "bias seen / std",
              "variance ratio seen", "sliced W2 / floor, Gaussian",
              "the same, mixture"]  # fmt: skip
    return table(header, lines)


def long_runs(rows: list[Row]) -> str:
    """The methods with a line of 1000 calls, on its cases, with 100 calls and with 1000."""
    mine = [r for r in rows if (r.prior, r.sigma_y) == LONG]
    with_long = {(r.method, r.library) for r in mine if r.calls > CALLS}
    lines = []
    for own in groups(
        [r for r in mine if (r.method, r.library) in with_long and r.label.startswith("default")]
    ):
        lines.append([
            *name(own[0]), own[0].calls, average(own, "bias_unseen"),
            average(own, "variance_unseen"),
            average(own, "bias_seen"), average(own, "variance_seen"), average(own, "distance", 1),
        ])  # fmt: skip
    header = ["method", "library", "settings", "calls", "bias unseen / std",
    "variance ratio unseen", "bias seen / std",
              "variance ratio seen", "sliced W2 / floor"]  # fmt: skip
    return table(header, lines)


def by_case(rows: list[Row], field: str, prior: str, digits: int = 2) -> str:
    """A figure of every setting by operator and noise."""
    mine = [r for r in rows if r.prior == prior and r.calls <= CALLS]
    columns = dict.fromkeys(
        (r.operator, r.sigma_y) for r in mine if getattr(r, field) == getattr(r, field)
    )
    lines = []
    for own in groups(mine):
        cells = {
            (r.operator, r.sigma_y): with_error(
                getattr(r, field), getattr(r, f"{field}_error"), digits
            )
            for r in own
        }
        lines.append([*name(own[0]), *(cells.get(c, "cannot run") for c in columns)])
    return table(
        ["method", "library", "settings", *(f"{o.split(',')[0]}, {s:g}" for o, s in columns)], lines
    )


def cannot(failures: dict[Any, list[str]]) -> str:
    lines = []
    for (setting, reason), where in failures.items():
        cases_left = f"{len(where)} cases: " + "; ".join(
            dict.fromkeys(w.split(", ", 1)[1] for w in where)
        )
        lines.append([f"{setting.method}, {setting.library}: {setting.label}", reason, cases_left])
    return table(["setting", "reason", "where"], lines)


def main(measurements: int = 4, seeds: int = 200, write: bool = True) -> None:
    """Compare our solvers and the peers' with exact posteriors.

    Args:
        measurements: measurements y per case.
        seeds: samples per measurement.
        write: rewrite docs/measurements/peers.md and docs/data/peers.csv.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings(
        "ignore"
    )  # the seeds that deepinv ignores; Gaussian priors that do not end at 1
    started, chosen = time.process_time(), settings()
    told = behaviour(chosen)
    rows: list[Row] = []
    failures: dict[Any, list[str]] = {}
    for case in cases():
        print(f"{case.prior_name}, {case.operator_name}, noise {case.sigma_y:g}", flush=True)
        rows += compare(case, chosen, measurements, seeds, failures)
    sections = {
        "summary": summary(rows), "behaviour": told,
        "distance": by_case(rows, "distance", "correlated", 1),
        "distance-mixture": by_case(rows, "distance", "mixture", 1),
        "variance-seen": by_case(rows, "variance_seen", "correlated"),
        "variance-unseen": by_case(rows, "variance_unseen", "correlated"), "long": long_runs(rows),
        "cannot": cannot(failures),
    }  # fmt: skip
    version = importlib.metadata.version
    sections["run"] = (
        f"This was run with deepinv {version('deepinv')}, azula {version('azula')}, torch "
        f"{torch.__version__} and Python {platform.python_version()}. There were {measurements} "
        f"measurements per case, with {seeds} samples each ({min(seeds, FEW)} where images run one "
        f"by one). It took {(time.process_time() - started) / 60:.0f} minutes of one core."
    )
    for section, text in sections.items():
        print(f"\n{section}\n{text}")
        if write and section not in BY_CASE:
            rewrite(PAGE, section, text)
    if write:
        with (DOCS / "data" / "peers.csv").open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow([f.name for f in fields(Row)])
            out.writerows(
                [f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)] for row in rows
            )


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
