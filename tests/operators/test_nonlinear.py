"""Every nonlinear operator by one table; the blurring network, which is too large for it, in a file
of its own.
"""

import math

import pytest
import torch

import hrdis
from hrdis.operators import (
    BlindOperator,
    Function,
    LinearOperator,
    NonlinearBlur,
    Operator,
    PhaseRetrieval,
)
from hrdis.problem import Problem
from tests.common.toys import NONLINEAR, normal

every_operator = pytest.mark.parametrize("name", NONLINEAR)
every_shape = pytest.mark.parametrize("shape", [(1, 1, 16, 16), (3, 3, 32, 16)], ids=str)
# Rounded values have no derivative: what stands in for it is tested with the operators themselves.
every_smooth = pytest.mark.parametrize(
    "name", [n for n, make in NONLINEAR.items() if "jpeg" not in n and "qu" not in n]
)


def test_every_exported_nonlinear_operator_is_listed():
    exported = {
        c for c in vars(hrdis.operators).values() if isinstance(c, type) and issubclass(c, Operator)
    }
    known = {c for c in exported if issubclass(c, LinearOperator)} | {
        Operator,
        BlindOperator,
        Function,
        NonlinearBlur,
        hrdis.operators.ProximalOperator,
    }
    known.add(hrdis.operators.ComposedOperator)  # test_operators_composition.py
    assert exported - known == {type(make(1, 1, 16, 16)) for make in NONLINEAR.values()}


@every_smooth
@pytest.mark.parametrize("seed", range(3))
def test_gradient_is_the_finite_difference(name, seed):
    shape = (2, 3, 16, 16)
    A, x, v = (
        NONLINEAR[name](*shape),
        0.4 * normal(*shape, seed=seed),
        normal(*shape, seed=seed + 10),
    )
    x = x + 0.01 * ((x.abs() - 0.5).abs() < 0.01)  # away from the kink of HDR
    x.requires_grad_()
    r = normal(*A(x).shape, seed=2)

    def inner(x):
        return (A(x) * r).sum()

    (gradient,) = torch.autograd.grad(inner(x), x)
    # error step^2 / 6 of the third derivative (large where a magnitude is small), 1e-16 / step of
    # rounding
    step = 1e-6
    with torch.no_grad():
        difference = (inner(x + step * v) - inner(x - step * v)) / (2 * step)
    assert float((gradient * v).sum()) == pytest.approx(float(difference), rel=1e-6)


@every_operator
@every_shape
def test_starting_picture_has_the_shape_of_the_image(name, shape):
    A, x = NONLINEAR[name](*shape), 0.3 * normal(*shape)
    y = A(x)
    assert A.image_shape(tuple(y.shape)) == shape
    for start in (A.pinv(y), A.smooth(y)):
        assert tuple(start.shape) == shape
        assert bool(torch.isfinite(start).all())


@every_operator
@pytest.mark.parametrize("what", ["forward", "pinv"])
def test_image_is_treated_alike_in_any_batch(name, what):
    shape = (3, 3, 16, 16)
    A, x = NONLINEAR[name](*shape), 0.3 * normal(*shape)
    u = x if what == "forward" else A(x)
    together = getattr(A, what)(u)
    for i in range(3):
        alone = getattr(A.for_image(i), what)(u[i : i + 1])
        torch.testing.assert_close(
            together[i : i + 1], alone, rtol=0, atol=1e-12
        )  # sums of another order


@every_operator
def test_gradient_of_an_image_ignores_its_neighbours(name):
    shape = (3, 3, 16, 16)
    A, x = NONLINEAR[name](*shape), (0.3 * normal(*shape)).requires_grad_()
    (gradient,) = torch.autograd.grad(A(x)[1].sum(), x)
    assert not bool(gradient[[0, 2]].any())


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_operator_keeps_the_dtype_of_its_argument(name, dtype):
    A, x = NONLINEAR[name](2, 3, 16, 16), 0.3 * normal(2, 3, 16, 16, dtype=dtype)
    y = A(x)
    assert {y.dtype, A.pinv(y).dtype} == {dtype}


