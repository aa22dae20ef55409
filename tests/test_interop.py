"""Our solvers and priors as deepinv calls them."""

import sys
import types

import pytest
import torch
from torch import nn

import hrdis
from hrdis.interop import as_deepinv_denoiser, as_deepinv_reconstructor
from hrdis.operators import Inpainting
from tests.common.toys import Recorded, gaussian, normal, pixels, rel
from tests.operators.test_deepinv import SHAPE, Decomposable, GaussianNoise, Pooling

SOLVER = hrdis.HRDIS(steps=8)
MASK = pixels(1, 4, 4, seed=2).double()
PHYSICS = Decomposable(MASK[None], GaussianNoise(0.05))


def test_reconstructor_is_the_solver_in_their_range():
    x = 0.3 * normal(2, *SHAPE)
    y = PHYSICS.A((x + 1) / 2)
    restored = as_deepinv_reconstructor(SOLVER, gaussian(*SHAPE), seeds=[3, 4])(y, PHYSICS)
    ours = hrdis.solve(
        SOLVER, gaussian(*SHAPE), hrdis.Problem(MASK * x, Inpainting(MASK), 0.1), seeds=[3, 4]
    )
    torch.testing.assert_close(restored, (ours.x + 1) / 2, rtol=0, atol=1e-9)


def test_reconstructor_takes_seeds_three_ways():
    y, reconstructor = (
        torch.full((2, *SHAPE), 0.5),
        as_deepinv_reconstructor(SOLVER, gaussian(*SHAPE), seeds=7),
    )
    first = reconstructor(y, PHYSICS)
    assert torch.equal(first, reconstructor(y, PHYSICS, seeds=[7, 8]))
    assert torch.equal(first, reconstructor(y, PHYSICS, seeds=7))
    assert not torch.equal(first, reconstructor(y, PHYSICS, seeds=8))


def test_reconstructor_refuses_what_is_no_solver():
    with pytest.raises(TypeError, match=r"^solver is a str\. Settings of a solver are expected"):
        as_deepinv_reconstructor("hrdis", gaussian(*SHAPE))


@pytest.mark.parametrize(
    "make", [as_deepinv_denoiser, lambda prior: as_deepinv_reconstructor(SOLVER, prior)]
)
def test_what_is_no_prior_is_refused(make):
    with pytest.raises(TypeError, match=r"^prior is a ReLU\. A hrdis Prior is expected"):
        make(nn.ReLU())


def best(prior, u, sigma):
    """The exact mean of the clean image in [0, 1] given u = clean + sigma z."""
    n, m = prior.mean.numel(), prior.mean.flatten()
    gain = prior.covariance @ torch.linalg.inv(
        prior.covariance + (2 * sigma) ** 2 * torch.eye(n).double()
    )
    return ((m + (2 * u.flatten(1) - 1 - m) @ gain.T).reshape(u.shape) + 1) / 2


@pytest.mark.parametrize(
    "sigma", [0.02, 0.1, 0.5, torch.tensor(0.1), torch.tensor([[[[0.1]]], [[[0.1]]]])]
)
def test_denoiser_is_the_exact_mean_on_a_gaussian(sigma):
    """Up to the spacing of the schedule: neighbouring levels differ by about 1 %."""
    u, prior = 0.5 + 0.2 * normal(2, *SHAPE), gaussian(*SHAPE)
    expected = best(prior, u, float(torch.as_tensor(sigma).flatten()[0]))
    assert rel(as_deepinv_denoiser(prior)(u, sigma), expected) < 0.01


def test_denoiser_takes_a_level_per_image():
    u, prior = 0.5 + 0.2 * normal(4, *SHAPE), Recorded(gaussian(*SHAPE))
    together = as_deepinv_denoiser(prior)(u, torch.tensor([0.1, 0.3, 0.0, 0.1]))
    assert len(prior.times) == 2  # two distinct levels above 0
    for i, sigma in enumerate([0.1, 0.3, 0.0, 0.1]):
        torch.testing.assert_close(
            together[i : i + 1], as_deepinv_denoiser(gaussian(*SHAPE))(u[i : i + 1], sigma)
        )
    assert torch.equal(together[2], u[2])


