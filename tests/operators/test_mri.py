"""Magnetic resonance imaging with one coil and several, and what is sampled."""

import math

import numpy as np
import pytest
import torch

import hrdis
from hrdis.operators import MRI, MultiCoilMRI, SingleCoilMRI, kspace
from tests.common.toys import normal, pixels, rel, sensitivities


def as_complex(x: torch.Tensor) -> torch.Tensor:
    return torch.complex(x[:, 0], x[:, 1])


def centred(z: torch.Tensor) -> torch.Tensor:
    """The unitary transform as a sum over pixels, for odd and even sizes: the origin is pixel n //
    2.
    """

    def F(n):
        at = torch.arange(n).double() - n // 2
        return torch.polar(
            torch.ones(1, dtype=torch.float64), -2 * math.pi * at[:, None] * at / n
        ) / math.sqrt(n)

    return F(z.shape[-2]) @ z @ F(z.shape[-1]).T


@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 9)], ids=str)
def test_single_coil_samples_the_centred_fourier_transform(size):
    mask, x = pixels(*size), normal(2, 2, *size)
    y = MRI(mask)(x)
    torch.testing.assert_close(as_complex(y), mask * centred(as_complex(x)), rtol=0, atol=1e-13)


def test_constant_image_lies_in_the_middle_of_k_space():
    x = torch.zeros(1, 2, 8, 6, dtype=torch.float64)
    x[:, 0] = 1
    y = MRI(torch.ones(8, 6))(x)
    expected = torch.zeros_like(y)
    expected[0, 0, 4, 3] = math.sqrt(48)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)], ids=str)
def test_each_coil_samples_the_image_times_its_sensitivity(size):
    mask, x, coils = pixels(*size), normal(2, 2, *size), sensitivities(3, *size)
    y = MRI(mask, coils)(x)
    assert tuple(y.shape) == (2, 3, 2, *size)
    for i in range(3):
        torch.testing.assert_close(
            as_complex(y[:, i]), mask * centred(coils[i] * as_complex(x)), rtol=0, atol=1e-13
        )


def test_one_coil_of_sensitivity_one_is_a_single_coil():
    mask, x = pixels(8, 8), normal(1, 2, 8, 8)
    A = MRI(mask, torch.ones(1, 8, 8) + 0j)
    assert isinstance(A, MultiCoilMRI) and isinstance(MRI(mask), SingleCoilMRI)
    torch.testing.assert_close(A(x)[:, 0], MRI(mask)(x), rtol=0, atol=1e-14)


def test_minimum_variance_picture_is_the_image_if_everything_was_sampled():
    coils, x = 1.7 * sensitivities(4, 8, 8), normal(1, 2, 8, 8)
    A = MRI(torch.ones(8, 8), coils)
    torch.testing.assert_close(A.smooth(A(x)), x, rtol=0, atol=1e-13)
    assert rel(A.adjoint(A(x)), x) > 0.1  # the adjoint is no inverse


def test_several_coils_see_more_than_one():
    """Half of the columns, smooth coils: the pseudo-inverse finds all of the image, that of one
    coil half of it.
    """
    mask, at = torch.zeros(8), torch.arange(8).double()
    mask[::2] = 1
    coils = torch.stack([torch.polar(1 + 0.5 * torch.cos((k + 1) * at), k * at) for k in range(4)])
    x = normal(1, 2, 8, 8)
    several, one = MRI(mask, coils[:, None].expand(-1, 8, -1)), MRI(mask)
    assert rel(several.pinv(several(x)), x) < 1e-6 < 0.5 < rel(one.pinv(one(x)), x)


