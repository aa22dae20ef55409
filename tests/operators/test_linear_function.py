"""A linear function alone is an operator: adjoint by autograd wherever it is called from."""

import contextlib

import pytest
import torch

import hrdis
from hrdis.linalg import matrix
from hrdis.operators import LinearFunction, Matrix
from tests.common.toys import gaussian, normal, short

SHAPE = (1, 4, 4)
H = normal(6, 16, seed=9)


def shears(x):
    return x.flatten(1) @ H.T.to(x)


A = LinearFunction(shears, SHAPE)


@pytest.mark.parametrize(
    "context",
    [torch.enable_grad, torch.no_grad, torch.inference_mode, contextlib.nullcontext],
    ids=str,
)
def test_adjoint_works_wherever_it_is_called_from(context):
    with context():
        back = A.adjoint(normal(2, 6))
        assert torch.is_grad_enabled() == (context not in (torch.no_grad, torch.inference_mode))
        assert not back.requires_grad
        assert torch.equal(A.pinv(normal(2, 6)), A.pinv(normal(2, 6)))
    torch.testing.assert_close(
        back.clone(), (normal(2, 6) @ H).reshape(2, *SHAPE), rtol=0, atol=1e-12
    )


def test_matrices_are_those_of_the_function():
    torch.testing.assert_close(matrix(A, SHAPE), H, rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix(A.adjoint, (6,)), H.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        matrix(A.pinv, (6,)), torch.linalg.pinv(H), rtol=0, atol=1e-5
    )  # cg stops at 1e-6


def test_gradient_flows_through_the_adjoint():
    y = normal(2, 6).requires_grad_()
    weight = normal(2, *SHAPE, seed=1)
    (gradient,) = torch.autograd.grad((A.adjoint(y) * weight).sum(), y)
    torch.testing.assert_close(gradient, A(weight), rtol=0, atol=1e-12)


def test_adjoint_without_gradients_keeps_no_graph_of_a_y_that_has_one():
    y = normal(2, 6).requires_grad_()
    with torch.no_grad():
        assert not A.adjoint(y).requires_grad


def test_posterior_is_that_of_the_matrix():
    y, prior = normal(2, 6, seed=4), gaussian(*SHAPE)
    for a, b in zip(
        prior.posterior(hrdis.Problem(y, A, 0.1)),
        prior.posterior(hrdis.Problem(y, Matrix(H, SHAPE), 0.1)),
        strict=True,
    ):
        torch.testing.assert_close(a.mean, b.mean, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", sorted(hrdis.SOLVERS))
def test_every_solver_for_linear_operators_takes_it(name):
    cls, _ = hrdis.SOLVERS[name]
    if not issubclass(LinearFunction, cls.requires):
        pytest.skip(f"{name} requires a {cls.requires.__name__}")
    problem = hrdis.Problem(A(0.3 * normal(2, *SHAPE)), A)
    with torch.inference_mode(False):
        solver = (
            hrdis.DAPS(steps=8, lr=1e-6) if name == "daps" else short(cls())
        )  # its steps are for gains up to 1
        assert bool(hrdis.solve(solver, gaussian(*SHAPE), problem, seeds=[0, 1]).finite.all())


def test_function_without_a_gradient_is_refused():
    cut = LinearFunction(lambda x: x.detach()[..., ::2], SHAPE)
    with pytest.raises(
        TypeError, match=r"^The function of LinearFunction has no gradient: autograd finds no way"
    ):
        cut.adjoint(normal(1, 1, 4, 2))


def test_what_cannot_be_called_is_refused():
    with pytest.raises(
        TypeError, match=r"^function is a Tensor\. A linear callable x -> y is expected"
    ):
        LinearFunction(H, SHAPE)


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 0), (1, 4.0, 4)])
def test_shape_that_is_none_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"^shape is .*\. The shape \(c, h, w\) of the images is expected"
    ):
        LinearFunction(shears, shape)
