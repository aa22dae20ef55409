"""How the over-relaxed sampler comes to the exact posterior with the number of calls, beside HRDIS,
DDRM, MMPS and DAPS; and what steps of MMPS at the high levels do for separate modes.

    python studies/overrelaxed.py     # rewrites docs/measurements/overrelaxed.md, its plot and data

The problems are those of ``posterior.py``. Spread and distance are measured on samples; for the
over-relaxed sampler on Gaussian priors the law of a sample is computed as well, without sampling. A
line of docs/data/overrelaxed.csv that is there already is not made again.
"""

import csv
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields, replace

import posterior
import torch
import tyro
from common.pages import DOCS, rewrite, table
from torch import Tensor

import hrdis
from hrdis.linalg import matrix
from hrdis.solvers import Solver

PAGE, CSV = DOCS / "measurements" / "overrelaxed.md", DOCS / "data" / "overrelaxed.csv"
CALLS, MORE = (5, 10, 20, 50, 100), (200, 1000)
#: The over-relaxed sampler is measured more closely than the others: runs, measurements, samples.
CLOSELY = (2, 16, 60)
COMPARED = 0.05  # the largest noise at which the others run too
AFTER_MMPS = "OverRelaxed after MMPS"
LABELS = ("OverRelaxed", AFTER_MMPS, "HRDIS", "DDRM", "MMPS", "DAPS")


@dataclass(frozen=True)
class Row:
    """A solver on a problem: variance over that of the posterior, and sliced W2 over its floor."""

    prior: str
    operator: str
    sigma_y: float
    solver: str
    calls: int
    bias_unseen_per_std: float
    variance_unseen: float
    bias_seen_per_std: float
    variance_seen: float
    w2_over_floor: float
    w2_error: float


