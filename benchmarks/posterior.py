"""How close each solver comes to the exact posterior: bias, spread, and sliced Wasserstein distance.

    python benchmarks/posterior.py                                       # everything; rewrites docs/posterior.md
    python benchmarks/posterior.py --solvers hrdis cr --seeds 64 --no-write

Priors whose posterior is known in closed form take the place of the network (`hrdis.priors.Gaussian` and
`GaussianMixture`), in float64. For each of several measurements y every solver runs from many seeds, and its
samples are compared with the posterior of that y. Solvers come from ``hrdis.SOLVERS``: one that is added there
joins the tables, unless its operator does not fit.
"""

import csv
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Annotated

import torch
import tyro
from pages import DOCS, rewrite, table, with_error
from torch import Tensor

import hrdis
from hrdis.linalg import matrix
from hrdis.operators.base import LinearOperator, Shape
from hrdis.operators.problem import Problem
from hrdis.priors.exact import MixturePosterior
from hrdis.rng import stream
from hrdis.solvers import Solver

SIDE, SMALL_SIDE = 8, 4  # images of 64 pixels; 16 for the mixture, whose modes would else be told apart by any y
PROJECTIONS = 128
PAGE = DOCS / "posterior.md"

PAPER = {  # the paper's settings, all with 100 calls; RED-diff also with its own 1000
    "hrdis": {"HRDIS": hrdis.HRDIS()},
    "reddiff": {"RED-diff": hrdis.REDDiff(steps=100), "RED-diff, 1000 calls": hrdis.REDDiff()},
    "cr": {"CR": hrdis.CR()},
}
NOISY = {"lambda_obs": 0.1, "weight_min": 2.0}  # the paper's for Gaussian noise of 0.05 in [0, 1], which is 0.1 here


class Dense(LinearOperator):
    """y = M x for a random matrix M of shape (m, n), entries N(0, 1/n)."""

    def __init__(self, m: int, shape: tuple[int, int, int], seed: int):
        super().__init__()
        n = torch.Size(shape).numel()
        entries = stream(seed, "dense operator").standard_normal((m, n)) / n**0.5
        self.shape, self.M = shape, torch.from_numpy(entries)
        self.M_pinv = torch.linalg.pinv(self.M)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.M.T.to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.M.to(y)).reshape(-1, *self.shape)

    def pinv(self, y: Tensor) -> Tensor:
        return (y @ self.M_pinv.T.to(y)).reshape(-1, *self.shape)

    def image_shape(self, y_shape: Shape) -> Shape:
        return (y_shape[0], *self.shape)


@dataclass(frozen=True)
class Case:
    """A prior, an operator and a noise level, with the space that A sees and the one it does not."""

    prior_name: str
    operator_name: str
    prior: hrdis.Prior
    A: LinearOperator
    sigma_y: float
    seen: Tensor
    unseen: Tensor


@dataclass(frozen=True)
class Row:
    """One line of the tables: figures over the measurements, each with its jackknife standard error."""

    prior: str
    operator: str
    sigma_y: float
    solver: str
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


# ---- what is sampled ------------------------------------------------------------------------------