@pytest.mark.parametrize("coils", [None, sensitivities(3, 8, 8)])
def test_no_noise_is_put_where_nothing_was_sampled(coils):
    mask = pixels(2, 1, 8, 8)
    A, x = MRI(mask, coils), 0.3 * normal(2, 2, 8, 8, dtype=torch.float32)
    problem = hrdis.measure(A, x, hrdis.noise.Gaussian(0.05), seeds=[0, 1])
    changed = (problem.y != A(x)).flatten(1).any(1)
    outside = (
        (mask == 0).expand_as(x) if coils is None else (mask == 0)[:, :, None].expand_as(problem.y)
    )
    assert bool(changed.all()) and not bool(problem.y[outside].any())


def test_solver_recovers_a_sampled_image():
    A, x = MRI(kspace.columns(8, 2, seed=1)), 0.3 * normal(1, 2, 8, 8)
    problem = hrdis.measure(A, x)
    prior = hrdis.priors.Gaussian(torch.zeros(2, 8, 8), 0.09)
    found = hrdis.solve(hrdis.DDNM(steps=5), prior, problem, seeds=[0]).x
    assert rel(A(found), problem.y) < 1e-10


@pytest.mark.parametrize("values", [0.5, 255.0, -1.0, math.nan])
def test_mask_of_other_values_is_refused(values):
    mask = torch.ones(4, 4)
    mask[0, 0] = values
    with pytest.raises(
        ValueError, match=r"^The mask has shape \(4, 4\) and values from .*\. 1 \(sampled\) and 0"
    ):
        MRI(mask)


def test_mask_that_differs_between_the_parts_is_refused():
    with pytest.raises(
        ValueError, match=r"^The mask has shape \(2, 2, 4, 4\) .*, the same for both"
    ):
        MRI(torch.ones(2, 2, 4, 4))


def test_mask_that_samples_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^The mask samples nothing\."):
        MRI(torch.zeros(4))


@pytest.mark.parametrize(
    "mask", [np.ones((2, 2)), torch.ones(1, 4, 4), torch.ones(4, 4) * 1j, [1, 0]]
)
def test_mask_that_is_no_picture_is_refused(mask):
    with pytest.raises(
        TypeError, match=r"^The mask is given as .*\. A tensor of shape \(w,\), \(h, w\) or"
    ):
        MRI(mask)


@pytest.mark.parametrize("coils", [None, torch.ones(2, 4, 6) + 0j])
@pytest.mark.parametrize(
    ("mask", "x"), [((4, 6), (1, 2, 4, 5)), ((6,), (1, 2, 4, 7)), ((2, 1, 4, 6), (3, 2, 4, 6))]
)
def test_mask_of_another_size_is_refused(mask, x, coils):
    with pytest.raises(
        ValueError,
        match=r"^The mask has shape .*, the images .*\. The same size, and one mask for all",
    ):
        MRI(torch.ones(mask), coils)(torch.zeros(x))


@pytest.mark.parametrize("coils", [None, torch.ones(2, 4, 4) + 0j])
@pytest.mark.parametrize("channels", [1, 3])
def test_real_images_are_refused(channels, coils):
    with pytest.raises(
        ValueError, match=rf"^MRI got images of {channels} channels\. 2 are expected, the real and"
    ):
        MRI(torch.ones(4, 4), coils)(torch.zeros(1, channels, 4, 4))


@pytest.mark.parametrize("coils", [torch.ones(2, 4, 4), np.ones((2, 4, 4)) * 1j])
def test_real_sensitivities_are_refused(coils):
    with pytest.raises(
        TypeError,
        match=r"^The coil sensitivities are .*\. A complex tensor of shape \(n, h, w\) is",
    ):
        MRI(torch.ones(4, 4), coils)


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 5), (2, 5, 4), (1, 1, 2, 4, 4)])
def test_sensitivities_of_another_shape_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"^The coil sensitivities have shape .*, the mask \(4, 4\)\."
    ):
        MRI(torch.ones(4, 4), torch.ones(shape) + 0j)


