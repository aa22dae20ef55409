"""How close each solver comes to the exact posterior: bias, spread, and sliced Wasserstein
distance.

    python studies/posterior.py  # everything; rewrites measurements/posterior.md
    python studies/posterior.py --solvers hrdis cr --seeds 64 --no-write

Priors whose posterior is known in closed form take the place of the network
(`hrdis.priors.Gaussian` and `GaussianMixture`), in float64. For each of several measurements y
every solver draws many samples, which are compared with the posterior of that y. Solvers come from
``hrdis.SOLVERS``: one that is added there joins the tables, unless its operator does not fit. Where
a run is affine in its draws, its variance is had exactly, without sampling.
"""

import csv
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Annotated

import torch
import tyro
from common.pages import DOCS, rewrite, table, with_error
from torch import Tensor

import hrdis
from hrdis.linalg import matrix
from hrdis.operators.base import LinearOperator
from hrdis.priors.exact import MixturePosterior
from hrdis.problem import Problem
from hrdis.rng import stream
from hrdis.solvers import Solver

SIDE, SMALL_SIDE = (
    8,
    4,
)  # images of 64 pixels; 16 for the mixture, whose modes would else be told apart by any y
PROJECTIONS = 128
SETS = 17  # of exact samples: one that all others, and the solvers', are compared with
PAGE = DOCS / "measurements" / "posterior.md"
#: Tables of every case: printed, and in docs/data/posterior.csv; too long for the page.
BY_CASE = ("pixelwise", "correlated", "mixture")

NOISES = (0.0, 0.05, 0.3)
PARTICLES = (1, 8, 64)
CALLS = (25, 100, 400)

LEFT_OUT = (
    "blindhrdis",
    "cmhrdis",
)  # estimates an operator; is HRDIS on every prior that is not a consistency model

#: What a method is built to return: a posterior sample, a picture that explains y, or the best
#: picture (MAP-like).
AIMS = {
    "sample": (
        *("ddrm", "dps", "pigdm", "ddnmplus", "fps", "mmps", "daps", "repaint", "overrelaxed"),
    ),
    "fits y": ("ddnm", "dds", "gdp"),
    "MAP-like": ("hrdis", "reddiff", "cr", "drddim", "diffpir", "fire", "cm4ir"),
}

NOISY = {
    "lambda_obs": 0.1,
    "weight_min": 2.0,
}  # HRDIS's for Gaussian noise of 0.05 in [0, 1], which is 0.1 here


def settings(n: int, sigma_y: float) -> dict[str, dict[str, Solver]]:
    """By solver and label, for images of n entries: the papers' with 100 calls where they say so,
    scaled where named.
    """
    size = (
        n / (3 * 256**2)
    ) ** 0.5  # DPS moves an image by zeta in all: less per pixel in a larger one
    tau = 2**0.5 * sigma_y if sigma_y > 0 else 0.01  # DAPS: its data term lacks the 1/2
    noisy = {"HRDIS, noisy settings": hrdis.HRDIS(**NOISY)} if sigma_y > 0 else {}
    return {
        "hrdis": {"HRDIS": hrdis.HRDIS()} | noisy,
        "reddiff": {"RED-diff": hrdis.REDDiff(steps=100)},
        "drddim": {"DR+DDIM": hrdis.DRDDIM()},
        "dps": {"DPS": hrdis.DPS(zeta=0.3 * size), "DPS, stronger": hrdis.DPS(zeta=3.0 * size)},
        "ddnmplus": {
            "DDNM+": hrdis.DDNMPlus(),
            "DDNM+, simplified": hrdis.DDNMPlus(form="simplified"),
        },
        "gdp": {
            "GDP-x0": hrdis.GDP(),
            "GDP-x0, stronger": hrdis.GDP(kappa=0.05),
            "GDP-xt": hrdis.GDP(guide="xt"),
        },
        "fps": {"FPS, 1 particle": hrdis.FPS(steps=200, clamp=False)},
        "daps": {"DAPS": hrdis.DAPS(steps=20, tau=tau, lr=0.2 * tau**2)},
        "overrelaxed": {
            "OverRelaxed": hrdis.OverRelaxed(steps=100),
            "OverRelaxed, MMPS above": hrdis.OverRelaxed(steps=50, start=None, mmps_above=50),
        },
    }


