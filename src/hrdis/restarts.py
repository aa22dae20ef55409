"""The best of several runs, for problems where most seeds end in the wrong place: `best_of`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .driver import Result, solve
from .linalg import rms
from .metrics import align, psnr
from .operators.base import BlindOperator
from .priors.base import Prior
from .problem import Problem
from .solvers.base import Solver


@dataclass(frozen=True)
class Best:
    """The run kept for each image, and what all of them scored.

    Args:
        x: (b, c, h, w), the run with the best score of each image.
        chosen: (b,), its number, from 0.
        scores: (k, b): residuals (smaller is better) or PSNR in dB (larger is better); NaN for a
            run that diverged.
        criterion: ``"residual"``, or ``"truth"`` for a choice that has seen the answer.
        seeds: (k, b), the seed of every run.
        results: the k runs.
    """

    x: Tensor
    chosen: Tensor
    scores: Tensor
    criterion: Literal["residual", "truth"]
    seeds: tuple[tuple[int, ...], ...]
    results: tuple[Result, ...]

    def __repr__(self) -> str:
        chosen = f"chosen={self.chosen.tolist()} of {len(self.results)} by {self.criterion}"
        return f"Best(x={tuple(self.x.shape)}, {chosen}, scores={self.scores.tolist()})"

    def record(self) -> dict[str, object]:
        """Return the choice and its criterion as JSON values."""
        return {
            "criterion": self.criterion, "chosen": self.chosen.tolist(),
            "seeds": [list(s) for s in self.seeds],
            "scores": [[s if s == s else None for s in row] for row in self.scores.tolist()],
            "network_calls": sum(r.nfe for r in self.results),
        }  # fmt: skip


def best_of(
    k: int,
    solver: Solver,
    prior: Prior,
    problem: Problem,
    *,
    seeds: Sequence[int],
    truth: Tensor | None = None,
    how: Literal["none", "global", "per_channel"] = "none",
    sign: bool = True,
    on_run: Callable[[Result], object] | None = None,
) -> Best:
    """Run a solver k times and keep the best run of each image.

    The best has the smallest rms of A(x) - y, which needs no truth. With ``truth`` it is the one of
    highest PSNR, as papers on phase retrieval report it; ``Best.criterion`` says which.

    Args:
        k: runs, >= 1; the paper takes 4 for phase retrieval.
        solver, prior, problem: as for `hrdis.solve`.
        seeds: one per image; run j of image i has seed ``seeds[i] + j``. Space them k apart for
            independent images.
        truth: (b, c, h, w), to choose by PSNR instead.
        how, sign: with truth, what counts as the same picture: see `hrdis.metrics.align`; x is
            returned as found.
        on_run: called with every `Result`, e.g. to move a progress bar.

    Raises:
        ValueError: for k below 1, or a truth of another shape.

    Example:
        >>> import hrdis
        >>> prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.25)
        >>> x = torch.ones(1, 1, 8, 8) / 2
        >>> problem = hrdis.measure(hrdis.operators.SuperResolution(2), x, seeds=[0])
        >>> best = best_of(4, hrdis.HRDIS(steps=20), prior, problem, seeds=[0])
        >>> least = best.scores.min()
        >>> best.criterion, tuple(best.scores.shape), bool(best.scores[best.chosen[0], 0] == least)
        ('residual', (4, 1), True)
    """
    if k < 1:
        raise ValueError(f"k is {k}. At least 1 run is expected: best_of(4, ...).")
    if truth is not None and tuple(truth.shape) != tuple(problem.image_shape):
        raise ValueError(
            f"truth has shape {tuple(truth.shape)}, images {tuple(problem.image_shape)}. Both must "
            "agree."
        )
    if len(seeds) != len(problem.y):  # before they are walked through
        raise ValueError(
            f"seeds has {len(seeds)} entries for a batch of {len(problem.y)}. Give one seed per "
            f"image: seeds=range(0, {k * len(problem.y)}, {k})."
        )
    own: list[tuple[int, ...]] = []
    results, scores = [], []
    for j in range(k):
        run = tuple(seed + j for seed in seeds)
        own.append(run)
        result = solve(solver, prior, problem, seeds=run)
        results.append(result)
        if truth is None:
            score = residual(result, problem)
        else:
            x = truth.to(result.x)
            score = psnr(align(result.x, x, how, sign), x)
        scores.append(score.cpu().where(result.finite, torch.nan))
        if on_run is not None:
            on_run(result)
    table = torch.stack(scores)
    worst = table.nan_to_num(nan=torch.inf) if truth is None else -table.nan_to_num(nan=-torch.inf)
    chosen = worst.argmin(0)
    x = torch.stack([r.x for r in results])[
        chosen.to(problem.y.device), torch.arange(len(problem.y))
    ]
    return Best(
        x, chosen, table, "residual" if truth is None else "truth", tuple(own), tuple(results)
    )


def residual(result: Result, problem: Problem) -> Tensor:
    """Root mean square of A(x) - y of each image, (b,), with the parameters of A that the solver
    found.
    """
    A = problem.A
    with torch.no_grad():
        y = (
            A.at(result.x, dict(result.theta))
            if isinstance(A, BlindOperator) and result.theta
            else A(result.x)
        )
    return rms((y - problem.y).abs()).cpu()