def test_sensitivities_of_another_number_than_the_images_are_refused():
    A = MRI(torch.ones(4), torch.ones(2, 3, 4, 4) + 0j)
    with pytest.raises(
        ValueError,
        match=r"^The coil sensitivities have shape \(2, 3, 4, 4\), the images \(3, 2, 4, 4\)\.",
    ):
        A(torch.zeros(3, 2, 4, 4))


def test_sensitivities_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"^The coil sensitivities hold NaN or infinite values\."):
        MRI(torch.ones(4, 4), torch.full((2, 4, 4), math.nan) + 0j)


def test_pixels_that_no_coil_sees_are_warned_of():
    coils = torch.ones(2, 4, 4) + 0j
    coils[:, 0, :2] = 0
    with pytest.warns(UserWarning, match=r"^No coil sees 2 pixels") as record:
        A = MRI(torch.ones(4, 4), coils)
    assert record[0].filename == __file__
    assert not bool(A.smooth(A(torch.ones(1, 2, 4, 4)))[..., 0, :2].any())


# ---- what is sampled ----------------------------------------------------------------------------


@pytest.mark.parametrize(("acceleration", "middle"), [(4, 25), (8, 12), (2, 25)])
@pytest.mark.parametrize("kind", ["random", "gaussian"])
def test_columns_keep_their_budget_and_the_middle(kind, acceleration, middle):
    """320 columns as in InverseBench: 8 % of lines in the middle up to an acceleration of 6, else 4
    %.
    """
    mask = kspace.columns(320, acceleration, kind)
    first = (320 - middle) // 2
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert int(mask.sum()) == 320 // acceleration
    assert bool(mask[first : first + middle].all())


def test_equispaced_columns_are_every_nth_outside_the_middle():
    mask = kspace.columns(320, 8, "equispaced")
    outside = torch.cat([mask[:154], mask[166:]])
    assert torch.equal(outside.nonzero().flatten(), torch.arange(0, 308, 8))


def test_gaussian_columns_crowd_the_middle():
    near = {
        k: np.mean([float(kspace.columns(320, 4, k, seed=s)[80:240].sum()) for s in range(20)])
        for k in ("random", "gaussian")
    }
    assert near["gaussian"] > near["random"] + 10


@pytest.mark.parametrize("kind", ["random", "gaussian"])
def test_columns_are_a_function_of_their_seed(kind):
    assert torch.equal(kspace.columns(64, 4, kind, seed=1), kspace.columns(64, 4, kind, seed=1))
    assert not torch.equal(kspace.columns(64, 4, kind, seed=1), kspace.columns(64, 4, kind, seed=2))


def test_no_acceleration_samples_everything():
    assert bool(kspace.columns(32, 1).all())


@pytest.mark.parametrize("acceleration", [0.5, 0, -4, math.nan, math.inf])
def test_acceleration_below_one_is_refused(acceleration):
    with pytest.raises(
        ValueError, match=rf"^acceleration is {acceleration}\. A number >= 1 is expected"
    ):
        kspace.columns(320, acceleration)


def test_acceleration_beyond_the_middle_is_refused_with_the_numbers():
    message = (
        r"^acceleration is 40: 8 of 320 columns may be sampled, but the middle alone takes 12\. At "
        r"most 26\.7"
    )
    with pytest.raises(ValueError, match=message):
        kspace.columns(320, 40)


def test_one_column_may_be_all_that_is_sampled():
    assert float(kspace.columns(8, 8).sum()) == 1


def test_kind_of_columns_is_read_by_its_letters():
    """One that is read from a file is another object than the word in the code."""
    read = b"equispaced".decode()
    assert torch.equal(kspace.columns(32, 4, read), kspace.columns(32, 4, "equispaced"))


def test_unknown_kind_of_columns_is_refused():
    with pytest.raises(
        ValueError, match=r"^kind is 'spiral'\. 'equispaced', 'random' or 'gaussian' is expected\."
    ):
        kspace.columns(320, 4, "spiral")
