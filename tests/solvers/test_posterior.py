"""Samples against a posterior known in closed form: 400 seeds, 16 pixels, half of them observed
without noise.

Only a check of where each solver lands; none of them samples the posterior, and the table in the
docs says by how much.
"""

from functools import cache

import pytest
import torch
from torch import Tensor

import hrdis
from hrdis.operators import Inpainting
from hrdis.problem import Problem
from tests.common.toys import gaussian, normal, repeated

LEFT_HALF = torch.cat([torch.ones(4, 2), torch.zeros(4, 2)], dim=1)

#: 100 calls each; strengths that belong to the size of an image or to 1000 calls are raised to suit
#: 16 pixels.
SETTINGS: dict[str, hrdis.Solver] = {
    name: cls(steps=100)
    for name, (cls, _) in hrdis.SOLVERS.items()
    if isinstance(Inpainting(LEFT_HALF), cls().needs())
} | {
    "dps": hrdis.DPS(steps=100, zeta=0.5),
    "gdp": hrdis.GDP(steps=100, kappa=0.5),
    "fps": hrdis.FPS(steps=100, clamp=False),
    "daps": hrdis.DAPS(steps=20, langevin_steps=20, lr=5e-5),
}

#: Bounds of the variance over that of the posterior, summed over pixels, and why. 400 samples have
#: a standard error of 3 %.
FIXED_SHARE = (0.5, 0.9)  # a share of fresh noise that stays narrows, with however many calls
ANCESTRAL = (0.7, 1.12)  # the share vanishes with the calls: at 100, less than 30 % is missing
AVERAGED = (0.0, 0.6)  # fresh noise averages out over the steps of Adam
SPREAD = {
    "reddiff": AVERAGED,
    "drddim": AVERAGED,
    "hrdis": (0.6, 1.5),  # carries 0.8 of its noise: between those two and CR
    "cmhrdis": (0.6, 1.5),
    "cr": (1.5, 4.0),  # carried noise adds up
    "ddrm": FIXED_SHARE,
    "ddnm": FIXED_SHARE,
    "ddnmplus": FIXED_SHARE,
    "dds": FIXED_SHARE,
    "fps": FIXED_SHARE,
    "dps": ANCESTRAL,
    "pigdm": ANCESTRAL,
    "gdp": ANCESTRAL,
    "mmps": ANCESTRAL,
    "daps": ANCESTRAL,  # all noise is drawn anew at each of 20 levels
    "diffpir": (0.0, 0.8),  # the shared noise is fresh, and each step moves to a mode
    "overrelaxed": (0.88, 1.12),  # the posterior's own, up to four standard errors
    "fire": (0.0, 0.01),  # these two seek the mean
    "cm4ir": (0.0, 0.01),
}

#: Distance of the means over what the measurement tells, at most; measured 0.03 to 0.12, with
#: standard errors of 0.03 to 0.08. Those that learn of y by small steps, on the way down, learn
#: late.
FAR = {"dps": 0.6, "gdp": 0.5, "daps": 0.4}

prior = gaussian()
y = Inpainting(LEFT_HALF)(prior.sample(1, seed=3))
(posterior,) = prior.posterior(Problem(y, Inpainting(LEFT_HALF)))


@cache
def samples(name: str) -> Tensor:
    problem = repeated(Problem(y, Inpainting(LEFT_HALF)), 400)
    return hrdis.solve(SETTINGS[name], prior, problem, seeds=range(400)).x


@pytest.mark.parametrize("name", SETTINGS)
def test_mean_of_samples_is_near_the_posterior_mean(name):
    distance = float(
        (samples(name).mean(0) - posterior.mean).norm() / (prior.mean - posterior.mean).norm()
    )
    assert distance < FAR.get(name, 0.2)


@pytest.mark.parametrize("name", SPREAD)
def test_spread_of_samples_is_within_the_bounds_of_its_kind(name):
    spread = float(torch.cov(samples(name).flatten(1).T).trace() / posterior.covariance.trace())
    low, high = SPREAD[name]
    assert low < spread < high


def test_spread_grows_with_the_share_of_carried_noise():
    spread = {
        name: float(torch.cov(samples(name).flatten(1).T).trace())
        for name in ("reddiff", "hrdis", "cr")
    }
    assert spread["reddiff"] < spread["hrdis"] < spread["cr"]


@pytest.mark.parametrize(("form", "low", "high"), [("score", 0.88, 1.1), ("paper", 0.0, 0.4)])
def test_pigdm_as_a_score_is_exact_for_a_standard_normal_image(form, low, high):
    """As printed in the paper, it pulls harder the more steps there are, and its variance along
    what was seen falls.
    """
    prior, H = hrdis.priors.Gaussian(torch.zeros(1, 4, 4), 1.0), normal(6, 16, seed=8) / 3
    A = hrdis.operators.Matrix(H, (1, 4, 4))
    y = H @ prior.sample(1, seed=3).flatten()
    (posterior,) = prior.posterior(Problem(y[None], A, 0.3))
    problem = Problem(y.expand(400, -1), A, 0.3)
    samples = hrdis.solve(
        hrdis.PiGDM(steps=400, form=form), prior, problem, seeds=range(400)
    ).x.flatten(1)
    seen = torch.linalg.svd(H).Vh[:6]
    exact = torch.einsum("ri,ij,rj->", seen, posterior.covariance, seen)
    spread = float((samples @ seen.T).var(0).sum() / exact)
    assert (
        low < spread < high
    )  # a standard error of 3 %; discretization takes 19 % at 100 steps, 5 % at 400
