"""Operators one after the other."""

import copy

import pytest
import torch

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import (
    Blur,
    Colorization,
    ComposedLinearOperator,
    ComposedOperator,
    Composition,
    Function,
    Identity,
    Inpainting,
    SuperResolution,
)
from tests.common.toys import MILD, normal, pixels, rel


def test_composition_applies_from_left_to_right():
    A, x = (
        Composition(Blur(MILD), SuperResolution(2), Inpainting(pixels(4, 6))),
        normal(2, 3, 8, 12),
    )
    assert torch.equal(A(x), Inpainting(pixels(4, 6))(SuperResolution(2)(Blur(MILD)(x))))


def test_adjoint_of_a_composition_is_the_reversed_product():
    first, second, y = Blur(MILD), SuperResolution(2), normal(2, 3, 4, 6)
    assert torch.equal(Composition(first, second).adjoint(y), first.adjoint(second.adjoint(y)))


def test_pinv_of_a_composition_is_no_product_of_pseudo_inverses():
    A = Composition(Blur(MILD), Inpainting(pixels(4, 4)))
    H = matrix(A, (1, 4, 4))
    torch.testing.assert_close(matrix(A.pinv, (1, 4, 4)), torch.linalg.pinv(H), rtol=0, atol=1e-12)
    product = matrix(lambda y: Blur(MILD).pinv(Inpainting(pixels(4, 4)).pinv(y)), (1, 4, 4))
    assert rel(product, torch.linalg.pinv(H)) > 0.05


def test_smooth_picture_of_a_composition_is_that_of_its_parts_in_reverse():
    A, y = Composition(Blur(MILD), SuperResolution(4)), normal(1, 3, 4, 4)
    assert torch.equal(A.smooth(y), SuperResolution(4).smooth(y))


def test_composition_observes_what_its_last_part_does():
    mask = pixels(4, 4)
    A = Composition(Blur(MILD), SuperResolution(2), Inpainting(mask))
    assert torch.equal(A.observed, Inpainting(mask).observed)


def test_composition_with_a_nonlinear_operator_is_a_chain():
    hdr = Function(lambda x: (2 * x).clamp(-1, 1), start=lambda y: y / 2)
    A, x = Composition(SuperResolution(2), hdr), normal(1, 3, 4, 4)
    assert type(A) is ComposedOperator and not isinstance(A, hrdis.operators.LinearOperator)
    torch.testing.assert_close(A.pinv(A(x)), SuperResolution(2).pinv(A(x) / 2))
    assert A.image_shape((1, 3, 2, 2)) == (1, 3, 4, 4)


def test_linear_composition_is_a_linear_operator():
    assert type(Composition(Blur(MILD), SuperResolution(2))) is ComposedLinearOperator


@pytest.mark.parametrize("last", [Inpainting(pixels(2, 1, 4, 4)), SuperResolution(2)])
def test_composition_was_observed_where_its_last_operator_was(last):
    observed = Composition(Blur(MILD), last).observed
    assert observed is last.observed


def test_composition_measures_without_noise_in_holes():
    A, x = (
        Composition(Colorization(), Inpainting(pixels(8, 8))),
        0.3 * normal(2, 3, 8, 8, dtype=torch.float32),
    )
    y = hrdis.measure(A, x, hrdis.noise.Gaussian(0.1), seeds=[0, 1]).y
    assert not bool(y[(pixels(8, 8) == 0).expand_as(y)].any())


def test_composition_is_lossless_if_all_its_parts_are():
    assert Composition(Identity(), Identity()).lossless
    assert not Composition(Identity(), SuperResolution(2)).lossless


def test_composition_hands_out_the_operator_of_an_image():
    mask = pixels(2, 1, 4, 4)
    A = Composition(Blur(MILD), Inpainting(mask))
    x = normal(2, 1, 4, 4)
    torch.testing.assert_close(A.for_image(1)(x[1:]), A(x)[1:], rtol=0, atol=1e-14)
    same = Composition(Blur(MILD), SuperResolution(2))
    assert same.for_image(1) is same


def test_composition_can_be_composed_and_copied():
    inner = Composition(Blur(MILD), SuperResolution(2))
    A, x = Composition(inner, Inpainting(torch.eye(2))), normal(1, 1, 4, 4)
    assert type(A) is ComposedLinearOperator
    assert torch.equal(copy.deepcopy(A)(x), A(x))


def test_solver_takes_a_composition():
    A = Composition(Colorization(), SuperResolution(2))
    problem = hrdis.measure(A, 0.3 * normal(1, 3, 8, 8))
    prior = hrdis.priors.Gaussian(torch.zeros(3, 8, 8), 0.09)
    x = hrdis.solve(hrdis.DDNM(steps=4), prior, problem, seeds=[0]).x
    assert rel(A(x), problem.y) < 1e-10


@pytest.mark.parametrize("operators", [(), (SuperResolution(2),)])
def test_composition_of_fewer_than_two_is_refused(operators):
    with pytest.raises(
        ValueError,
        match=rf"^{len(operators)} operators are to be composed\. Two or more are expected",
    ):
        Composition(*operators)


@pytest.mark.parametrize("other", [lambda x: x, "sr4", torch.ones(3, 3)])
def test_composition_of_what_is_no_operator_is_refused(other):
    with pytest.raises(TypeError, match=r"^A \w+ is to be composed\. Operators are expected"):
        Composition(SuperResolution(2), other)