def cases(noises: Sequence[float] = (0.0, 0.1)) -> Iterator[Case]:
    """Three priors times three operators times the noise levels."""
    for name, side in {"pixelwise": SIDE, "correlated": SIDE, "mixture": SMALL_SIDE}.items():
        shape, n = (1, side, side), side * side
        operators: dict[str, LinearOperator] = {
            "inpainting, 50 %": hrdis.operators.Inpainting(hrdis.operators.masks.random_pixels(side, side, 0.5)),
            "average pooling x2": hrdis.operators.SuperResolution(2),
            "random matrix, 50 %": Dense(n // 2, shape, seed=0),
        }
        for operator_name, A in operators.items():
            H = matrix(A, shape)
            _, s, Vt = torch.linalg.svd(H)
            rank = int((s > 1e-10).sum())
            seen, unseen = Vt[:rank], Vt[rank:]
            prior = mixture(side, seen, unseen) if name == "mixture" else gaussian(side, name == "correlated")
            for sigma_y in noises:
                yield Case(name, operator_name, prior, A, sigma_y, seen, unseen)


def gaussian(side: int, correlated: bool) -> hrdis.Prior:
    """Standard deviation 0.5 around a smooth mean; correlated: exp(-distance / 3 pixels)."""
    u = torch.linspace(0, torch.pi, side, dtype=torch.float64).cos()
    mean = 0.4 * torch.outer(u, u)[None]
    if not correlated:
        return hrdis.priors.Gaussian(mean, 0.25)
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    return hrdis.priors.Gaussian(mean, 0.25 * (-torch.cdist(at, at) / 3).exp())


def mixture(side: int, seen: Tensor, unseen: Tensor) -> hrdis.Prior:
    """Three narrow modes, far apart where A is blind and hardly where it sees: their posteriors stay multimodal."""
    u = torch.from_numpy(stream(0, "mixture means").standard_normal((3, side * side)))
    means = 0.1 * u @ seen.T @ seen + 0.6 * u @ unseen.T @ unseen
    return hrdis.priors.GaussianMixture(means.reshape(3, 1, side, side), torch.tensor([0.5, 0.3, 0.2]), 0.2)


def draw(prior: hrdis.Prior, count: int, seed: int) -> Tensor:
    """Samples of an exact prior."""
    if isinstance(prior, hrdis.priors.Gaussian):
        return prior.sample(count, seed)
    modes = [hrdis.priors.Gaussian(m, float(s) ** 2) for m, s in zip(prior.means, prior.stds, strict=True)]
    return MixturePosterior(modes, prior.weights).sample(count, seed)


def solvers(names: Sequence[str], sigma_y: float) -> dict[str, tuple[str, Solver]]:
    """The settings to run, by the label in the table."""
    out = {}
    for name in names:
        cls, _ = hrdis.SOLVERS[name]
        if cls.noiseless and sigma_y > 0:
            continue
        for label, solver in PAPER.get(name, {cls.__name__: cls()}).items():
            out[label] = solver
            if sigma_y > 0 and name == "hrdis":
                out["HRDIS, noisy settings"] = cls(**NOISY)
    return out


# ---- how it is compared ---------------------------------------------------------------------------


def compare(case: Case, named: dict[str, Solver], measurements: int, seeds: int) -> list[Row]:
    """Run the solvers on one case and measure them against its posterior."""
    noise = hrdis.noise.Gaussian(case.sigma_y, "[-1,1]")
    x = draw(case.prior, measurements, seed=1)
    problem = hrdis.measure(case.A, x, noise, seeds=range(measurements))
    posterior = case.prior.posterior(problem)
    exact = [torch.stack([p.sample(seeds, seed=2 + k) for p in posterior]).flatten(2) for k in (0, 1000)]
    floor = sliced_w2(exact[0], exact[1])
    truth = torch.stack([p.mean.flatten() for p in posterior]), torch.stack([p.covariance for p in posterior])
    many = Problem(problem.y.repeat_interleave(seeds, 0), case.A, problem.sigma_y)
    rows = []
    for label, solver in named.items():
        try:
            result = hrdis.solve(solver, case.prior, many, seeds=range(measurements * seeds))
        except TypeError as error:
            print(f"  {label} left out: {error}")
            continue
        samples = result.x.reshape(measurements, seeds, -1)
        rows.append(
            Row(
                case.prior_name, case.operator_name, case.sigma_y, label, result.nfe,
                *split(samples, truth, case.unseen), *split(samples, truth, case.seen),
                *jackknife(lambda w: w.mean(), sliced_w2(samples, exact[0])), float(floor.mean()),
                batch_difference(solver, case.prior, many, result.x),
            )
        )  # fmt: skip
    return rows


def split(samples: Tensor, truth: tuple[Tensor, Tensor], basis: Tensor) -> tuple[float, ...]:
    """Bias (with error, and per posterior std), spread, and variance ratio (with error) along ``basis``.

    The squared bias is freed of what the finite number of samples adds to it, so that it can come out as 0.
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
    """Sliced Wasserstein-2 distance between samples (measurements, samples, n), over random directions; (measurements,)."""
    theta = torch.from_numpy(stream(0, "slices").standard_normal((a.shape[-1], PROJECTIONS)))
    theta = theta / theta.norm(dim=0)
    return ((a @ theta).sort(1).values - (b @ theta).sort(1).values).square().mean((1, 2)).sqrt()


def batch_difference(solver: Solver, prior: hrdis.Prior, many: Problem, x: Tensor) -> float:
    """Largest change of a pixel when the first images run in a batch of 16, and alone."""
    alone = 4 if len(solver.times(prior.schedule)) <= 201 else 1

    def run(first: int, count: int) -> Tensor:
        part = Problem(many.y[first : first + count], many.A, many.sigma_y)
        return hrdis.solve(solver, prior, part, seeds=range(first, first + count)).x

    pieces = [run(0, 16)] + [run(i, 1) for i in range(alone)]
    wanted = [x[:16]] + [x[i : i + 1] for i in range(alone)]
    return max(float((a - b).abs().max()) for a, b in zip(pieces, wanted, strict=True))


# ---- the authors' loss at their image size ----------------------------------------------------------


LOSSES = {  # label and batch sizes; the per-image loss has nothing to show at 64
    "per_image": ("per image (default)", (1, 4, 16)),
    "batch_mean": ("the authors', mean over the batch", (1, 4, 16, 64)),
}


def spread_by_batch(side: int) -> str:
    """Spread on unobserved pixels (truth 0.5) by batch size, with the per-image loss and the authors' batch mean."""
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


# ---- the page ---------------------------------------------------------------------------------------


def report(rows: list[Row], prior: str) -> str:
    """The table of one prior."""
    header = ["measurement", "solver", "bias unseen (per std)", "variance ratio unseen", "bias seen (per std)",
              "variance ratio seen", "sliced W2 (floor)"]  # fmt: skip
    lines = []
    for r in (r for r in rows if r.prior == prior):
        noisy = r.sigma_y > 0
        lines.append([
            f"{r.operator}, noise {r.sigma_y:g}", r.solver,
            f"{with_error(r.bias_unseen, r.bias_unseen_error, 3)} ({r.bias_unseen_per_std:.2f})",
            with_error(r.variance_ratio_unseen, r.variance_ratio_unseen_error),
            with_error(r.bias_seen, r.bias_seen_error, 3) + (f" ({r.bias_seen_per_std:.2f})" if noisy else ""),
            with_error(r.variance_ratio_seen, r.variance_ratio_seen_error) if noisy else f"std {r.spread_seen:.3f}, exact 0",
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
            label, own[0].calls, mean([r.bias_unseen_per_std for r in single]), mean([r.variance_ratio_unseen for r in single]),
            mean([r.variance_ratio_unseen for r in own if r.prior == "mixture"]), mean([r.bias_seen_per_std for r in noisy]),
            mean([r.variance_ratio_seen for r in noisy]), mean([r.sliced_w2 / r.sliced_w2_floor for r in own]),
            f"{max(r.batch_difference for r in own):.0e}",
        ])  # fmt: skip
    header = ["solver", "calls", "bias unseen / std", "variance ratio unseen, Gaussian", "the same, mixture",
              "bias seen / std, noisy", "variance ratio seen, noisy", "sliced W2 / floor", "batch 1, 16, all: largest difference"]  # fmt: skip
    return table(header, lines)


def main(
    solvers_to_run: Annotated[tuple[str, ...], tyro.conf.arg(name="solvers")] = tuple(hrdis.SOLVERS),
    measurements: int = 8,
    seeds: int = 200,
    side: int = 256,
    write: bool = True,
) -> None:
    """Compare solvers with exact posteriors.

    Args:
        solvers_to_run: keys of hrdis.SOLVERS.
        measurements: measurements y per case.
        seeds: samples per measurement.
        side: image side of the batch-size table; 0 leaves it out.
        write: rewrite docs/posterior.md and docs/data/posterior.csv.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "x reaches")  # Gaussian priors do not end at 1
    started, rows = time.process_time(), []
    for case in cases():
        print(f"{case.prior_name}, {case.operator_name}, noise {case.sigma_y:g}", flush=True)
        rows += compare(case, solvers(solvers_to_run, case.sigma_y), measurements, seeds)
    sections = {"summary": summary(rows)} | {
        name: report(rows, name) for name in ("pixelwise", "correlated", "mixture")
    }
    if side:
        sections["batch"] = spread_by_batch(side)
    minutes = (time.process_time() - started) / 60
    sections["run"] = f"{measurements} measurements per case, {seeds} samples each; {minutes:.0f} minutes of one core."
    for name, text in sections.items():
        print(f"\n{name}\n{text}")
        if write:
            rewrite(PAGE, name, text)
    if write:
        write_csv(rows)


def write_csv(rows: list[Row]) -> None:
    """Every figure, one line per case and solver."""
    with (DOCS / "data" / "posterior.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([f.name for f in fields(Row)])
        out.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)] for row in rows)


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