def test_denoiser_lets_gradients_through():
    u = normal(2, *SHAPE).requires_grad_()
    (gradient,) = torch.autograd.grad(
        as_deepinv_denoiser(gaussian(*SHAPE))(u, torch.tensor([0.1, 0.2])).sum(), u
    )
    assert bool((gradient.flatten(1).norm(dim=1) > 0).all())


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf"), torch.tensor([0.1, -0.1])])
def test_denoiser_refuses_a_level_that_is_none(sigma):
    with pytest.raises(
        ValueError,
        match=r"^sigma is \[.*\]\. Noise levels >= 0 for images in \[0, 1\] are expected",
    ):
        as_deepinv_denoiser(gaussian(*SHAPE))(torch.zeros(2, *SHAPE), sigma)


def test_denoiser_refuses_levels_for_another_batch():
    with pytest.raises(
        ValueError, match=r"^sigma holds 3 levels for 2 images\. One number, or one per image"
    ):
        as_deepinv_denoiser(gaussian(*SHAPE))(torch.zeros(2, *SHAPE), torch.ones(3))


def test_exports_are_of_their_classes_where_they_exist(monkeypatch):
    models = types.ModuleType("deepinv.models")

    class Reconstructor(nn.Module):
        def __init__(self, device="cpu"):
            super().__init__()
            self.to(device)

    models.Reconstructor = models.Denoiser = Reconstructor
    monkeypatch.setitem(sys.modules, "deepinv", types.ModuleType("deepinv"))
    monkeypatch.setitem(sys.modules, "deepinv.models", models)
    assert isinstance(as_deepinv_reconstructor(SOLVER, gaussian(*SHAPE)), Reconstructor)
    assert isinstance(as_deepinv_denoiser(gaussian(*SHAPE)), Reconstructor)


def test_exports_are_plain_modules_elsewhere(monkeypatch):
    monkeypatch.setitem(sys.modules, "deepinv.models", None)
    assert type(as_deepinv_denoiser(gaussian(*SHAPE))).__mro__[1] is nn.Module


# ---- the real package
# ------------------------------------------------------------------------------


def test_real_package_takes_our_reconstructor(deepinv):
    physics = deepinv.physics.Inpainting(
        SHAPE, MASK.float(), noise_model=deepinv.physics.GaussianNoise(0.05)
    )
    x = (0.3 * normal(2, *SHAPE)).float()
    with torch.random.fork_rng():
        y = physics((x + 1) / 2)
    reconstructor = as_deepinv_reconstructor(SOLVER, gaussian(*SHAPE))
    assert isinstance(reconstructor, deepinv.models.Reconstructor)
    assert reconstructor(y, physics).shape == x.shape


def test_real_sampler_runs_on_our_denoiser(deepinv):
    """DDRM of deepinv with our exact prior: its sample is nearer to the truth than y is."""
    prior, denoiser = gaussian(*SHAPE), as_deepinv_denoiser(gaussian(*SHAPE))
    assert isinstance(denoiser, deepinv.models.Denoiser)
    x = prior.sample(4, seed=1).float()
    physics = deepinv.physics.Denoising(deepinv.physics.GaussianNoise(0.2))
    with torch.random.fork_rng():
        torch.random.manual_seed(0)
        y = physics((x + 1) / 2)
        restored = deepinv.sampling.DDRM(denoiser, sigmas=[1.0, 0.5, 0.25, 0.1, 0.05, 0.01])(
            y, physics
        )
    assert float((2 * restored - 1 - x).norm()) < 0.8 * float((2 * y - 1 - x).norm())


def test_pooling_has_no_mask():
    """What the reconstructor meets most: linear, and nothing known but the adjoint."""
    y = Pooling().A(0.5 + 0.2 * normal(2, *SHAPE))
    assert as_deepinv_reconstructor(SOLVER, gaussian(*SHAPE))(y, Pooling()).shape == (2, *SHAPE)
