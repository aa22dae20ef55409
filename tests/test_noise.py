"""`hrdis.noise`: a level belongs to a range, and is doubled once."""

import math
import re

import pytest
import torch

import hrdis
from hrdis.noise import Gaussian, Poisson, Speckle, poisson_quantile, read_level, read_model
from hrdis.rng import ImageRNG, Replay
from tests.common.toys import normal


@pytest.mark.parametrize(
    ("args", "sigma_y"),
    [((0.05,), 0.1), ((0.1, "[0,1]"), 0.2), ((0.05, "[-1,1]"), 0.05), ((0,), 0)],
)
def test_gaussian_level_is_in_units_of_y(args, sigma_y):
    assert Gaussian(*args).sigma_y == sigma_y


@pytest.mark.parametrize(
    ("given", "level"),
    [(0.1, 0.1), ("0.1", 0.1), ("25/255", 25 / 255), (25, 25 / 255), ("1", 1 / 255), (0, 0),
     ("51/51", 1.0), (0.999, 0.999), (-5, -5)],
)  # fmt: skip
def test_level_is_read_as_a_fraction_or_grey_levels(given, level):
    assert read_level(given) == level


@pytest.mark.parametrize("given", ["loud", "", "1/0", "1/2/3", "/"])
def test_level_that_is_no_number_is_refused(given):
    with pytest.raises(ValueError, match="--noise is"):
        read_level(given)


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
    with pytest.raises(
        ValueError, match=rf"^sigma is {sigma}\. A standard deviation >= 0 is expected"
    ):
        Gaussian(sigma)


def test_gaussian_refuses_another_range():
    with pytest.raises(ValueError, match=r"^sigma_range is '255'\."):
        Gaussian(1, "255")


# ---- Poisson ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.01, 1.0, 50.0, 255.0, 2.5e4, 1e6])
def test_poisson_counts_are_quantiles(mean):
    stats = pytest.importorskip("scipy.stats")
    u, m = (torch.from_numpy(hrdis.rng.stream(k, "quantile").random(2000)) for k in (0, 1))
    expected = torch.from_numpy(stats.poisson.ppf(u.numpy(), mean * m.numpy()))
    assert torch.equal(poisson_quantile(u, mean * m), expected)


@pytest.mark.parametrize(
    ("u", "mean", "count"), [(0.0, 0.0, 0), (1.0, 0.0, 0), (0.0, 5.0, 0), (0.5, 255.0, 255)]
)
def test_poisson_counts_at_the_ends(u, mean, count):
    assert (
        float(poisson_quantile(*(torch.tensor([v], dtype=torch.float64) for v in (u, mean))))
        == count
    )


