"""The residual that a step tells is the root mean square of A(x0_hat) - y, in the newer solvers."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

import hrdis
from hrdis.priors import Prediction, Prior

SIDE = 8
#: Solvers, the noise of y, and whether x0_hat is clamped before it is measured.
SOLVERS = {
    "repaint": (hrdis.RePaint(steps=6, length=2, repeat=2), 0.0, True),
    "cm4ir": (hrdis.CM4IR(steps=6), 0.1, True),
    "cm4ir, not clamped": (hrdis.CM4IR(steps=6, clamp=False), 0.0, False),
    "fire": (hrdis.FIRE(steps=6), 0.1, False),
    "mmps": (hrdis.MMPS(steps=6), 0.1, False),
    "overrelaxed": (hrdis.OverRelaxed(steps=6), 0.1, False),
}


@dataclass
class Kept:
    """A prior's answers, in the order of its calls."""

    found: list[Tensor] = field(default_factory=list)


def remembering(prior: Prior, kept: Kept) -> Prior:
    forward = prior.forward

    def and_keep(*given: object, **named: object) -> Prediction:
        found = forward(*given, **named)  # type: ignore[arg-type]
        kept.found.append(found.x0_hat.detach().clone())
        return found

    prior.forward = and_keep  # type: ignore[method-assign]
    return prior


@pytest.mark.parametrize("name", SOLVERS)
def test_residual_is_that_of_the_network_s_estimate(name: str) -> None:
    solver, noise, clamped = SOLVERS[name]
    mean = torch.linspace(-1.4, 1.4, SIDE * SIDE, dtype=torch.float64).reshape(1, SIDE, SIDE)
    kept = Kept()
    prior = remembering(hrdis.priors.Gaussian(mean, 0.25).double(), kept)
    A = hrdis.operators.SuperResolution(scale=2, kernel="bicubic").double()
    level = hrdis.noise.Gaussian(noise) if noise else None
    problem = hrdis.measure(A, mean[None] / 2, level, seeds=[0])
    run = hrdis.iterate(solver, prior, problem, seeds=[0])
    told = [float(step.info["residual"]) for step in run]
    estimates = [x.clamp(-1, 1) if clamped else x for x in kept.found]
    expected = [float((A(x) - problem.y).square().mean().sqrt()) for x in estimates]
    assert len(told) == len(expected)
    assert told == pytest.approx(expected, abs=1e-9)  # float64
