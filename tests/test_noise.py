"""`hrdis.noise`: a level belongs to a range, and is doubled once."""

import math

import pytest
import torch
from toys import normal

import hrdis
from hrdis.noise import Gaussian
from hrdis.rng import ImageRNG, Replay


@pytest.mark.parametrize(
    ("args", "sigma_y"), [((0.05,), 0.1), ((0.1, "[0,1]"), 0.2), ((0.05, "[-1,1]"), 0.05), ((0,), 0)]
)
def test_gaussian_level_is_in_units_of_y(args, sigma_y):
    assert Gaussian(*args).sigma_y == sigma_y


def test_gaussian_adds_sigma_y_times_the_draw():
    y, z = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    torch.testing.assert_close(Gaussian(0.05).add(y, Replay([z])), y + 0.1 * z, rtol=0, atol=1e-15)


def test_gaussian_of_level_zero_draws_nothing_and_copies():
    y, source = normal(1, 1, 2, 2), Replay([])
    noisy = Gaussian(0).add(y, source)
    assert torch.equal(noisy, y)
    assert noisy.data_ptr() != y.data_ptr()


@pytest.mark.parametrize("sigma", [-0.1, math.nan, math.inf])
def test_gaussian_refuses_a_level_that_is_none(sigma):
    with pytest.raises(ValueError, match=rf"^sigma is {sigma}\. A standard deviation >= 0 is expected"):
        Gaussian(sigma)


def test_gaussian_refuses_another_range():
    with pytest.raises(ValueError, match=r"^sigma_range is '255'\."):
        Gaussian(1, "255")


# ---- measure ------------------------------------------------------------------------------------


def test_measured_noise_has_the_level_asked_for():
    x = torch.zeros(4, 1, 64, 64)
    problem = hrdis.measure(hrdis.operators.Identity(), x, Gaussian(0.05), seeds=range(4))
    assert problem.sigma_y == 0.1
    assert float(problem.y.std()) == pytest.approx(0.1, rel=5 / (2 * 4 * 64**2) ** 0.5)  # five standard errors


def test_measured_noise_of_an_image_depends_on_its_seed_alone():
    A, x = hrdis.operators.SuperResolution(2), 0.3 * normal(3, 1, 8, 8)
    together = hrdis.measure(A, x, Gaussian(0.1), seeds=[5, 6, 7]).y
    alone = hrdis.measure(A, x[1:2], Gaussian(0.1), seeds=[6]).y
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-12)


def test_measure_puts_no_noise_into_holes():
    mask = hrdis.operators.masks.random_pixels(8, 8)
    y = hrdis.measure(hrdis.operators.Inpainting(mask), 0.3 * normal(2, 3, 8, 8), Gaussian(0.1), seeds=[0, 1]).y
    assert bool((y[..., mask == 0] == 0).all())
    assert bool((y[..., mask == 1] != 0).all())


def test_measured_noise_differs_from_the_noise_of_a_solver_with_the_same_seed():
    y = hrdis.measure(hrdis.operators.Identity(), torch.zeros(1, 1, 8, 8), Gaussian(0.5), seeds=[0]).y
    assert not torch.equal(y, ImageRNG([0], "solve").randn((1, 8, 8)))


@pytest.mark.parametrize("noise", [None, Gaussian(0)])
def test_noiseless_measurement_shares_no_memory_with_the_image(noise):
    x = 0.3 * normal(1, 1, 4, 4)
    problem = hrdis.measure(hrdis.operators.Identity(), x, noise, seeds=[0])
    assert torch.equal(problem.y, x)
    assert problem.y.data_ptr() != x.data_ptr()
    assert problem.sigma_y == 0


def test_measure_needs_seeds_where_there_is_noise():
    with pytest.raises(ValueError, match=r"^Either seeds or rng is expected, and none was given\."):
        hrdis.measure(hrdis.operators.Identity(), torch.zeros(1, 1, 4, 4), Gaussian(0.1))


def test_measure_refuses_seeds_that_do_not_match():
    with pytest.raises(ValueError, match=r"^seeds has 3 entries for a batch of 2\. .*seeds=range\(2\)"):
        hrdis.measure(hrdis.operators.Identity(), torch.zeros(2, 1, 4, 4), Gaussian(0.1), seeds=[0, 1, 2])


def test_measure_warns_of_another_range():
    with pytest.warns(UserWarning, match=r"^x reaches 255; images are expected in \[-1, 1\]\."):
        hrdis.measure(hrdis.operators.Identity(), torch.full((1, 1, 4, 4), 255.0))


@pytest.mark.parametrize("x", [torch.zeros(1, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.uint8), [[0.0]]])
@pytest.mark.parametrize("A", [hrdis.operators.Identity(), lambda x: x])
def test_measure_refuses_what_is_no_batch_of_images(A, x):
    with pytest.raises(TypeError, match=r"got .*\. A floating tensor of shape \(b, c, h, w\) in \[-1, 1\] is expected"):
        hrdis.measure(A, x)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_measure_refuses_an_image_that_is_not_finite(bad):
    with pytest.raises(ValueError, match=r"^The image given to Identity holds NaN or infinite values\."):
        hrdis.measure(hrdis.operators.Identity(), torch.full((1, 1, 4, 4), bad))