@pytest.mark.parametrize("rate", [1.0, 0.1, 30.0])
def test_poisson_is_the_formula(rate):
    y = (0.5 * normal(2, 3, 8, 8)).clamp(-1.2, 1.2)
    draw = torch.from_numpy(hrdis.rng.stream(0, "u").random((2, 3, 8, 8)))
    u = ((y + 1) / 2).clamp(0, 1)
    u = poisson_quantile(draw, 255 * rate * u) / (255 * rate)
    expected = (2 * u - 1).clamp(-1, 1)
    torch.testing.assert_close(Poisson(rate).add(y, Replay([draw])), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("grey", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize("rate", [1.0, 4.0])
def test_poisson_has_the_mean_and_variance_of_counted_photons(grey, rate):
    y = torch.full((4, 1, 64, 64), grey, dtype=torch.float64)
    noisy = Poisson(rate).add(y, ImageRNG(range(4), "test"))
    n, std = y.numel(), 2 * math.sqrt((grey + 1) / 2 / (255 * rate))
    assert float(noisy.mean()) == pytest.approx(
        grey, abs=5 * std / n**0.5
    )  # five standard errors each
    assert float(noisy.std()) == pytest.approx(std, rel=5 / (2 * n) ** 0.5)


def test_poisson_level_is_that_of_mid_grey():
    noise = Poisson(2.0)
    noisy = noise.add(torch.zeros(4, 1, 64, 64), ImageRNG(range(4), "test"))
    assert float(noisy.std()) == pytest.approx(noise.sigma_y, rel=5 / (2 * noisy.numel()) ** 0.5)
    assert Poisson(2.0).sigma_y == pytest.approx(
        Poisson(1.0).sigma_y / 2**0.5
    )  # more rate, less noise


def test_poisson_stays_in_range_and_leaves_black_alone():
    y = torch.tensor([-1.3, -1.0, 1.0, 1.3]).reshape(1, 1, 1, 4).expand(1, 1, 500, 4)
    noisy = Poisson(0.1).add(y, ImageRNG([0], "test"))
    assert float(noisy.abs().max()) <= 1
    assert bool((noisy[..., :2] == -1).all())


def test_poisson_of_nearly_the_same_picture_is_nearly_the_same():
    """Rounding errors of another batch size must not shift the draws of the pixels that follow."""
    y = 0.4 * normal(1, 3, 32, 32)
    a, b = (Poisson().add(v, ImageRNG([0], "test")) for v in (y, y + 1e-9))
    assert float((a - b).abs().max()) < 2.01 / 255  # one count
    assert float((a != b).double().mean()) < 0.01


def test_speckle_of_any_strength_has_a_level():
    y = torch.zeros(1, 1, 4, 4)
    assert Speckle(1e300).level_in(y) == pytest.approx(1.0)


@pytest.mark.parametrize("rate", [0, -1.0, math.nan, math.inf, 1e300])
def test_poisson_refuses_a_rate_that_is_none(rate):
    said = f"rate is {rate}. A number > 0 is expected, more being less noise"
    with pytest.raises(ValueError, match="^" + re.escape(said)):
        Poisson(rate)


@pytest.mark.parametrize("scale", [0, -1.0, math.nan])
def test_poisson_refuses_a_scale_that_is_none(scale):
    with pytest.raises(ValueError, match=rf"^scale is {scale}\. A value of y > 0 is expected"):
        Poisson(1.0, scale)


def test_poisson_with_a_scale_counts_magnitudes():
    y = torch.full((4, 1, 64, 64), 20.0)
    noise = Poisson(1.0, scale=40.0)
    noisy = noise.add(y, ImageRNG(range(4), "test"))
    assert float(noisy.mean()) == pytest.approx(20, abs=5 * noise.sigma_y / y.numel() ** 0.5)
    assert float(noisy.std()) == pytest.approx(
        noise.sigma_y, rel=5 / (2 * y.numel()) ** 0.5
    )  # at half the scale
    assert not noise.pictures_only


def test_poisson_with_a_scale_refuses_negative_values():
    with pytest.raises(
        ValueError, match=r"^y holds negative values \(down to -1\), which count no photons\."
    ):
        Poisson(1.0, scale=1.0).add(-torch.ones(1, 1, 2, 2), ImageRNG([0], "test"))


# ---- speckle ------------------------------------------------------------------------------------


def test_speckle_multiplies_in_unit_range():
    y, z = 0.6 * normal(2, 3, 8, 8).clamp(-2, 2), normal(2, 3, 8, 8, seed=1)
    u = (y + 1) / 2
    expected = 2 * (u + u * 0.1 * z) - 1
    torch.testing.assert_close(Speckle(0.1).add(y, Replay([z])), expected, rtol=0, atol=1e-15)
    assert float(expected.max()) > 1  # not clamped
    clamped = Speckle(0.1, clamp=True).add(y, Replay([z]))
    torch.testing.assert_close(clamped, expected.clamp(-1, 1), rtol=0, atol=1e-15)


def test_speckle_level_is_that_of_mid_grey():
    noise = Speckle(0.1)
    noisy = noise.add(torch.zeros(4, 1, 64, 64), ImageRNG(range(4), "test"))
    assert noise.sigma_y == 0.1
    assert float(noisy.std()) == pytest.approx(noise.sigma_y, rel=5 / (2 * noisy.numel()) ** 0.5)


def test_speckle_of_level_zero_draws_nothing_and_copies():
    y = 0.5 * normal(1, 1, 2, 2).clamp(-2, 2)
    noisy = Speckle(0).add(y, Replay([]))
    assert torch.equal(noisy, y)
    assert noisy.data_ptr() != y.data_ptr()


@pytest.mark.parametrize("sigma", [-0.1, math.nan, math.inf])
def test_speckle_refuses_a_level_that_is_none(sigma):
    with pytest.raises(
        ValueError,
        match=rf"^sigma is {sigma}\. A standard deviation >= 0 is expected: Speckle\(0\.1\)",
    ):
        Speckle(sigma)


# ---- every noise --------------------------------------------------------------------------------

NOISES = [Gaussian(0.05), Poisson(1.0), Speckle(0.1), Speckle(0.1, clamp=True)]
every_noise = pytest.mark.parametrize("noise", NOISES, ids=str)


@every_noise
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_noise_keeps_its_argument_and_the_dtype(noise, dtype):
    y = torch.zeros(2, 3, 8, 8, dtype=dtype)
    noisy = noise.add(y, ImageRNG([0, 1], "test"))
    assert noisy.dtype == dtype
    assert not bool(y.any())
    assert bool(noisy.any())


@every_noise
def test_noise_of_an_image_depends_on_its_seed_alone(noise):
    A, x = hrdis.operators.SuperResolution(2), (0.3 * normal(3, 1, 8, 8)).clamp(-1, 1)
    together = hrdis.measure(A, x, noise, seeds=[5, 6, 7])
    alone = hrdis.measure(A, x[1:2], noise, seeds=[6])
    torch.testing.assert_close(together.y[1:2], alone.y, rtol=0, atol=1e-12)
    assert together.sigma_y == alone.sigma_y == noise.sigma_y


@every_noise
def test_noise_leaves_holes_alone(noise):
    mask = hrdis.operators.masks.random_pixels(8, 8)
    x = torch.full((1, 3, 8, 8), 0.5)
    y = hrdis.measure(hrdis.operators.Inpainting(mask), x, noise, seeds=[0]).y
    assert not bool(y[..., mask == 0].any())
    assert bool((y[..., mask == 1] != 0.5).any())


@every_noise
def test_noise_describes_itself_in_both_ranges(noise):
    said = noise.describe()
    assert f"{noise.sigma_y / 2:.4g} for images in [0, 1]" in said
    assert f"{noise.sigma_y:.4g} for [-1, 1]" in said


@pytest.mark.parametrize("noise", [Poisson(), Speckle()], ids=str)
def test_noise_of_pictures_refuses_magnitudes(noise):
    x = (0.3 * normal(1, 1, 8, 8)).clamp(-1, 1)
    message = (
        r"^PhaseRetrieval measures no picture, but \w+ noise is defined for pictures in \[-1, "
        r"1\]\. Use Gaussian"
    )
    with pytest.raises(ValueError, match=message):
        hrdis.measure(hrdis.operators.PhaseRetrieval(), x, noise, seeds=[0])


@pytest.mark.parametrize("noise", [Poisson(), Speckle()], ids=str)
def test_noise_of_pictures_refuses_values_of_no_picture(noise):
    """Coefficients of an operator that does not say what it measures."""
    with pytest.raises(
        ValueError, match=r"^y reaches 8, but \w+ noise is defined for pictures in \[-1, 1\]\."
    ):
        hrdis.measure(lambda x: 8 * x, torch.ones(1, 1, 4, 4), noise, seeds=[0])


@pytest.mark.parametrize("noise", [Poisson(), Poisson(scale=2.0), Speckle()], ids=str)
def test_noise_of_pictures_refuses_complex_measurements(noise):
    with pytest.raises(TypeError, match=r"^y is torch\.complex64, .*\. Use Gaussian\(sigma\)\."):
        noise.add(torch.zeros(1, 1, 4, 4) * 1j, ImageRNG([0], "test"))


def test_poisson_with_a_scale_serves_phase_retrieval():
    x = (0.3 * normal(1, 1, 8, 8)).clamp(-1, 1)
    problem = hrdis.measure(hrdis.operators.PhaseRetrieval(), x, Poisson(1.0, scale=5.0), seeds=[0])
    assert bool((problem.y >= 0).all())


# ---- measure ------------------------------------------------------------------------------------


def test_measured_noise_has_the_level_asked_for():
    x = torch.zeros(4, 1, 64, 64)
    problem = hrdis.measure(hrdis.operators.Identity(), x, Gaussian(0.05), seeds=range(4))
    assert problem.sigma_y == 0.1
    assert float(problem.y.std()) == pytest.approx(
        0.1, rel=5 / (2 * 4 * 64**2) ** 0.5
    )  # five standard errors


def test_measured_noise_of_an_image_depends_on_its_seed_alone():
    A, x = hrdis.operators.SuperResolution(2), 0.3 * normal(3, 1, 8, 8)
    together = hrdis.measure(A, x, Gaussian(0.1), seeds=[5, 6, 7]).y
    alone = hrdis.measure(A, x[1:2], Gaussian(0.1), seeds=[6]).y
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-12)


def test_measure_puts_no_noise_into_holes():
    mask = hrdis.operators.masks.random_pixels(8, 8)
    y = hrdis.measure(
        hrdis.operators.Inpainting(mask), 0.3 * normal(2, 3, 8, 8), Gaussian(0.1), seeds=[0, 1]
    ).y
    assert bool((y[..., mask == 0] == 0).all())
    assert bool((y[..., mask == 1] != 0).all())


def test_measured_noise_differs_from_the_noise_of_a_solver_with_the_same_seed():
    y = hrdis.measure(
        hrdis.operators.Identity(), torch.zeros(1, 1, 8, 8), Gaussian(0.5), seeds=[0]
    ).y
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
    with pytest.raises(
        ValueError, match=r"^seeds has 3 entries for a batch of 2\. .*seeds=range\(2\)"
    ):
        hrdis.measure(
            hrdis.operators.Identity(), torch.zeros(2, 1, 4, 4), Gaussian(0.1), seeds=[0, 1, 2]
        )


def test_measure_warns_of_another_range():
    with pytest.warns(UserWarning, match=r"^x reaches 255; images are expected in \[-1, 1\]\."):
        hrdis.measure(hrdis.operators.Identity(), torch.full((1, 1, 4, 4), 255.0))


@pytest.mark.parametrize(
    "x", [torch.zeros(1, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.uint8), [[0.0]]]
)
@pytest.mark.parametrize("A", [hrdis.operators.Identity(), lambda x: x])
def test_measure_refuses_what_is_no_batch_of_images(A, x):
    with pytest.raises(
        TypeError,
        match=r"got .*\. A floating tensor of shape \(b, c, h, w\) in \[-1, 1\] is expected",
    ):
        hrdis.measure(A, x)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_measure_refuses_an_image_that_is_not_finite(bad):
    with pytest.raises(
        ValueError, match=r"^The image given to Identity holds NaN or infinite values\."
    ):
        hrdis.measure(hrdis.operators.Identity(), torch.full((1, 1, 4, 4), bad))


# ---- the level in a picture, and words ----------------------------------------------------------


@pytest.mark.parametrize("noise", [Poisson(1.0), Poisson(0.3), Speckle(0.1), Speckle(0.3)])
@pytest.mark.parametrize("grey", [0.15, 0.5, 0.75])
def test_level_in_a_picture_is_that_of_its_noise(noise, grey):
    """Half of the picture is twice as bright; the level is read from the noisy picture alone."""
    u = torch.full((1, 3, 128, 128), grey / 2, dtype=torch.float64)
    u[..., 64:] = grey
    y = 2 * u - 1
    noisy = noise.add(y, ImageRNG([0], "test"))
    # 49 152 draws: the error of a standard deviation is 0.3 %, that of the two means less
    assert noise.level_in(noisy) == pytest.approx(float((noisy - y).std()), rel=0.015)


@pytest.mark.parametrize(
    ("words", "noise"),
    [("poisson:1", Poisson(1.0)), ("speckle:0.1", Speckle(0.1)), ("25", None), (0.1, None),
     ("auto", None), ("poisson", None)],
)  # fmt: skip
def test_noise_is_read_from_words(words, noise):
    assert read_model(words) == noise


@pytest.mark.parametrize("words", ["poisson:", "poisson:x", "poisson:0", "speckle:-1"])
def test_noise_without_its_number_is_refused(words):
    with pytest.raises(ValueError, match="A number is expected after the colon"):
        read_model(words)