@every_operator
def test_float32_agrees_with_float64(name):
    A, x = NONLINEAR[name](2, 3, 16, 16), 0.3 * normal(2, 3, 16, 16)
    error = (A(x.float()).double() - A(x)).abs()
    # rounding may tip a value to the next step now and then: all but 1 % of entries agree to
    # float32's 1e-7 times 10
    assert float((error > 2e-6).double().mean()) < 0.01


@every_operator
def test_operator_moves_with_to(name):
    A = NONLINEAR[name](2, 3, 16, 16).to("meta")
    y = A(torch.zeros(2, 3, 16, 16, device="meta"))
    assert {y.device.type, A.pinv(y).device.type} == {"meta"}


@every_operator
def test_operator_does_not_write_into_its_argument(name):
    A, x = NONLINEAR[name](2, 3, 16, 16), 0.3 * normal(2, 3, 16, 16)
    before = x.clone()
    y = A(x)
    kept = y.clone()
    start = A.pinv(y)
    assert torch.equal(x, before)
    assert torch.equal(y, kept)
    assert start.data_ptr() != y.data_ptr()  # solvers move the start


@every_operator
def test_operator_gives_the_same_measurement_twice(name):
    A, x = NONLINEAR[name](2, 3, 16, 16), 0.3 * normal(2, 3, 16, 16)
    assert torch.equal(A(x), A(x))


@every_operator
def test_operator_survives_a_state_dict(name):
    A, B, x = (f(2, 3, 16, 16) for f in (NONLINEAR[name], NONLINEAR[name], normal))
    B.load_state_dict(A.state_dict())
    assert torch.equal(A(x), B(x))


@every_operator
def test_operator_says_its_settings(name):
    assert "=" in repr(NONLINEAR[name](2, 3, 16, 16))


@every_operator
def test_operator_makes_a_problem(name):
    A, x = NONLINEAR[name](2, 3, 16, 16), (0.3 * normal(2, 3, 16, 16)).clamp(-1, 1)
    problem = hrdis.measure(A, x, hrdis.noise.Gaussian(0.05), seeds=[0, 1])
    assert isinstance(problem, Problem)
    assert problem.image_shape == (2, 3, 16, 16)
    assert problem.sigma_y == 0.1


@every_operator
def test_measurement_is_a_picture_unless_it_is_a_spectrum(name):
    A = NONLINEAR[name](2, 3, 16, 16)
    assert A.picture == (not isinstance(A, PhaseRetrieval))


@every_operator
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            torch.zeros(1, 3, 16, 16) * 1j,
            TypeError,
            r"got torch.complex64 of shape .*\. A floating tensor",
        ),
        (
            torch.zeros(3, 16, 16),
            TypeError,
            r"got torch.float32 of shape \(3, 16, 16\)\. A floating tensor",
        ),
        (
            torch.full((1, 3, 16, 16), math.inf),
            ValueError,
            r"^The image given to \w+ holds NaN or infinite values\.",
        ),
    ],
)
def test_measure_refuses_what_is_no_batch_of_images(name, x, error, message):
    with pytest.raises(error, match=message):
        hrdis.measure(NONLINEAR[name](1, 3, 16, 16), x)


@every_smooth
def test_solver_runs_and_stays_finite(name):
    """HRDIS takes any differentiable operator; the prior here knows nothing but two grey levels."""
    from tests.common.toys import Pixelwise

    A, x = (
        NONLINEAR[name](1, 1, 16, 16),
        0.4 * normal(1, 1, 16, 16, dtype=torch.float32).clamp(-1, 1),
    )
    result = hrdis.solve(hrdis.HRDIS(steps=4), Pixelwise(), hrdis.measure(A, x), seeds=[0])
    assert bool(result.finite.all())
