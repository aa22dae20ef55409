"""The bridge between denoisers D(x, sigma) and priors: exact on a Gaussian, in both directions, at
every level.
"""

import math

import pytest
import torch
from torch import nn

import hrdis
from hrdis.priors import DenoiserPrior, Gaussian, consistency, edm, prior_as_denoiser
from tests.common.toys import Recorded, normal

Q = hrdis.Schedule.linear()
SHAPE = (3, 4, 4)
TIMES = [0, 1, 7, 100, 500, 800, 929, 930, 999]


def covariance(scale: float = 1.0) -> torch.Tensor:
    half = normal(48, 48, seed=5) / 48**0.5
    return scale * (half @ half.T + 0.05 * torch.eye(48, dtype=torch.float64))


def closed_form(prior: Gaussian, x: torch.Tensor, sigma: float) -> torch.Tensor:
    """E[x0 | x0 + sigma n = x], from the covariance by a linear solve: no code of the library."""
    C, m = prior.covariance, prior.mean.flatten()
    S = C + sigma**2 * torch.eye(len(m), dtype=torch.float64)
    return (m + torch.linalg.solve(S, (x.double().flatten(1) - m).T).T @ C).reshape(x.shape)


def seen(prior: Gaussian, sigma: float, batch: int = 3) -> torch.Tensor:
    """Pictures of the Gaussian with noise of that level."""
    return prior.sample(batch, seed=1) + sigma * normal(batch, *SHAPE, seed=2)


def denoiser(exact: Gaussian):
    return lambda x, sigma: closed_form(exact, x, float(sigma[0])).to(x)


EXACT = Gaussian(0.3 * normal(*SHAPE, seed=3), covariance())

# ---- a denoiser as a prior
# ------------------------------------------------------------------------


@pytest.mark.parametrize("t", TIMES)
def test_prior_of_a_gaussian_denoiser_is_the_gaussian(t):
    bridge = DenoiserPrior(denoiser(EXACT), sigma_min=0.002, sigma_max=160)
    x_t = Q.signal(t) * seen(EXACT, float(Q.sigma(t)))
    for ours, exact in zip(bridge(x_t, t), EXACT(x_t, t), strict=True):
        torch.testing.assert_close(ours, exact, rtol=0, atol=1e-9)


@pytest.mark.parametrize("t", TIMES)
def test_prior_in_single_precision_is_the_gaussian(t):
    """To 1e-5, and at little noise to what x - D keeps of the digits of x: 2^-23 |x| / s."""
    s = float(Q.sigma(t))
    x_t = (Q.signal(t) * seen(EXACT, s)).float()
    ours, exact = DenoiserPrior(denoiser(EXACT), sigma_max=160)(x_t, t), EXACT(x_t.double(), t)
    assert ours.eps.dtype == ours.x0_hat.dtype == torch.float32
    torch.testing.assert_close(ours.x0_hat.double(), exact.x0_hat, rtol=1e-6, atol=1e-5)
    lost = 2**-23 * float(x_t.abs().max() / Q.signal(t)) / s
    torch.testing.assert_close(ours.eps.double(), exact.eps, rtol=0, atol=max(1e-5, lost))


@pytest.mark.parametrize("t", TIMES)
def test_both_forms_are_one_estimate_even_where_clamped(t):
    bridge = DenoiserPrior(denoiser(EXACT), sigma_min=0.1, sigma_max=1)
    x_t = Q.signal(t) * seen(EXACT, float(Q.sigma(t)))
    x0_hat, eps = bridge(x_t, t)
    torch.testing.assert_close(Q.signal(t) * x0_hat + Q.noise(t) * eps, x_t, rtol=0, atol=1e-12)


def recorded_levels(t: int, **limits) -> tuple[float, torch.Tensor]:
    asked = []

    def denoise(x, sigma):
        asked.append((float(sigma[0]), x))
        return x

    DenoiserPrior(denoise, **limits)(Q.signal(t) * seen(EXACT, float(Q.sigma(t))), t)
    (found,) = asked
    return found


@pytest.mark.parametrize(
    ("t", "level"), [(929, float(Q.sigma(929))), (930, 80.0), (999, 80.0), (0, float(Q.sigma(0)))]
)
def test_network_is_asked_within_its_range(t, level):
    assert recorded_levels(t)[0] == pytest.approx(level, rel=1e-12)


def test_network_sees_noise_of_the_level_it_is_told():
    level, x = recorded_levels(999)
    assert float(x.std()) == pytest.approx(level, rel=0.2)  # 144 numbers: 6 % by chance


@pytest.mark.parametrize("C", [0.01, 0.25, 100.0, 80 * 157.4, 1e6])
@pytest.mark.parametrize("t", [940, 999])
def test_gain_above_the_range_is_what_is_documented(C, t):
    s, exact = float(Q.sigma(t)), Gaussian(torch.zeros(SHAPE), C)
    bridge = DenoiserPrior(denoiser(exact))
    x = seen(exact, s)
    x0_hat = bridge(Q.signal(t) * x, t).x0_hat
    torch.testing.assert_close(x0_hat, 80 / s * C / (C + 80**2) * x, rtol=1e-9, atol=0)
    # and in eps, which solvers use, that is next to nothing for whatever an image may be
    if C < 1:
        assert (
            float((bridge(Q.signal(t) * x, t).eps - exact(Q.signal(t) * x, t).eps).abs().max())
            < 1e-4
        )


