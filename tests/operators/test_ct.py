"""Computed tomography."""

import math

import pytest
import torch

import hrdis
from hrdis.operators import CT
from tests.common.toys import normal, rel


def disc(n: int, radius: float, up: float = 0, right: float = 0) -> torch.Tensor:
    """A disc with a soft edge, about the pixel (n // 2, n // 2)."""
    at = torch.arange(n).double() - n // 2
    distance = ((at[:, None] + up) ** 2 + (at - right) ** 2).sqrt()
    return (radius + 0.5 - distance).clamp(0, 1)[None, None]


PHANTOM = disc(30, 11) - 0.6 * disc(30, 5, up=3, right=-4) + 0.4 * disc(30, 3, up=-5, right=4)


@pytest.mark.parametrize("size", [30, 29, 32])
def test_ct_is_the_radon_transform_of_scikit_image(size):
    transform = pytest.importorskip("skimage.transform")
    x = PHANTOM if size == 30 else torch.nn.functional.pad(PHANTOM, (0, size - 30, 0, size - 30))
    A = CT(12, size)
    theirs = torch.from_numpy(transform.radon(x[0, 0].numpy(), A.angles.numpy(), circle=False))
    # Both resample bilinearly about the same pixel; theirs computes the positions in another order.
    torch.testing.assert_close(A(x)[0, 0], theirs, rtol=0, atol=1e-9)


def test_ct_of_the_size_of_the_reference():
    A = CT(8, 256)
    assert tuple(A(torch.zeros(1, 1, 256, 256)).shape) == (1, 1, 363, 8)
    assert A.angles.tolist() == [22.5 * k for k in range(8)]


def test_limited_angles_are_a_degree_apart():
    assert CT(120, 16, limited=True).angles.tolist() == list(range(120))


def test_ct_takes_angles():
    A, x = CT([0.0, 45.0, 90.0], 30), normal(1, 1, 30, 30)
    torch.testing.assert_close(A(x), CT(4, 30)(x)[..., :3])


def test_straight_views_are_sums_over_columns_and_rows():
    A, x = CT([0.0, 90.0], 8), normal(1, 1, 8, 8)
    y = A(x)[0, 0]
    first = (12 // 2) - 8 // 2
    torch.testing.assert_close(y[first : first + 8, 0], x[0, 0].sum(0), rtol=0, atol=1e-13)
    rows = torch.zeros(12, dtype=torch.float64)
    rows[first : first + 8] = x[0, 0].sum(1)
    torch.testing.assert_close(y[:, 1].sort().values, rows.sort().values, rtol=0, atol=1e-12)


def test_every_view_of_a_centred_disc_is_its_chord():
    y = CT(16, 64)(disc(64, 20))[0, 0]
    s = torch.arange(len(y)).double() - len(y) // 2
    chord = 2 * (20**2 - s**2).clamp(min=0).sqrt()
    inside = s.abs() < 18
    assert (
        float((y - chord[:, None])[inside].abs().max()) < 1.0
    )  # soft edges of a pixel at both ends


@pytest.mark.parametrize("size", [30, 29])
def test_back_projection_agrees_with_scikit_image(size):
    transform = pytest.importorskip("skimage.transform")
    A = CT(60, size)
    y = A(torch.nn.functional.pad(PHANTOM, (0, size - 30, 0, size - 30)))
    theirs = transform.iradon(
        y[0, 0].numpy(), A.angles.numpy(), output_size=size, filter_name="ramp", circle=False
    )
    torch.testing.assert_close(
        A.smooth(y)[0, 0], torch.from_numpy(theirs), rtol=0, atol=1e-7
    )  # their sum is float32


def test_back_projection_is_near_the_image():
    A = CT(60, 30)
    assert rel(A.smooth(A(PHANTOM)), PHANTOM) < 0.15  # edges of the phantom are a pixel wide


def test_back_projection_of_limited_angles_weighs_them_by_their_step():
    """A centred disc looks alike from all sides: 90 of 180 degrees make half of its brightness."""
    x = disc(30, 11)
    middle = [
        float(A.smooth(A(x))[..., 13:18, 13:18].mean())
        for A in (CT(90, 30, limited=True), CT(180, 30))
    ]
    assert middle[0] == pytest.approx(middle[1] / 2, rel=0.05)


def test_pinv_explains_few_views():
    A = CT(6, 16)
    x = PHANTOM[..., 7:23, 7:23]
    y = A(x)
    assert rel(A(A.pinv(y)), y) < 1e-4
    assert rel(A.smooth(y), x) > rel(A.pinv(y), x)


def test_ct_is_differentiable_for_solvers():
    problem = hrdis.measure(CT(6, 8), 0.3 * normal(2, 1, 8, 8, dtype=torch.float32))
    prior = hrdis.priors.Gaussian(torch.zeros(1, 8, 8), 0.09)
    with torch.inference_mode():
        for solver in (hrdis.HRDIS(steps=3), hrdis.DDNM(steps=3)):
            assert bool(hrdis.solve(solver, prior, problem, seeds=[0, 1]).finite.all())


@pytest.mark.parametrize("shape", [(1, 8, 9), (1, 9, 9), (3, 8, 8), (2, 8, 8)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"^CT got images of shape .*\. \(1, 8, 8\) is expected\."):
        CT(4, 8)(torch.zeros(1, *shape))


@pytest.mark.parametrize("views", [0, -3, True])
def test_less_than_one_view_is_refused(views):
    with pytest.raises(ValueError, match=rf"^views is {views!r}\. At least one view is expected"):
        CT(views, 8)


@pytest.mark.parametrize("views", [[], [0.0, math.nan]])
def test_angles_that_are_none_are_refused(views):
    with pytest.raises(
        ValueError,
        match=rf"^views holds {len(views)} angles\. At least one finite angle is expected",
    ):
        CT(views, 8)


@pytest.mark.parametrize("size", [1, 0, 8.0, True])
def test_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match=rf"^size is {size!r}\. The side of the image"):
        CT(4, size)


@pytest.mark.parametrize(
    ("views", "limited"), [(200, True), ([-1.0, 5.0], False), ([180.0], False)]
)
def test_angles_that_repeat_others_are_warned_of(views, limited):
    with pytest.warns(UserWarning, match=r"^Angles reach from .* degrees\. \[0, 180\) is expected"):
        CT(views, 8, limited)
