"""azula's denoisers as priors: a stand-in that keeps to its interface, and the package itself where
it is installed.
"""

import math

import pytest
import torch
from torch import nn

import hrdis
from hrdis.priors import Gaussian, from_azula
from tests.common.toys import normal

SHAPE = (3, 4, 4)
Q = hrdis.Schedule.linear()


class VP:
    """alpha_t = exp(t^2 log a), sigma_t = sqrt(1 - alpha_t^2 + s^2), as azula.noise.VPSchedule."""

    def __call__(self, t):
        alpha = torch.exp(math.log(1e-3) * t**2)
        return alpha, torch.sqrt(1 - alpha**2 + 1e-3**2)


class VE:
    def __call__(self, t):
        return torch.ones_like(t), torch.exp((1 - t) * math.log(1e-3) + t * math.log(1e3))


class Rectified:
    def __call__(self, t):
        return 1 - t, t + 1e-3 * (1 - t)


class Posterior:
    def __init__(self, mean):
        self.mean = mean


class Denoiser(nn.Module):
    """The mean of N(mean, var I) given x_t, as azula.denoise.GaussianDenoiser computes it: t is a
    scalar tensor.
    """

    def __init__(self, mean, var, schedule):
        super().__init__()
        self.register_buffer("mean", mean)
        self.var, self.schedule = var, schedule

    def forward(self, x_t, t, **kwargs):
        assert t.shape == ()
        alpha, sigma = self.schedule(t)
        return Posterior(
            (x_t - sigma**2 * (x_t - alpha * self.mean) / (alpha**2 * self.var + sigma**2)) / alpha
        )


EXACT = Gaussian(0.3 * normal(*SHAPE), 0.2)


@pytest.mark.parametrize("t", [0, 1, 50, 500, 900, 999])
@pytest.mark.parametrize("schedule", [VP(), VE(), Rectified()], ids=lambda s: type(s).__name__)
def test_denoiser_of_a_gaussian_is_the_gaussian(schedule, t):
    prior = from_azula(Denoiser(EXACT.mean, 0.2, schedule))
    x_t = normal(2, *SHAPE, seed=1)
    for ours, exact in zip(prior(x_t, t), EXACT(x_t, t), strict=True):
        torch.testing.assert_close(ours, exact, rtol=0, atol=1e-9)


def test_denoiser_is_taken_where_a_prior_is_expected():
    problem = hrdis.measure(
        hrdis.operators.SuperResolution(scale=2), 0.3 * normal(1, *SHAPE), seeds=[0]
    )
    ours, exact = (
        hrdis.solve(hrdis.HRDIS(steps=6), p, problem, seeds=[0]).x
        for p in (Denoiser(EXACT.mean, 0.2, VP()), EXACT)
    )
    torch.testing.assert_close(ours, exact, rtol=0, atol=1e-7)


def test_levels_are_those_of_the_schedule_and_may_be_narrowed():
    prior = from_azula(Denoiser(EXACT.mean, 0.2, VE()))
    assert (prior.sigma_min, prior.sigma_max) == pytest.approx((1e-3, 1e3))
    prior = from_azula(Denoiser(EXACT.mean, 0.2, VE()), sigma_min=0.01, sigma_max=80, channels=(3,))
    assert (prior.sigma_min, prior.sigma_max, prior.channels) == (0.01, 80, (3,))


def test_denoiser_is_frozen_and_moves_with_the_prior():
    denoiser = Denoiser(EXACT.mean, 0.2, VP())
    from_azula(denoiser).float()
    assert denoiser.mean.dtype == torch.float32 and not denoiser.training


@pytest.mark.parametrize("value", [nn.ReLU(), None, Denoiser])
def test_what_is_no_denoiser_is_refused(value):
    with pytest.raises(TypeError, match=r"^denoiser is a \w+\. An azula denoiser, with a schedule"):
        from_azula(value)


def test_schedule_that_falls_is_refused():
    class Falling(VE):
        def __call__(self, t):
            return super().__call__(1 - t)

    with pytest.raises(
        ValueError, match=r"^The noise over signal of the denoiser's schedule is 1000 at t = 0"
    ):
        from_azula(Denoiser(EXACT.mean, 0.2, Falling()))


# ---- the package itself
# ----------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0, 50, 500, 999])
@pytest.mark.parametrize(
    "name", ["VPSchedule", "VESchedule", "CosineSchedule", "RectifiedSchedule"]
)
def test_real_gaussian_denoiser_is_the_gaussian(name, t):
    denoise, noise = pytest.importorskip("azula.denoise"), pytest.importorskip("azula.noise")
    covariance = pytest.importorskip("azula.linalg.covariance")
    theirs = denoise.GaussianDenoiser(
        EXACT.mean,
        covariance.IsotropicCovariance(torch.tensor(0.2).double()),
        getattr(noise, name)(),
    )
    x_t = normal(2, *SHAPE, seed=1)
    for ours, exact in zip(from_azula(theirs)(x_t, t), EXACT(x_t, t), strict=True):
        torch.testing.assert_close(ours, exact, rtol=0, atol=1e-7)


def test_real_karras_denoiser_is_our_bridge_of_the_same_network():
    """azula's own preconditioning around one backbone, against `edm` around the same."""
    denoise, noise = pytest.importorskip("azula.denoise"), pytest.importorskip("azula.noise")

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x, t):
            return self.scale * (x + t.reshape(-1, 1, 1, 1)).tanh()

    theirs = denoise.KarrasDenoiser(Backbone(), noise.VESchedule())
    prior, x = from_azula(theirs), normal(2, *SHAPE, dtype=torch.float32)
    for t in (50, 500):
        s = Q.sigma(t)
        expected = theirs(x / Q.signal(t), torch.log(s / 1e-3).float() / math.log(1e6)).mean
        torch.testing.assert_close(prior(x, t).x0_hat, expected, rtol=1e-4, atol=1e-5)
