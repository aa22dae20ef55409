"""Every task's measurement of a batch of crops, and a classical answer to it, for the studies
about tasks.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

import hrdis
from hrdis import operators
from hrdis.problem import Problem
from hrdis.solvers import Solver

from .photographs import bicubic, biharmonic

NOISES: dict[str, hrdis.noise.Noise | None] = {
    "none": None,
    "0.05": hrdis.noise.Gaussian(0.05),
    "0.1": hrdis.noise.Gaussian(0.1),
    "poisson": hrdis.noise.Poisson(1.0),
    "speckle": hrdis.noise.Speckle(0.1),
}
SCANS = ("mri4", "ct60")  # of grey pictures


def grey(x: Tensor) -> Tensor:
    """Grey pictures (..., 3, h, w) of coloured ones."""
    return x.mean(-3, keepdim=True).expand_as(x)


def measured(task: str, x: Tensor, noise: str = "none") -> Problem:
    """The task's measurement of crops (n, 3, h, w), a mask for each; blind where the task is.

    Of scans one grey picture, three times over: the prior takes colours, and three equal ones are a
    grey picture.
    """
    n, (h, w) = len(x), x.shape[-2:]
    build = hrdis.TASKS[task].build
    A = build(h, w, 0, 0)
    if hrdis.TASKS[task].mask:
        A = operators.Inpainting(torch.cat([build(h, w, 0, i).mask for i in range(n)]))  # type: ignore[arg-type]
    problem = hrdis.measure(
        A, x if task not in SCANS else x.mean(1, keepdim=True), NOISES[noise], seeds=range(n)
    )
    if task in SCANS:
        return Problem(problem.y.repeat(1, 3, *[1] * (problem.y.ndim - 2)), A, problem.sigma_y)
    if task == "lowlight":  # the answer must not be among what the solver is told
        problem = Problem(problem.y, operators.LowLight(), problem.sigma_y)
    return problem


def level(noise: str) -> float:
    """Standard deviation for images in [0, 1], at mid-grey."""
    model = NOISES[noise]
    return 0.0 if model is None else model.sigma_y / 2


def kind(noise: str) -> str:
    """What rows of presets call the noise."""
    return noise if noise in ("poisson", "speckle") else "gaussian"


def preset(
    solver: str,
    families: Sequence[str],
    prior: str = "",
    noise: float = 0.0,
    kind: str = "gaussian",
) -> tuple[str | None, Solver]:
    """The row and the settings of a solver: those of the embedded prior for "default", or of the
    paper. ``noise`` is for images in [0, 1].
    """
    tuned = hrdis.presets.embedded() if prior == "default" else None
    choice = hrdis.presets.choose(hrdis.SOLVERS[solver][0], families, noise, kind, tuned)
    return choice.row or None, choice.settings


# ---- classical methods: the name and the answer
# -------------------------------------------------------


def classical(task: str, problem: Problem, sigma: float = 0.0) -> tuple[str, Tensor]:
    """One well-known method per task, told the noise level and nothing of the truth.

    ``sigma`` is for images in [0, 1].
    """
    A, y = problem.A, problem.y
    if task.startswith("sr"):
        x = bicubic(y, hrdis.TASKS[task].scale)
        return (
            ("bicubic, total variation", _each(x, lambda v: _tv(v, sigma)))
            if sigma
            else ("bicubic", x)
        )
    if task.startswith("inpaint"):
        x = _each(y, lambda v: biharmonic(v, v))  # noise leaves holes as they are, exactly mid-grey
        return (
            ("biharmonic, total variation", _each(x, lambda v: _tv(v, sigma)))
            if sigma
            else ("biharmonic", x)
        )
    if task == "denoise":
        return "non-local means", _each(y, lambda v: _nlm(v, sigma))
    if task.startswith(("deblur", "cs", *SCANS)):
        return "total variation", _tv_inverse(
            problem, max(sigma, 0.005 if task.startswith("deblur") else 0.02)
        )
    if task in ("jpeg10", "quantize"):
        strength = 0.03 if task == "jpeg10" else 0.04
        return "total variation", _each(y, lambda v: _tv(v, max(sigma, strength)))
    if task == "hdr":
        x = A.pinv(y)
        return (
            ("scaled, total variation", _each(x, lambda v: _tv(v, sigma / 2)))
            if sigma
            else ("scaled", x)
        )
    if task == "demosaic":
        return "interpolation", A.smooth(y)  # type: ignore[attr-defined]
    if task == "lowlight":
        return "gamma 0.45", _each(y, lambda v: v.clip(0, 1) ** 0.45)
    if task == "colorize":
        x = A.smooth(y)  # type: ignore[attr-defined]
        return (
            ("grey, total variation", _each(x, lambda v: _tv(v, sigma))) if sigma else ("grey", x)
        )
    return "pseudo-inverse", A.pinv(y)


def _each(x: Tensor, method: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """A method for arrays (h, w, 3) in [0, 1], applied to images (n, 3, h, w) in [-1, 1]."""
    found = [method(((v.double() + 1) / 2).permute(1, 2, 0).numpy()) for v in x]
    return 2 * torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() - 1


def _tv(v: np.ndarray, sigma: float) -> np.ndarray:
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(v, weight=0.9 * sigma, channel_axis=-1))


def _nlm(v: np.ndarray, sigma: float) -> np.ndarray:
    from skimage.restoration import denoise_nl_means

    how = {"patch_size": 5, "patch_distance": 6, "channel_axis": -1}
    return np.asarray(denoise_nl_means(v, h=0.7 * sigma, sigma=sigma, **how))


def _tv_inverse(problem: Problem, sigma: float, steps: int = 300) -> Tensor:
    """argmin 1/2 ||A x - y||^2 + sigma / 6 TV(x) on [0, 1], the kinks of TV rounded; by Adam with a
    falling step.
    """
    weight = sigma / 6
    x = problem.A.smooth(problem.y).clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=0.05)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        adam.zero_grad()
        data = (problem.A(x) - problem.y).square().sum() / 8
        down, right = x.diff(dim=-2)[..., :-1] / 2, x.diff(dim=-1)[..., :-1, :] / 2
        (data + weight * (down.square() + right.square() + 1e-6).sum(1).sqrt().sum()).backward()
        adam.step()
        fall.step()
    return x.detach()
