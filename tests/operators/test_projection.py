"""The images consistent with y, where A rounds or clips: `project` finds the closest."""

import pytest
import torch
from torch import Tensor

from hrdis.operators import HDR, JPEG, ProximalOperator, Quantization
from hrdis.rng import stream

OPERATORS: dict[str, ProximalOperator] = {
    "JPEG 10": JPEG(10),
    "JPEG 90": JPEG(90),
    "3 bits": Quantization(3),
    "1 bit": Quantization(1),
    "clipped": HDR(2.0),
}
GREY = "JPEG 10, grey"
NAMES = (*OPERATORS, GREY)


def case(name: str) -> tuple[ProximalOperator, Tensor, Tensor]:
    """Return an operator, an image with its measurement, and another image."""
    channels = 1 if name == GREY else 3
    draw = stream(0, "projection").standard_normal((2, 2, channels, 16, 32))
    z, x = torch.from_numpy(draw).mul(0.5).clamp(-1, 1)
    return OPERATORS.get(name, OPERATORS["JPEG 10"]), z, x


@pytest.mark.parametrize("name", NAMES)
def test_projection_explains_the_measurement(name: str) -> None:
    A, z, x = case(name)
    y = A(z)
    assert torch.allclose(A(A.project(x, y)), y, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_image_that_explains_the_measurement_stays(name: str) -> None:
    A, z, _ = case(name)
    # A coefficient may lie up to half a step from its level, and MOST allows 0.4999 of one: at
    # most 1e-4 of JPEG's largest step, 100 of 255 levels, over few coefficients.
    assert torch.allclose(A.project(z, A(z)), z, atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("JPEG 9")])
def test_no_other_image_that_explains_the_measurement_is_closer(name: str) -> None:
    A, z, x = case(name)
    if name == "JPEG 10":  # nearest in each plane of Y Cb Cr, not in red, green and blue
        x = x.mean(1, keepdim=True).expand_as(x).contiguous()
        z = z.mean(1, keepdim=True).expand_as(z).contiguous()
    y = A(z)
    nearest = A.project(x, y)
    # For a convex set: the way from x to the nearest point makes no acute angle with any other.
    inwards = ((x - nearest) * (z - nearest)).sum((1, 2, 3))
    assert (inwards <= 1e-3 * (x - nearest).square().sum((1, 2, 3))).all()


@pytest.mark.parametrize("name", NAMES)
def test_projection_lets_an_image_keep_what_was_lost(name: str) -> None:
    A, z, x = case(name)
    y = A(z)
    assert (A.project(x, y) - A.project(-x, y)).abs().max() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_prox_goes_a_part_of_the_way(name: str) -> None:
    A, z, x = case(name)
    y = A(z)
    halfway = (x + A.project(x, y)) / 2
    assert torch.allclose(A.prox(x, y, 1.0), halfway)
    assert torch.equal(A.prox(x, y, 0.0), x + (A.project(x, y) - x))