def runs(case: posterior.Case) -> dict[str, Solver]:
    """The solvers of a case by label and calls, as the page of exact posteriors sets them."""
    tau = 2**0.5 * case.sigma_y if case.sigma_y > 0 else 0.01
    found: dict[str, Solver] = {}
    for n in CALLS:
        found[f"OverRelaxed {n}"] = hrdis.OverRelaxed(steps=n)
        found[f"{AFTER_MMPS} {n}"] = hrdis.OverRelaxed(steps=n, start=None, mmps_above=50)
        if case.sigma_y > COMPARED:
            continue
        found |= {
            f"HRDIS {n}": hrdis.HRDIS(steps=n),
            f"DDRM {n}": hrdis.DDRM(steps=n),
            f"MMPS {n}": hrdis.MMPS(steps=n),
            f"DAPS {n}": hrdis.DAPS(steps=n // 5, ode_steps=5, tau=tau, lr=0.2 * tau**2),
        }
    for n in MORE:
        found[f"OverRelaxed {n}"] = hrdis.OverRelaxed(steps=n, start=None if n > 500 else 500)
    return found


def sampled(case: posterior.Case, measurements: int, seeds: int, known: Sequence[Row]) -> list[Row]:
    """Measure what is not known of a case yet."""
    done = {
        f"{r.solver} {r.calls}"
        for r in known
        if (r.prior, r.operator, r.sigma_y) == (case.prior_name, case.operator_name, case.sigma_y)
    }
    wanted = {label: solver for label, solver in runs(case).items() if label not in done}
    if not wanted:
        return []
    # another name than "correlated", for which `compare` would also run every solver in batches
    renamed = replace(case, prior_name=f"{case.prior_name}, here")
    own = {label: solver for label, solver in wanted.items() if label.startswith("OverRelaxed")}
    others = {label: solver for label, solver in wanted.items() if label not in own}
    count, closely, samples = CLOSELY
    found = [posterior.compare(renamed, own, closely, samples, run) for run in range(count)]
    found += [posterior.compare(renamed, others, measurements, seeds)]
    return [
        as_row(case, label, [r for rows in found for r in rows if r.solver == label])
        for label in wanted
    ]


def as_row(case: posterior.Case, label: str, runs: Sequence[posterior.Row]) -> Row:
    """The means over runs of a solver on a case."""
    solver, _, calls = label.rpartition(" ")

    def over(value: Callable[[posterior.Row], float]) -> float:
        return mean([value(r) for r in runs])

    return Row(
        case.prior_name, case.operator_name, case.sigma_y, solver, int(calls),
        over(lambda r: r.bias_unseen_per_std), over(lambda r: r.variance_ratio_unseen),
        over(lambda r: r.bias_seen_per_std), over(lambda r: r.variance_ratio_seen),
        over(lambda r: r.sliced_w2 / r.sliced_w2_floor),
        over(lambda r: r.sliced_w2_error / r.sliced_w2_floor) / len(runs) ** 0.5,
    )  # fmt: skip


# ---- without sampling ----------------------------------------------------------------------------


def law(case: posterior.Case, solver: hrdis.OverRelaxed) -> tuple[float, float]:
    """Variance of a sample over the posterior's, unseen and seen, exactly; for a Gaussian prior."""
    q, C, sigma_y = case.prior.schedule, case.prior.covariance, case.sigma_y
    eye = torch.eye(len(C), dtype=torch.float64)
    H = matrix(case.A, tuple(case.prior.mean.shape))
    H = H[(H != 0).any(1)]  # without the rows of holes
    spread2, cov = solver.spread**2, None
    for t in solver.times(q)[:-1]:
        s2 = float(q.sigma(t)) ** 2
        c = s2 * spread2 / (s2 + spread2)
        denoiser = C @ torch.linalg.inv(C + s2 * eye)
        if sigma_y == 0:
            M = (eye - torch.linalg.pinv(H) @ H) @ denoiser
        else:
            M = torch.linalg.solve(c / sigma_y**2 * H.T @ H + eye, denoiser)
        if cov is None:
            cov = s2 * M @ M.T
        else:  # mu' = (2 M - I) mu + 2 sigma M z
            cov = (2 * M - eye) @ cov @ (2 * M - eye).T + 4 * s2 * M @ M.T
    S = H @ C @ H.T + sigma_y**2 * torch.eye(len(H), dtype=torch.float64)
    exact = C - C @ H.T @ torch.linalg.pinv(S, rtol=1e-10) @ H @ C

    def ratio(V: Tensor) -> float:
        return float((V @ cov @ V.T).trace() / (V @ exact @ V.T).trace())

    return ratio(case.unseen), ratio(case.seen) if sigma_y > 0 else float("nan")


def law_table() -> str:
    """The range of those ratios over all Gaussian problems, by calls."""
    lines = []
    for n in (*CALLS, *MORE):
        solver = hrdis.OverRelaxed(steps=n, start=None if n > 500 else 500)
        unseen, seen = [], []
        for case in posterior.cases():
            if case.prior_name != "mixture":
                a, b = law(case, solver)
                unseen.append(a)
                seen += [b] if case.sigma_y > 0 else []
        lines.append([f"{n}", *(f"{min(v):.3f} to {max(v):.3f}" for v in (unseen, seen))])
    return table(["calls", "variance unseen", "variance seen"], lines)


# ---- the page ------------------------------------------------------------------------------------


def mean(values: Sequence[float]) -> float:
    """The mean of at least one number, else NaN."""
    return sum(values) / len(values) if values else float("nan")


def sampled_table(rows: Sequence[Row]) -> str:
    """Means (and ranges of the variance) over the Gaussian problems, and W2 on the mixtures; noise
    up to `COMPARED`.
    """
    lines = []
    for label in LABELS:
        for n in (*CALLS, *MORE):
            own = [r for r in rows if r.solver == label and r.calls == n and r.sigma_y <= COMPARED]
            if not own:
                continue
            single = [r for r in own if r.prior != "mixture"]
            unseen = [r.variance_unseen for r in single]
            seen = [r.variance_seen for r in single if r.sigma_y > 0]
            cells = [f"{mean(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in (unseen, seen)]
            for noisy in (False, True):
                cells.append(
                    f"{mean([r.w2_over_floor for r in single if (r.sigma_y > 0) == noisy]):.2f}"
                )
            cells.append(f"{mean([r.w2_over_floor for r in own if r.prior == 'mixture']):.2f}")
            lines.append([label, n, *cells])
    header = ["solver", "calls", "variance unseen", "variance seen, noisy",
        "W2 / floor, no noise", "W2 / floor, noisy", "W2 / floor, mixture"]  # fmt: skip
    return table(header, lines)


def held(rows: Sequence[Row], label: str) -> str:
    """A way of the over-relaxed sampler on all problems: means and ranges, by calls."""
    lines = []
    for n in (*CALLS, *MORE):
        own = [r for r in rows if r.solver == label and r.calls == n]
        single = [r for r in own if r.prior != "mixture"]
        columns = (
            [r.variance_unseen for r in single],
            [r.variance_seen for r in single if r.sigma_y > 0],
            [r.w2_over_floor for r in single],
            [r.w2_over_floor for r in own if r.prior == "mixture"],
        )
        if own:
            cells = [f"{mean(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in columns]
            lines.append([f"{n}", *cells])
    header = ["calls", "variance unseen", "variance seen, noisy", "W2 / floor", "mixtures"]
    return table(header, lines)


def plot(rows: Sequence[Row]) -> None:
    """Mean W2 / floor by calls, over the Gaussian problems and over the mixtures."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels: dict[str, Callable[[Row], bool]] = {
        "Gaussian, no noise": lambda r: r.prior != "mixture" and r.sigma_y == 0,
        "Gaussian, noise 0.05": lambda r: r.prior != "mixture" and r.sigma_y == COMPARED,
        "mixtures": lambda r: r.prior == "mixture" and r.sigma_y <= COMPARED,
    }
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.4), sharey=True, layout="constrained")
    for (title, belongs), ax in zip(panels.items(), axes, strict=True):
        for label in LABELS:
            points = []
            for n in CALLS:
                own = [r for r in rows if (r.solver, r.calls) == (label, n) and belongs(r)]
                points.append(mean([r.w2_over_floor for r in own]))
            ax.loglog(CALLS, points, "o-", label=label)
        ax.axhline(1, color="grey", linewidth=0.8)
        ax.set(title=title, xlabel="network calls")
        ax.set_xticks(CALLS, [str(n) for n in CALLS], minor=False)
        ax.set_xticks([], minor=True)
        ax.set_yticks((1, 2, 3, 4), ("1", "2", "3", "4"))
        ax.set_yticks([], minor=True)
    axes[0].set_ylabel("W2 / floor")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(DOCS / "pictures" / "overrelaxed.png", dpi=110)


def read() -> list[Row]:
    """Lines of earlier runs."""
    if not CSV.exists():
        return []
    kinds = {f.name: f.type for f in fields(Row)}
    with CSV.open(newline="") as file:
        return [Row(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(file)]  # type: ignore[operator]


def main(measurements: int = 4, seeds: int = 60, minutes: float = 60) -> None:
    """Measure, and write the page.

    Args:
        measurements: measurements y per problem, for the other solvers.
        seeds: samples per measurement, for the other solvers.
        minutes: begin no other problem after so long.
    """
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    deadline, rows = time.perf_counter() + 60 * minutes, read()
    for case in posterior.cases():
        if time.perf_counter() > deadline:
            break
        rows += sampled(case, measurements, seeds, rows)
        with CSV.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow([f.name for f in fields(Row)])
            for row in rows:
                out.writerow([f"{v:.5g}" if isinstance(v, float) else v for v in astuple(row)])
        print(case.prior_name, case.operator_name, case.sigma_y, flush=True)
    rewrite(PAGE, "held", held(rows, "OverRelaxed"))
    rewrite(PAGE, "after", held(rows, AFTER_MMPS))
    rewrite(PAGE, "sampled", sampled_table(rows))
    plot(rows)
    rewrite(PAGE, "law", law_table())


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
