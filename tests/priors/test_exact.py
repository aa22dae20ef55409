"""Priors known in closed form, against densities and conditioning written out by hand."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import Identity, Inpainting, LinearOperator, SuperResolution
from hrdis.priors import Gaussian, GaussianMixture
from hrdis.problem import Problem
from tests.common.toys import gaussian, mixture, normal

Q = hrdis.Schedule.linear()
SHAPE = (1, 2, 3)
N = 6


def positive(seed: int = 0, n: int = N) -> torch.Tensor:
    M = normal(n, n, seed=seed)
    return M @ M.T / n + 0.05 * torch.eye(n, dtype=torch.float64)


MEAN = 0.3 * normal(*SHAPE, seed=5)
COVARIANCES = {
    "a number": 0.25,
    "variances": normal(*SHAPE, seed=6).abs() + 0.1,
    "a matrix": positive(),
}


def full(covariance: torch.Tensor | float) -> torch.Tensor:
    c = torch.as_tensor(covariance, dtype=torch.float64)
    return c if c.shape == (N, N) else torch.diag(c.expand(SHAPE).flatten())


def log_density(
    x: torch.Tensor, t: int, parts: list[tuple[float, torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """log p_t of x_t = sqrt(abar) x0 + sqrt(1 - abar) z for x0 ~ sum_k w_k N(m_k, C_k), from the
    definition.
    """
    abar = float(Q[t])
    terms = [
        math.log(w)
        + MultivariateNormal(
            abar**0.5 * m.flatten(), abar * C + (1 - abar) * torch.eye(N).double()
        ).log_prob(x.flatten(1))
        for w, m, C in parts
    ]
    return torch.stack(terms).logsumexp(0)


MEANS = 0.3 * normal(3, *SHAPE, seed=7)
WEIGHTS, STDS = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.5, 0.35]], dtype=torch.float64)

#: prior, and the same distribution as (weight, mean, covariance)
EXACT = {name: (Gaussian(MEAN, c), [(1.0, MEAN, full(c))]) for name, c in COVARIANCES.items()}
EXACT["mixture"] = (
    GaussianMixture(MEANS, WEIGHTS, STDS),
    [
        (w, m, s**2 * torch.eye(N).double())
        for w, m, s in zip(WEIGHTS.tolist(), MEANS, STDS, strict=True)
    ],
)
every_prior = pytest.mark.parametrize("name", EXACT)
times = pytest.mark.parametrize("t", [0, 100, 500, 999])

# ---- the noise estimate -------------------------------------------------------------------------


@every_prior
@times
def test_eps_is_the_score_of_the_density(name, t):
    prior, parts = EXACT[name]
    x = normal(4, *SHAPE, seed=8).requires_grad_()
    (score,) = torch.autograd.grad(log_density(x, t, parts).sum(), x)
    # 1e-10: Cholesky factors in float64
    torch.testing.assert_close(
        prior(x.detach(), t).eps, -Q.noise(t) * score, rtol=1e-10, atol=1e-10
    )


@every_prior
@times
def test_both_forms_are_one_estimate(name, t):
    x = normal(4, *SHAPE, seed=8)
    x0_hat, eps = EXACT[name][0](x, t)
    torch.testing.assert_close(Q.signal(t) * x0_hat + Q.noise(t) * eps, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", [100, 500])
def test_x0_hat_is_the_mean_of_x0_given_x_t(t):
    """Importance sampling from the prior: 400 000 clean images, weighted by how well they explain
    x_t.
    """
    prior, parts = EXACT["mixture"]
    x_t = Q.diffuse(MEANS[:1], t, normal(1, *SHAPE, seed=9))
    draws = torch.cat(
        [
            m.flatten() + C[0, 0] ** 0.5 * normal(int(w * 400_000), N, seed=10 + k)
            for k, (w, m, C) in enumerate(parts)
        ]
    )
    log_w = -0.5 * (x_t.flatten() - Q.signal(t) * draws).square().sum(1) / Q.noise(t) ** 2
    w = log_w.softmax(0)
    mean = w @ draws
    error = (w**2 @ (draws - mean) ** 2).sqrt()  # standard error per pixel
    assert bool(((prior(x_t, t).x0_hat.flatten() - mean).abs() < 5 * error).all())
    assert float(error.max()) < 0.02, "a loose error would let anything pass"


@every_prior
def test_prior_keeps_dtype_and_computes_in_float64(name):
    x = normal(2, *SHAPE, seed=8, dtype=torch.float32)
    prior = EXACT[name][0]
    for narrow, wide in zip(prior(x, 500), prior(x.double(), 500), strict=True):
        assert narrow.dtype == torch.float32
        assert torch.equal(narrow, wide.float())


@every_prior
def test_prior_treats_an_image_alike_in_any_batch(name):
    x, prior = normal(4, *SHAPE, seed=8), EXACT[name][0]
    for i in range(4):
        torch.testing.assert_close(
            prior(x, 300).eps[i : i + 1], prior(x[i : i + 1], 300).eps, rtol=0, atol=1e-13
        )


@every_prior
def test_prior_is_differentiable(name):
    x, prior = normal(1, *SHAPE, seed=8).requires_grad_(), EXACT[name][0]
    assert torch.autograd.gradcheck(lambda x: tuple(prior(x, 300)), x)


@every_prior
def test_prior_moves_with_to(name):
    x0_hat, eps = deepcopy(EXACT[name][0]).to("meta")(torch.zeros(2, *SHAPE, device="meta"), 300)
    assert {x0_hat.device.type, eps.device.type} == {"meta"}


def test_certain_pixels_stay_what_they_are():
    variances = torch.tensor([0.0, 0.5, 0.5, 0.5, 0.5, 0.5]).reshape(SHAPE)
    x0_hat, eps = Gaussian(MEAN, variances)(normal(1, *SHAPE, seed=8), 0)
    assert float(x0_hat[0, 0, 0, 0]) == pytest.approx(float(MEAN[0, 0, 0]), abs=1e-12)
    assert bool(torch.isfinite(eps).all())


def test_mixture_weights_are_normalised():
    a = GaussianMixture(MEANS, 10 * WEIGHTS, STDS)
    x = normal(2, *SHAPE, seed=8)
    torch.testing.assert_close(a(x, 500).eps, EXACT["mixture"][0](x, 500).eps, rtol=0, atol=1e-13)


def test_prior_uses_the_schedule_it_is_given():
    short = hrdis.Schedule.linear(10, 0.01, 0.5)
    assert Gaussian(MEAN, 0.25, short).schedule == short
    assert not torch.equal(
        Gaussian(MEAN, 0.25, short)(MEANS, 5).eps, Gaussian(MEAN, 0.25)(MEANS, 5).eps
    )


# ---- the posterior ------------------------------------------------------------------------------

OPERATORS = {
    "inpaint": Inpainting(torch.tensor([[1.0, 0, 1], [0, 1, 1]])),
    "identity": Identity(),
    "sr1": SuperResolution(1),
}


def measured(A: LinearOperator, sigma_y: float, b: int = 2) -> Problem:
    y = A(MEANS[:b] + 0.3 * normal(b, *SHAPE, seed=11))
    return Problem(y + sigma_y * A(normal(*y.shape, seed=12)), A, sigma_y)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_gaussian_posterior_is_the_precision_form(operator, covariance):
    """Mean and covariance from precisions, (C^-1 + H^T H / sigma_y^2)^-1: another route than the
    gain used inside.
    """
    A, sigma_y = OPERATORS[operator], 0.2
    problem = measured(A, sigma_y)
    H, C = matrix(A, SHAPE).numpy(), full(COVARIANCES[covariance]).numpy()
    for y, found in zip(
        problem.y, Gaussian(MEAN, COVARIANCES[covariance]).posterior(problem), strict=True
    ):
        S = np.linalg.inv(np.linalg.inv(C) + H.T @ H / sigma_y**2)
        m = S @ (np.linalg.inv(C) @ MEAN.flatten().numpy() + H.T @ y.flatten().numpy() / sigma_y**2)
        np.testing.assert_allclose(found.mean.flatten().numpy(), m, atol=1e-10)
        np.testing.assert_allclose(found.covariance.numpy(), S, atol=1e-10)


def test_noiseless_posterior_knows_what_was_observed_and_conditions_the_rest():
    A, C = OPERATORS["inpaint"], positive()
    problem = measured(A, 0.0, 1)
    (found,) = Gaussian(MEAN, C).posterior(problem)
    seen = A.mask.flatten().bool()
    o, h = seen.nonzero().flatten(), (~seen).nonzero().flatten()
    gain = C[h][:, o] @ torch.linalg.inv(C[o][:, o])
    m, y = MEAN.flatten(), problem.y.flatten()
    torch.testing.assert_close(found.mean.flatten()[o], y[o], rtol=0, atol=1e-12)
    torch.testing.assert_close(
        found.mean.flatten()[h], m[h] + gain @ (y[o] - m[o]), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        found.covariance[h][:, h], C[h][:, h] - gain @ C[o][:, h], rtol=0, atol=1e-12
    )
    assert float(found.covariance[o].abs().max()) < 1e-12


def test_posterior_uses_the_mask_of_each_image():
    masks = torch.stack([torch.eye(3)[:2], 1 - torch.eye(3)[:2]])[:, None]
    problem = measured(Inpainting(masks), 0.1)
    both = Gaussian(MEAN, positive()).posterior(problem)
    for i in range(2):
        (alone,) = Gaussian(MEAN, positive()).posterior(
            Problem(problem.y[i : i + 1], Inpainting(masks[i]), 0.1)
        )
        torch.testing.assert_close(both[i].mean, alone.mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(both[i].covariance, alone.covariance, rtol=0, atol=1e-12)


def test_posterior_of_super_resolution():
    prior, A = gaussian(1, 4, 4), SuperResolution(2)
    problem = Problem(A(prior.sample(1)), A, 0.1)
    (found,) = prior.posterior(problem)
    H, C = matrix(A, (1, 4, 4)), prior.covariance
    expected = torch.linalg.inv(torch.linalg.inv(C) + H.T @ H / 0.01)
    torch.testing.assert_close(found.covariance, expected, rtol=0, atol=1e-9)


def test_mixture_posterior_agrees_with_importance_sampling():
    """Half a million clean images from the prior, weighted by the likelihood of y; 5 standard
    errors.
    """
    prior, parts = EXACT["mixture"]
    A, sigma_y = OPERATORS["inpaint"], 0.4
    problem = measured(A, sigma_y, 1)
    (found,) = prior.posterior(problem)
    draws = [
        m.flatten() + C[0, 0] ** 0.5 * normal(int(w * 500_000), N, seed=20 + k)
        for k, (w, m, C) in enumerate(parts)
    ]
    label = torch.cat([torch.full((len(d),), k) for k, d in enumerate(draws)])
    x = torch.cat(draws)
    log_w = -0.5 * ((problem.y.flatten() - A.mask.flatten() * x) ** 2).sum(1) / sigma_y**2
    w = log_w.softmax(0)
    mean = w @ x
    error = (w**2 @ (x - mean) ** 2).sqrt()
    assert bool(((found.mean.flatten() - mean).abs() < 5 * error).all())
    for k in range(3):
        share = w[label == k].sum()
        deviation = ((w**2 * ((label == k).double() - share) ** 2).sum()).sqrt()
        assert float((found.weights[k] - share).abs()) < 5 * float(deviation)
        assert float(deviation) < 0.01
    covariance = (w[:, None] * (x - mean)).T @ (x - mean)
    torch.testing.assert_close(found.covariance, covariance, rtol=0, atol=0.01)


@pytest.mark.parametrize("sigma_y", [0.0, 0.3])
def test_mixture_evidence_is_the_density_of_y(sigma_y):
    """Weights from N(y; H m_k, s_k^2 H H^T + sigma_y^2 I) on the observed pixels, written out."""
    prior, parts = EXACT["mixture"]
    A = OPERATORS["inpaint"]
    problem = measured(A, sigma_y)
    seen = A.mask.flatten().bool()
    for y, found in zip(problem.y, prior.posterior(problem), strict=True):
        log_w = []
        for w, m, C in parts:
            density = torch.distributions.Normal(m.flatten()[seen], (C[0, 0] + sigma_y**2).sqrt())
            log_w.append(math.log(w) + density.log_prob(y.flatten()[seen]).sum())
        expected = torch.stack(log_w).softmax(0)
        torch.testing.assert_close(found.weights, expected, rtol=1e-10, atol=0)
        assert float(found.weights.max()) < 0.999, "a certain component would test nothing"


class Twice(LinearOperator):
    """Measures every pixel twice: rows depend on each other, and the covariance of y is singular
    without noise.
    """

    def forward(self, x):
        return torch.cat([x, x], dim=-1)

    def adjoint(self, y):
        return y[..., : y.shape[-1] // 2] + y[..., y.shape[-1] // 2 :]

    def pinv(self, y):
        return self.adjoint(y) / 2

    def image_shape(self, y_shape):
        return (*y_shape[:-1], y_shape[-1] // 2)


def test_evidence_counts_what_was_measured_twice_once():
    """Without noise, a second look at the same pixels says nothing new about the component."""
    x = MEANS[:1] + 0.3 * normal(1, *SHAPE, seed=11)
    prior = EXACT["mixture"][0]
    (once,), (twice,) = (
        prior.posterior(Problem(x, Identity())),
        prior.posterior(Problem(Twice()(x), Twice())),
    )
    torch.testing.assert_close(twice.weights, once.weights, rtol=1e-8, atol=0)
    torch.testing.assert_close(twice.mean, once.mean, rtol=0, atol=1e-10)


# ---- samples ------------------------------------------------------------------------------------


def check_moments(x: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor) -> None:
    flat = x.flatten(1)
    error = covariance.diagonal().clamp(min=1e-12).sqrt() / len(x) ** 0.5
    assert bool(((flat.mean(0) - mean.flatten()).abs() < 5 * error + 1e-9).all())
    spread = torch.outer(covariance.diagonal(), covariance.diagonal()).sqrt()
    assert bool(((torch.cov(flat.T) - covariance).abs() < 10 * spread / len(x) ** 0.5 + 1e-9).all())


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_gaussian_samples_have_its_moments(covariance):
    check_moments(
        Gaussian(MEAN, COVARIANCES[covariance]).sample(20_000), MEAN, full(COVARIANCES[covariance])
    )


def test_mixture_posterior_samples_have_its_moments():
    (posterior,) = EXACT["mixture"][0].posterior(measured(OPERATORS["inpaint"], 0.4, 1))
    check_moments(posterior.sample(20_000), posterior.mean, posterior.covariance)


def test_mixture_posterior_samples_come_in_random_order():
    (posterior,) = EXACT["mixture"][0].posterior(measured(OPERATORS["inpaint"], 0.4, 1))
    x = posterior.sample(2000).flatten(1)
    assert (
        float((x[:1000].mean(0) - x[1000:].mean(0)).norm())
        < 6 * float(posterior.covariance.trace() / 500) ** 0.5
    )


def test_samples_are_a_function_of_the_seed():
    prior = Gaussian(MEAN, 0.25)
    assert torch.equal(prior.sample(3, seed=1), prior.sample(3, seed=1))
    assert not torch.equal(prior.sample(3, seed=0), prior.sample(3, seed=1))


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (torch.triu(torch.ones(N, N)), r"^The covariance is not symmetric\."),
        (-torch.eye(N), r"^The covariance has a negative variance \(-1\)\."),
        (-0.1, r"^The covariance has a negative variance \(-0.1\)\."),
        (torch.ones(3, 3), r"^The covariance has shape \(3, 3\) for a mean of shape \(1, 2, 3\)\."),
    ],
)
def test_covariance_that_is_none_is_refused(covariance, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(MEAN, covariance)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 0.0, 1.0], [1.0, -1.0, 1.0]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(
        ValueError, match=r"^weights are \[.*\]\. 3 positive numbers are expected\."
    ):
        GaussianMixture(MEANS, torch.tensor(weights), 0.3)


def test_stds_that_are_none_are_refused():
    with pytest.raises(
        ValueError, match=r"^stds are \[.*\]\. Positive standard deviations are expected\."
    ):
        GaussianMixture(MEANS, WEIGHTS, torch.tensor([0.1, 0.0, 0.1]))


def test_posterior_of_a_nonlinear_operator_is_refused():
    with pytest.raises(
        TypeError, match=r"^The posterior needs a LinearOperator, but A is a Function\."
    ):
        Gaussian(MEAN, 0.25).posterior(Problem(MEANS, torch.square))


def test_posterior_of_other_images_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^The problem is about images of shape \(1, 4, 4\), the prior about \(1, 2, 3\)\.",
    ):
        Gaussian(MEAN, 0.25).posterior(Problem(torch.zeros(1, 1, 4, 4), Identity()))


def test_toy_mixture_keeps_its_component_open():
    """The prior that solvers are tested on: no component is certain before half of the schedule."""
    prior = mixture()
    x_t = Q.diffuse(prior.means[:1], 600, normal(1, 1, 8, 8))
    log_share = -0.5 * (x_t - Q.signal(600) * prior.means).flatten(1).square().sum(1) / (1 - Q[600])
    assert float(log_share.softmax(0).max()) < 0.99