def test_gain_above_the_range_is_exact_for_coarse_structure():
    """At a variance of sigma sigma_max."""
    s = float(Q.sigma(999))
    exact = Gaussian(torch.zeros(SHAPE), 80 * s)
    x_t = Q.signal(999) * seen(exact, s)
    torch.testing.assert_close(
        DenoiserPrior(denoiser(exact))(x_t, 999).x0_hat, exact(x_t, 999).x0_hat, rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("t", [0, 2, 10])
def test_score_is_held_below_the_range(t):
    """The Gaussian's eps to within sigma_min^2 over the variance."""
    low, s = 0.1, float(Q.sigma(t))
    exact = Gaussian(0.3 * normal(*SHAPE), 1.0)
    x_t = Q.signal(t) * seen(exact, s)
    eps = DenoiserPrior(denoiser(exact), sigma_min=low)(x_t, t).eps
    torch.testing.assert_close(
        eps, exact(x_t, t).eps * (1 + s**2) / (1 + low**2), rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("limits", [(-1, 80), (1, 1), (80, 0.002), (float("nan"), 1)], ids=str)
def test_range_that_is_none_is_refused(limits):
    with pytest.raises(
        ValueError,
        match=r"^sigma_min is .* 0 <= sigma_min < sigma_max is expected: DenoiserPrior\(",
    ):
        DenoiserPrior(lambda x, s: x, sigma_min=limits[0], sigma_max=limits[1])


def test_gradients_pass_through_the_bridge():
    x_t = normal(2, *SHAPE).requires_grad_()
    bridge = DenoiserPrior(denoiser(EXACT))
    for t in (0, 500, 999):
        (ours,) = torch.autograd.grad(bridge(x_t, t).eps.square().sum(), x_t)
        if t < 930:
            (exact,) = torch.autograd.grad(EXACT(x_t, t).eps.square().sum(), x_t)
            torch.testing.assert_close(ours, exact, rtol=0, atol=1e-8)
        assert bool(ours.abs().max() > 0)


@pytest.mark.parametrize(
    "wrap", [lambda net: net, edm, consistency], ids=["bare", "edm", "consistency"]
)
def test_module_is_frozen_and_moves_with_the_prior(wrap):
    with torch.random.fork_rng(devices=[]):
        net = Named(nn.Conv2d(3, 3, 1))
    DenoiserPrior(wrap(net)).double()
    assert (
        net.net.weight.dtype == torch.float64
        and not net.net.weight.requires_grad
        and not net.training
    )


class Named(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, sigma):
        return self.net(x)


def test_solver_gives_what_it_gives_on_the_exact_prior():
    problem = hrdis.measure(
        hrdis.operators.SuperResolution(scale=2), 0.3 * EXACT.sample(2), seeds=[0, 1]
    )
    ours, exact = (
        hrdis.solve(hrdis.HRDIS(steps=8), p, problem, seeds=[0, 1]).x
        for p in (DenoiserPrior(denoiser(EXACT)), EXACT)
    )
    torch.testing.assert_close(ours, exact, rtol=0, atol=1e-7)


# ---- preconditioning
# ------------------------------------------------------------------------------

LEVELS = [0.002, 0.01, 0.3, 2.0, 80.0]


@pytest.mark.parametrize("s", LEVELS)
@pytest.mark.parametrize("C", [0.04, 0.25, 1.0])
def test_edm_recovers_the_denoiser_from_the_network_that_stands_for_it(s, C):
    """F = ((C - d^2) s / ((C + s^2) d)) c_in x is the raw network whose denoiser is C / (C + s^2)
    x.
    """
    d, told = 0.5, []

    def F(x, c_noise):
        told.append(c_noise)
        level = (4 * c_noise).exp().reshape(-1, 1, 1, 1)
        return (C - d**2) * level / ((C + level**2) * d) * x

    x = normal(2, *SHAPE) * (C + s**2) ** 0.5
    sigma = torch.full((2,), s, dtype=torch.float64)
    torch.testing.assert_close(edm(F)(x, sigma), C / (C + s**2) * x, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(told[0], sigma.log() / 4)


@pytest.mark.parametrize("s", LEVELS)
def test_preconditioners_are_the_published_ones(s):
    """Both against the formulas of tasks.md 4.5 with numbers, for a network that answers its input
    plus 1.
    """
    d, low, told = 0.5, 0.002, []

    def F(x, c_noise):
        told.append(float(c_noise[0]))
        return x + 1

    x, sigma = normal(1, *SHAPE), torch.tensor([s], dtype=torch.float64)
    root = math.sqrt(s * s + d * d)
    expected = d * d / (s * s + d * d) * x + s * d / root * (x / root + 1)
    torch.testing.assert_close(edm(F)(x, sigma), expected)
    torch.testing.assert_close(edm(F, log_scale=250)(x, sigma), expected)
    expected = d * d / ((s - low) ** 2 + d * d) * x + (s - low) * d / root * (x / root + 1)
    torch.testing.assert_close(consistency(F, clamp=False)(x, sigma), expected)
    torch.testing.assert_close(consistency(F)(x, sigma), expected.clamp(-1, 1))
    assert told == pytest.approx([math.log(s) / 4, *3 * [250 * math.log(s)]])


def test_consistency_network_is_the_identity_at_the_least_level():
    x = normal(2, *SHAPE).clamp(-1, 1)
    D = consistency(lambda x, c: x + 7, sigma_min=0.002)
    assert torch.equal(D(x, torch.full((2,), 0.002, dtype=torch.float64)), x)


def test_levels_may_differ_between_images():
    x, sigma = normal(2, *SHAPE), torch.tensor([0.1, 3.0], dtype=torch.float64)
    together = edm(lambda x, c: x.tanh() * c.reshape(-1, 1, 1, 1))(x, sigma)
    for i in range(2):
        alone = edm(lambda x, c: x.tanh() * c.reshape(-1, 1, 1, 1))(x[i : i + 1], sigma[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


# ---- a prior as a denoiser
# ------------------------------------------------------------------------


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize("t", TIMES)
def test_denoiser_at_a_level_of_the_schedule_is_exact(t, interpolate):
    s, exact = float(Q.sigma(t)), Recorded(EXACT)
    x = seen(EXACT, s)
    torch.testing.assert_close(
        prior_as_denoiser(exact, interpolate)(x, s), closed_form(EXACT, x, s), rtol=0, atol=1e-9
    )
    assert exact.times == [t]


@pytest.mark.parametrize(("interpolate", "tolerance"), [(True, 1e-5), (False, 1e-2)])
@pytest.mark.parametrize("C", [0.1, 0.25, 1.0])
def test_denoiser_between_levels_is_the_closed_form(C, interpolate, tolerance):
    """Everywhere between the schedule's first and last level, in standard deviations of x."""
    exact = Gaussian(0.3 * normal(*SHAPE), C)
    denoise = prior_as_denoiser(exact, interpolate)
    for s in torch.logspace(-2, math.log10(float(Q.sigma(999))), 500, dtype=torch.float64).tolist():
        x = seen(exact, s, batch=1)
        error = (denoise(x, s) - closed_form(exact, x, s)).square().mean().sqrt() / (
            C + s**2
        ) ** 0.5
        assert float(error) < tolerance, s


def test_interpolation_is_between_the_two_neighbours():
    recorded = Recorded(EXACT)
    prior_as_denoiser(recorded)(seen(EXACT, 1.0), 1.0)
    t = Q.nearest(1.0)
    assert sorted(recorded.times) in ([t - 1, t], [t, t + 1])
    low, high = (float(Q.sigma(t)) for t in sorted(recorded.times))
    assert low < 1.0 < high


@pytest.mark.parametrize("s", [0.001, 0.005])
def test_denoiser_below_the_schedule_holds_the_score(s):
    exact, low = Gaussian(0.3 * normal(*SHAPE), 1.0), float(Q.sigma(0))
    x = seen(exact, s)
    expected = x + (closed_form(exact, x, s) - x) * (1 + s**2) / (1 + low**2)
    torch.testing.assert_close(prior_as_denoiser(exact)(x, s), expected, rtol=0, atol=1e-9)


def test_denoiser_above_the_schedule_scales_the_picture():
    high = float(Q.sigma(999))
    x = seen(EXACT, 300.0)
    torch.testing.assert_close(
        prior_as_denoiser(EXACT)(x, 300.0), closed_form(EXACT, x * high / 300, high)
    )


def test_denoiser_at_level_zero_is_the_identity():
    x = normal(2, *SHAPE)
    assert torch.equal(prior_as_denoiser(EXACT)(x, 0.0), x)


def test_there_and_back_is_the_prior():
    """A prior, handed out as a denoiser and taken back on another schedule, is the prior on that
    schedule.
    """
    other = hrdis.Schedule.linear(500, 2e-4, 0.03)
    exact = Gaussian(EXACT.mean, 0.25, other)
    back = DenoiserPrior(
        lambda x, sigma: prior_as_denoiser(Gaussian(EXACT.mean, 0.25))(x, sigma),
        other,
        sigma_min=0.01,
        sigma_max=150,
    )
    for t in (0, 3, 100, 400, 480):
        x_t = other.signal(t) * seen(exact, float(other.sigma(t)))
        torch.testing.assert_close(back(x_t, t).x0_hat, exact(x_t, t).x0_hat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf")])
def test_denoiser_refuses_a_level_that_is_none(sigma):
    with pytest.raises(
        ValueError,
        match=r"^sigma is \[.*\]\. Noise levels >= 0 in units of x are expected: denoise",
    ):
        prior_as_denoiser(EXACT)(normal(2, *SHAPE), sigma)
