"""Low light: an exposure and a map, given or to be estimated."""

import math

import pytest
import torch

import hrdis
from hrdis.operators import BlindOperator, LowLight
from tests.common.toys import normal, pixels


def dark(b: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x = (0.3 * normal(b, 3, 8, 6)).clamp(-1, 1)
    return x, torch.linspace(0.1, 0.5, b).double(), 0.1 * pixels(b, 1, 8, 6).double()


def test_low_light_is_dimmed_and_lifted_in_unit_range():
    x, f, M = dark()
    y01 = f.reshape(-1, 1, 1, 1) * (x + 1) / 2 + M
    torch.testing.assert_close(LowLight(f, M)(x), 2 * y01 - 1, rtol=0, atol=1e-15)


def test_low_light_of_unknown_parameters_leaves_light_as_it_is():
    """What a `Problem` needs to check shapes."""
    x = dark()[0]
    torch.testing.assert_close(LowLight()(x), x, rtol=0, atol=1e-15)
    assert hrdis.Problem(x, LowLight()).image_shape == (3, 3, 8, 6)


def test_low_light_at_parameters_is_low_light_of_them():
    x, f, M = dark()
    theta = {"f": f.reshape(-1, 1, 1, 1), "M": M}
    torch.testing.assert_close(LowLight().at(x, theta), LowLight(f, M)(x), rtol=0, atol=1e-15)


def test_low_light_has_the_gradients_of_the_formula():
    x, f, M = dark()
    theta = {"f": f.reshape(-1, 1, 1, 1).requires_grad_(), "M": M.requires_grad_()}
    x.requires_grad_()
    y = normal(3, 3, 8, 6, seed=1)
    r = LowLight().at(x, theta) - y
    by_f, by_M, by_x = torch.autograd.grad(0.5 * r.square().sum(), [theta["f"], theta["M"], x])
    u = (x + 1) / 2
    torch.testing.assert_close(by_f, 2 * (r * u).sum((1, 2, 3), keepdim=True))  # 2: y is in [-1, 1]
    torch.testing.assert_close(by_M, 2 * r.sum(1, keepdim=True))
    torch.testing.assert_close(by_x, theta["f"] * r)


def test_low_light_is_blind_with_a_start_rates_and_bounds():
    A, (x, f, _) = LowLight(), dark()
    assert isinstance(A, BlindOperator)
    y = LowLight(f)(x)
    theta = A.start(y)
    assert {k: tuple(v.shape) for k, v in theta.items()} == {"f": (3, 1, 1, 1), "M": (3, 1, 8, 6)}
    assert not bool(theta["M"].any())
    assert A.rates == {"f": 1e-2, "M": 1e-3}


@pytest.mark.parametrize(
    ("h", "w", "white"), [(8, 6, 0.775), (64, 64, 0.78125), (200, 312, 0.94395)]
)
def test_exposure_starts_at_the_white_point_over_that_of_photographs(h, w, white):
    """A piece of a photograph may hold nothing bright: the smaller, the less is expected of it."""
    u = torch.linspace(0, 1, h * w).double().reshape(1, 1, h, w)
    x = torch.cat(
        [torch.cat([0.3 * u, u, 0.5 * u], 1), 0.6 * torch.cat([u, u, u], 1)]
    )  # green is the brightest
    f = LowLight().start(LowLight(torch.tensor([0.2, 0.5]).double())(2 * x - 1))["f"].flatten()
    near = pytest.approx(0.995, abs=2 / (h * w))  # the share of the pixels that is not whiter
    assert float(f[0]) * white / 0.2 == near
    assert float(f[1]) * white / 0.5 / 0.6 == near


def test_start_is_not_misled_by_a_few_bright_pixels():
    y = torch.full((1, 3, 200, 312), -0.5)
    bright = y.clone()
    bright[..., 50, :30] = 1
    assert torch.equal(LowLight().start(bright)["f"], LowLight().start(y)["f"])


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
@pytest.mark.parametrize(("light", "f"), [(-1.0, 0.02), (1.0, 1.0)])
def test_start_is_clipped(light, f, size):
    assert float(LowLight().start(torch.full((1, 3, *size), light))["f"]) == pytest.approx(f)


def test_valid_keeps_the_exposure_positive_and_finite():
    f = torch.tensor([-1.0, 0.0, 0.3, math.inf]).reshape(-1, 1, 1, 1)
    theta = LowLight().valid({"f": f, "M": torch.ones(4, 1, 2, 2)})
    assert theta["f"].flatten().tolist() == pytest.approx([1e-3, 1e-3, 0.3, 1e3])
    assert torch.equal(theta["M"], torch.ones(4, 1, 2, 2))
    nan = LowLight().valid({"f": torch.tensor(math.nan), "M": torch.zeros(())})
    assert bool(nan["f"].isnan())  # a diverged image stays known as one


def test_starting_picture_is_brightened():
    x, f, M = dark()
    torch.testing.assert_close(LowLight(f, M).pinv(LowLight(f, M)(x)), x, rtol=0, atol=1e-13)
    y = LowLight(f)(x)
    A = LowLight()
    expected = 2 * ((y + 1) / 2 / A.start(y)["f"]).clamp(0, 1) - 1
    torch.testing.assert_close(A.pinv(y), expected, rtol=0, atol=1e-15)
    assert float(A.pinv(y).amax()) == pytest.approx(2 * 0.775 - 1)  # something is nearly white


def test_low_light_of_one_image_takes_its_own_parameters():
    x, f, M = dark()
    torch.testing.assert_close(LowLight(f, M).for_image(1)(x[1:2]), LowLight(f, M)(x)[1:2])
    assert LowLight(0.5).for_image(2).f == 0.5


@pytest.mark.parametrize("f", [0.0, -0.2, math.nan, math.inf, torch.tensor([0.5, math.nan])])
def test_exposure_that_is_not_positive_and_finite_is_refused(f):
    with pytest.raises(
        ValueError, match=r"^f is (0\.0|-0\.2|nan|inf)\. A finite number > 0 is expected"
    ):
        LowLight(f)


def test_exposure_of_another_shape_is_refused():
    with pytest.raises(
        ValueError, match=r"^f has shape \(2, 3\)\. One number, or one per image, is expected"
    ):
        LowLight(torch.ones(2, 3))


@pytest.mark.parametrize("M", [torch.zeros(8, 6), torch.zeros(2, 3, 8, 6), [[0.0]]])
def test_map_of_another_shape_is_refused(M):
    with pytest.raises(
        ValueError, match=r"^M is given as .*\. A map of shape \(b, 1, h, w\) or \(1, 1, h, w\)"
    ):
        LowLight(0.5, M)


def test_map_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"^M holds NaN or infinite values\."):
        LowLight(0.5, torch.full((1, 1, 2, 2), math.nan))


def test_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"^M is 4 x 4, the image 8 x 6 \(height x width\)\."):
        LowLight(0.5, torch.zeros(1, 1, 4, 4))(dark()[0])


def test_parameters_of_another_batch_are_refused():
    with pytest.raises(ValueError, match=r"^There are 2 exposures f and 1 maps M for 3 images\."):
        LowLight(torch.tensor([0.5, 0.2]))(dark()[0])


def test_measurement_of_another_range_is_warned_of():
    with pytest.warns(
        UserWarning, match=r"^y reaches 255; a measurement in \[-1, 1\], up to noise, is expected\."
    ):
        LowLight().pinv(torch.full((1, 1, 4, 4), 255.0))