class Stream:
    """Noise for all images from one stream: what a sample is worth does not depend on it, and it is
    tenfold faster.
    """

    def __init__(self, seed: int):
        self.rng = stream(seed, "posterior")

    def randn(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.from_numpy(self.rng.standard_normal((len(like), *shape), dtype="float32")).to(
            like
        )

    def rand(self, shape: Sequence[int], like: Tensor) -> Tensor:
        return torch.from_numpy(self.rng.random((len(like), *shape), dtype="float32")).to(like)

    def randn_like(self, x: Tensor) -> Tensor:
        return self.randn(x.shape[1:], x)


@dataclass(frozen=True)
class Case:
    """A prior, an operator and a noise level, with the space that A sees and the one it does
    not.
    """

    prior_name: str
    operator_name: str
    prior: hrdis.Prior
    A: LinearOperator
    sigma_y: float
    seen: Tensor
    unseen: Tensor


@dataclass(frozen=True)
class Row:
    """One line of the tables: figures over the measurements, each with its jackknife standard
    error.
    """

    prior: str
    operator: str
    sigma_y: float
    solver: str
    aim: str
    calls: int
    bias_unseen: float
    bias_unseen_error: float
    bias_unseen_per_std: float
    spread_unseen: float
    variance_ratio_unseen: float
    variance_ratio_unseen_error: float
    bias_seen: float
    bias_seen_error: float
    bias_seen_per_std: float
    spread_seen: float
    variance_ratio_seen: float
    variance_ratio_seen_error: float
    sliced_w2: float
    sliced_w2_error: float
    sliced_w2_floor: float
    batch_difference: float


# ---- what is sampled
# ------------------------------------------------------------------------------


def cases(noises: Sequence[float] = NOISES) -> Iterator[Case]:
    """Three priors times three operators times the noise levels."""
    for name, side in {"pixelwise": SIDE, "correlated": SIDE, "mixture": SMALL_SIDE}.items():
        shape, n = (1, side, side), side * side
        operators: dict[str, LinearOperator] = {
            "inpainting, 50 %": hrdis.operators.Inpainting(
                hrdis.operators.masks.random_pixels(side, side, 0.5)
            ),
            "average pooling x2": hrdis.operators.SuperResolution(2),
            "random matrix, 50 %": dense(n // 2, shape, seed=0),
        }
        for operator_name, A in operators.items():
            H = matrix(A, shape)
            _, s, Vt = torch.linalg.svd(H)
            rank = int((s > 1e-10).sum())
            seen, unseen = Vt[:rank], Vt[rank:]
            prior = (
                mixture(side, seen, unseen)
                if name == "mixture"
                else gaussian(side, name == "correlated")
            )
            for sigma_y in noises:
                yield Case(name, operator_name, prior, A, sigma_y, seen, unseen)


def dense(m: int, shape: tuple[int, int, int], seed: int) -> hrdis.operators.Matrix:
    """y = M x for a random matrix M of shape (m, n), entries N(0, 1/n)."""
    n = torch.Size(shape).numel()
    entries = stream(seed, "dense operator").standard_normal((m, n)) / n**0.5
    return hrdis.operators.Matrix(torch.from_numpy(entries), shape)


def gaussian(side: int, correlated: bool) -> hrdis.Prior:
    """Standard deviation 0.3 around a smooth mean; correlated: exp(-distance / 3 pixels)."""
    u = torch.linspace(0, torch.pi, side, dtype=torch.float64).cos()
    mean = 0.3 * torch.outer(u, u)[None]
    if not correlated:
        return hrdis.priors.Gaussian(mean, 0.09)
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    return hrdis.priors.Gaussian(mean, 0.09 * (-torch.cdist(at, at) / 3).exp())


def mixture(side: int, seen: Tensor, unseen: Tensor) -> hrdis.Prior:
    """Three narrow modes, far apart where A is blind and hardly where it sees: their posteriors
    stay multimodal.
    """
    u = torch.from_numpy(stream(0, "mixture means").standard_normal((3, side * side)))
    means = 0.05 * u @ seen.T @ seen + 0.35 * u @ unseen.T @ unseen
    return hrdis.priors.GaussianMixture(
        means.reshape(3, 1, side, side), torch.tensor([0.5, 0.3, 0.2]), 0.12
    )


def draw(prior: hrdis.Prior, count: int, seed: int) -> Tensor:
    """Samples of an exact prior."""
    if isinstance(prior, hrdis.priors.Gaussian):
        return prior.sample(count, seed)
    modes = [
        hrdis.priors.Gaussian(m, float(s) ** 2)
        for m, s in zip(prior.means, prior.stds, strict=True)
    ]
    return MixturePosterior(modes, prior.weights).sample(count, seed)


def solvers(names: Sequence[str], n: int, sigma_y: float) -> dict[str, Solver]:
    """The settings to run, by the label in the table."""
    out = {}
    for name in names:
        cls, _ = hrdis.SOLVERS[name]
        if name not in LEFT_OUT and not (cls.noiseless and sigma_y > 0):
            out |= settings(n, sigma_y).get(name, {cls.__name__: cls(steps=100)})
    return out


def aim(solver: Solver) -> str:
    """What a method is built to return; "-" for one that `AIMS` does not know."""
    names = {cls: name for name, (cls, _) in hrdis.SOLVERS.items()}
    return next((a for a, members in AIMS.items() if names[type(solver)] in members), "-")


# ---- how it is compared
# ---------------------------------------------------------------------------


def compare(
    case: Case, named: dict[str, Solver], measurements: int, seeds: int, run: int = 0
) -> list[Row]:
    """Run the solvers on one case and measure them against its posterior; another ``run`` has other
    draws and other exact samples.
    """
    noise = hrdis.noise.Gaussian(case.sigma_y, "[-1,1]")
    x = draw(case.prior, measurements, seed=1)
    problem = hrdis.measure(case.A, x, noise, seeds=range(measurements))
    posterior = case.prior.posterior(problem)
    exact = [exact_samples(posterior, seeds, run * SETS + k) for k in range(SETS)]
    floor = torch.stack([sliced_w2(exact[0], other) for other in exact[1:]])
    truth = (
        torch.stack([p.mean.flatten() for p in posterior]),
        torch.stack([p.covariance for p in posterior]),
    )
    many = Problem(problem.y.repeat_interleave(seeds, 0), case.A, problem.sigma_y)
    rows = []
    for label, solver in named.items():
        noisy = (
            not solver.noiseless
        )  # the batch is tried at the first level of noise that a solver can take
        try:
            result = hrdis.solve(solver, case.prior, many, rng=Stream(run))
        except TypeError as error:
            print(f"  {label} left out: {error}")
            continue
        samples = result.x.reshape(measurements, seeds, -1)
        rows.append(
            Row(
                case.prior_name, case.operator_name, case.sigma_y, label, aim(solver), result.nfe,
                *split(samples, truth, case.unseen), *split(samples, truth, case.seen),
                *jackknife(lambda w: w.mean(), sliced_w2(samples, exact[0])), float(floor.mean()),
                batch_difference(solver, case.prior,
                many) if case.prior_name == "correlated" and case.sigma_y == NOISES[noisy] else 0.0,
            )
        )  # fmt: skip
    return rows


def exact_samples(
    posterior: Sequence[hrdis.priors.Gaussian | MixturePosterior], count: int, k: int
) -> Tensor:
    """The k-th set of samples, (measurements, count, n), each from a stream of its own."""
    seeds = range(100 * k * len(posterior), 100 * (k + 1) * len(posterior), 100)
    drawn = [p.sample(count, seed) for p, seed in zip(posterior, seeds, strict=True)]
    return torch.stack(drawn).flatten(2)


def split(samples: Tensor, truth: tuple[Tensor, Tensor], basis: Tensor) -> tuple[float, ...]:
    """Bias (with error, and per posterior std), spread, and variance ratio (with error) along
    ``basis``.

    The squared bias is freed of what the finite number of samples adds to it, so that it can come
    out as 0.
    """
    mean, covariance = truth
    k = samples.shape[1]
    z = samples @ basis.T
    variance = z.var(1).mean(1)
    bias2 = (z.mean(1) - mean @ basis.T).square().mean(1) - variance / k
    exact = torch.einsum("ri,bij,rj->br", basis, covariance, basis).mean(1)
    exact = exact.where(exact > 1e-12, torch.zeros_like(exact))

    def root(v: Tensor) -> Tensor:
        return v.mean().clamp(min=0).sqrt()

    bias, bias_error = jackknife(root, bias2)
    ratio, ratio_error = jackknife(
        lambda pair: pair[:, 0].mean() / pair[:, 1].mean(), torch.stack([variance, exact], 1)
    )
    return (
        bias,
        bias_error,
        bias / float(root(exact)) if exact.any() else float("nan"),
        float(root(variance)),
        ratio,
        ratio_error,
    )


def jackknife(statistic: Callable[[Tensor], Tensor], values: Tensor) -> tuple[float, float]:
    """A statistic of the measurements (first axis of ``values``) and its standard error."""
    n = len(values)
    left_out = torch.stack([statistic(values[torch.arange(n) != i]) for i in range(n)])
    return float(statistic(values)), float(((n - 1) * left_out.var(correction=0)).sqrt())


def sliced_w2(a: Tensor, b: Tensor) -> Tensor:
    """Sliced Wasserstein-2 distance between samples (measurements, samples, n), over random
    directions; (measurements,).
    """
    theta = torch.from_numpy(stream(0, "slices").standard_normal((a.shape[-1], PROJECTIONS)))
    theta = theta / theta.norm(dim=0)
    return ((a @ theta).sort(1).values - (b @ theta).sort(1).values).square().mean((1, 2)).sqrt()


def batch_difference(solver: Solver, prior: hrdis.Prior, many: Problem) -> float:
    """Largest change of a pixel between running images in a batch of 16, and alone."""

    def run(first: int, count: int) -> Tensor:
        part = Problem(many.y[first : first + count], many.A, many.sigma_y)
        return hrdis.solve(solver, prior, part, seeds=range(first, first + count)).x

    together, alone = run(0, 16), 2 if len(solver.times(prior.schedule)) <= 201 else 1
    return max(float((together[i] - run(i, 1)[0]).abs().max()) for i in range(alone))


# ---- particles, and what is exact
# -------------------------------------------------------------------


def by_particles(measurements: int, seeds: int) -> str:
    """FPS by its share of fresh noise and the number of particles, on the correlated prior and
    inpainting.
    """
    lines = []
    for case in cases(NOISES):
        if case.prior_name != "correlated" or "inpainting" not in case.operator_name:
            continue
        for c, steps in ((0.95, 100), (0.95, 400), (0.3, 400)):
            runs = {
                f"M = {M}": hrdis.FPS(steps=steps, c=c, particles=M, clamp=False) for M in PARTICLES
            }
            rows = compare(case, runs, measurements, seeds)
            seen = (
                ["-"] * len(rows)
                if case.sigma_y == 0
                else [f"{r.variance_ratio_seen:.2f}" for r in rows]
            )
            lines.append([
                f"noise {case.sigma_y:g}, c = {c:g}, {steps} calls",
                *(f"{r.variance_ratio_unseen:.2f}" for r in rows), *seen,
                *(with_error(r.sliced_w2 / r.sliced_w2_floor,
                r.sliced_w2_error / r.sliced_w2_floor) for r in rows),
            ])  # fmt: skip
            print(*lines[-1], flush=True)
    header = [
        f"{what}, M = {M}"
        for what in ("variance unseen", "variance seen", "W2 / floor")
        for M in PARTICLES
    ]
    return table(["measurement", *header], lines)


def coefficients(
    solver: Solver, prior: hrdis.Prior, problem: Problem, pixel: int
) -> tuple[Tensor, Tensor]:
    """The result without noise, (c, h, w), and what a unit of each draw at a pixel adds to it,
    (draws, c, h, w).

    For solvers whose result is affine in their draws: no clamp, no resampling, a Gaussian prior.
    """
    count = _Counter()
    x = hrdis.solve(solver, prior, problem, rng=count).x[0]
    units = torch.zeros(count.draws, count.draws, *problem.image_shape[1:], dtype=x.dtype)
    units.flatten(2)[range(count.draws), range(count.draws), pixel] = 1
    many = Problem(problem.y.repeat_interleave(count.draws, 0), problem.A, problem.sigma_y)
    return x, hrdis.solve(solver, prior, many, rng=hrdis.rng.Replay(units)).x - x


class _Counter(Stream):
    """No noise at all, counted."""

    def __init__(self) -> None:
        self.draws = 0

    def randn(self, shape: Sequence[int], like: Tensor) -> Tensor:
        self.draws += 1
        return like.new_zeros(len(like), *shape)


def exactness_unseen() -> str:
    """A missing pixel, independent of the others: variance over the exact one, by the number of
    calls; no sampling.
    """
    prior = hrdis.priors.Gaussian(torch.zeros(1, 1, 2), 0.09)
    problem = Problem(
        torch.tensor([[[[0.2, 0.0]]]]).double(), hrdis.operators.Inpainting(torch.tensor([[1, 0]]))
    )
    runs: dict[str, Callable[[int], Solver]] = {
        "DDNM, DDNM+, DDS, DDRM, eta 0.85": lambda n: hrdis.DDNM(steps=n),
        "the same, eta 0": lambda n: hrdis.DDNM(steps=n, eta=0),
        "PiGDM, eta 1": lambda n: hrdis.PiGDM(steps=n),
        "PiGDM, eta 0": lambda n: hrdis.PiGDM(steps=n, eta=0),
        "FPS, c 0.95": lambda n: hrdis.FPS(steps=n, clamp=False),
        "FPS, c 0.05": lambda n: hrdis.FPS(steps=n, c=0.05, clamp=False),
    }
    alike = [
        hrdis.DDNM(steps=25),
        hrdis.DDNMPlus(steps=25),
        hrdis.DDS(steps=25),
        hrdis.DDRM(steps=25),
    ]

    def variance_ratio(solver: hrdis.Solver) -> float:
        """Return the variance of the missing pixel over its exact one."""
        return float(coefficients(solver, prior, problem, 1)[1][..., 1].square().sum() / 0.09)

    ratios = [variance_ratio(solver) for solver in alike]
    assert max(ratios) - min(ratios) < 1e-9, ratios  # the first line speaks for all four
    return table(
        ["missing pixel", *(f"{n} calls" for n in CALLS)],
        [
            [
                name,
                *(f"{variance_ratio(make(n)):.3f}" for n in CALLS),
            ]
            for name, make in runs.items()
        ],
    )


def exactness_seen() -> str:
    """Denoising, y = x + noise, unit prior: the gain on y and the variance, each over the exact
    one; no sampling.
    """
    lines = []
    for sigma_y in NOISES[1:]:
        prior = hrdis.priors.Gaussian(torch.zeros(1, 1, 1), 1.0)
        problem = Problem(torch.ones(1, 1, 1, 1).double(), hrdis.operators.Identity(), sigma_y)
        runs: dict[str, Callable[[int], Solver]] = {
            "DDRM": lambda n: hrdis.DDRM(steps=n),
            "PiGDM": lambda n: hrdis.PiGDM(steps=n),
            "DDNM+": lambda n: hrdis.DDNMPlus(steps=n),
            "DDNM+, simplified": lambda n: hrdis.DDNMPlus(steps=n, form="simplified"),
            "DDS": lambda n: hrdis.DDS(steps=n),
            "FPS, 1 particle": lambda n: hrdis.FPS(steps=n, clamp=False),
        }
        for name, make in runs.items():
            cells = []
            for n in CALLS:
                x, units = coefficients(make(n), prior, problem, 0)
                gain, variance = (
                    float(x) * (1 + sigma_y**2),
                    float(units.square().sum()) * (1 + 1 / sigma_y**2),
                )
                cells.append(f"{gain:.3f}, {variance:.3f}")
            lines.append([f"noise {sigma_y:g}, {name}", *cells])
    return table(["denoising: gain, variance", *(f"{n} calls" for n in CALLS)], lines)


# ---- the authors' loss at their image size
# ----------------------------------------------------------


LOSSES = {  # label and batch sizes; the per-image loss has nothing to show at 64
    "per_image": ("per image (default)", (1, 4, 16)),
    "batch_mean": ("the authors', mean over the batch", (1, 4, 16, 64)),
}


def spread_by_batch(side: int) -> str:
    """Spread on unobserved pixels (truth 0.5) by batch size, with the per-image loss and the
    authors' batch mean.
    """
    prior = hrdis.priors.Gaussian(torch.zeros(3, side, side), 0.25)
    mask = hrdis.operators.masks.random_pixels(side, side, 0.5)
    A = hrdis.operators.Inpainting(mask)
    y = hrdis.measure(A, prior.sample(1, seed=0).float()).y
    rows = []
    for cls, name in (hrdis.HRDIS, "HRDIS"), (hrdis.REDDiff, "RED-diff"):
        for reduction, (label, batches) in LOSSES.items():
            solver, spreads = cls(steps=100, loss_reduction=reduction), ["", "", "", ""]
            for k, batch in enumerate(batches):
                problem = Problem(y.repeat(batch, 1, 1, 1), A)
                x_hat = hrdis.solve(solver, prior, problem, seeds=range(batch)).x
                spreads[k] = f"{float(x_hat[..., mask == 0].std()):.3f}"
                print(f"  {name}, {label}, batch {batch}: {spreads[k]}", flush=True)
            rows.append([name, label, *spreads])
    return table(["solver", "loss", *(f"batch {b}" for b in LOSSES["batch_mean"][1])], rows)


# ---- the page
# ---------------------------------------------------------------------------------------


def report(rows: list[Row], prior: str) -> str:
    """The table of one prior."""
    header = ["measurement", "solver", "bias unseen (per std)", "variance ratio unseen",
        "bias seen (per std)",
              "variance ratio seen", "sliced W2 (floor)"]  # fmt: skip
    lines = []
    for r in (r for r in rows if r.prior == prior):
        noisy = r.sigma_y > 0
        lines.append([
            f"{r.operator}, noise {r.sigma_y:g}", r.solver,
            f"{with_error(r.bias_unseen, r.bias_unseen_error, 3)} ({r.bias_unseen_per_std:.2f})",
            with_error(r.variance_ratio_unseen, r.variance_ratio_unseen_error),
            with_error(r.bias_seen, r.bias_seen_error,
            3) + (f" ({r.bias_seen_per_std:.2f})" if noisy else ""),
            with_error(r.variance_ratio_seen,
            r.variance_ratio_seen_error) if noisy else f"std {r.spread_seen:.3f}, exact 0",
            f"{with_error(r.sliced_w2, r.sliced_w2_error, 3)} ({r.sliced_w2_floor:.3f})",
        ])  # fmt: skip
    return table(header, lines)


def summary(rows: list[Row]) -> str:
    """One line per solver: means over the cases."""
    lines = []
    for label in dict.fromkeys(r.solver for r in rows):
        own = [r for r in rows if r.solver == label]
        noisy = [r for r in own if r.sigma_y > 0]
        single = [r for r in own if r.prior != "mixture"]

        def mean(values: list[float]) -> str:
            return f"{sum(values) / len(values):.2f}" if values else "-"

        lines.append([
            label, own[0].aim, own[0].calls, mean([r.bias_unseen_per_std for r in single]),
            mean([r.variance_ratio_unseen for r in single]),
            mean([r.variance_ratio_unseen for r in own if r.prior == "mixture"]),
            mean([r.bias_seen_per_std for r in noisy]),
            mean([r.variance_ratio_seen for r in noisy]),
            *(
                mean([r.sliced_w2 / r.sliced_w2_floor for r in own if r.sigma_y == noise])
                for noise in NOISES
            ),
            f"{max(r.batch_difference for r in own):.0e}",
        ])  # fmt: skip
    header = ["solver", "aim", "calls", "bias unseen / std", "variance ratio unseen, Gaussian",
    "the same, mixture",
              "bias seen / std, noisy", "variance ratio seen, noisy",
              *(f"W2 / floor, noise {noise:g}" for noise in NOISES),
              "batch 1 against 16"]  # fmt: skip
    return table(header, lines)


def main(
    solvers_to_run: Annotated[tuple[str, ...], tyro.conf.arg(name="solvers")] = tuple(
        hrdis.SOLVERS
    ),
    measurements: int = 8,
    seeds: int = 60,
    side: int = 256,
    write: bool = True,
    sections: tuple[str, ...] = (),
) -> None:
    """Compare solvers with exact posteriors.

    Args:
        solvers_to_run: keys of hrdis.SOLVERS.
        measurements: measurements y per case.
        seeds: samples per measurement.
        side: image side of the batch-size table; 0 leaves it out.
        write: rewrite docs/measurements/posterior.md and docs/data/posterior.csv.
        sections: only these of "unseen", "seen", "particles", "batch", without the tables of the
            cases.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "x reaches")  # Gaussian priors do not end at 1
    started, rows = time.process_time(), []
    for case in () if sections else cases():
        minutes = (time.process_time() - started) / 60
        print(
            f"{case.prior_name}, {case.operator_name}, noise {case.sigma_y:g} ({minutes:.1f} min)",
            flush=True,
        )
        named = solvers(solvers_to_run, case.seen.shape[1], case.sigma_y)
        rows += compare(case, named, measurements, seeds)
    if write and not sections:
        write_csv(rows)
    later: dict[str, Callable[[], str]] = {
        "summary": lambda: summary(rows),
        **{name: lambda name=name: report(rows, name) for name in BY_CASE},
        "unseen": exactness_unseen,
        "seen": exactness_seen,
    }
    if "fps" in solvers_to_run:
        later["particles"] = lambda: by_particles(4, seeds)
    if side:
        later["batch"] = lambda: spread_by_batch(side)

    def run() -> str:
        minutes = (time.process_time() - started) / 60
        return (
            f"Each case has {measurements} measurements with {seeds} samples each; the run took "
            f"{minutes:.0f} minutes of one core."
        )

    for name, text in (later | {"run": run}).items():
        if sections and name not in sections:
            continue
        made = text()
        print(f"\n{name}\n{made}", flush=True)
        if write and name not in BY_CASE:
            rewrite(PAGE, name, made)


def write_csv(rows: list[Row]) -> None:
    """Every figure, one line per case and solver."""
    with (DOCS / "data" / "posterior.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([f.name for f in fields(Row)])
        out.writerows(
            [f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)] for row in rows
        )


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
