"""The check of an operator finds what is wrong with one, and nothing where nothing is."""

import pytest
import torch
import torch.nn.functional as F

import hrdis
from hrdis import check_operator
from hrdis.operators import (
    Function,
    Identity,
    Inpainting,
    LinearOperator,
    SuperResolution,
    SVDOperator,
)
from tests.common.toys import LINEAR, normal, pixels
from tests.operators.test_deepinv import Decomposable, Grey, Magnitude, Pooling

SHAPE = (1, 12, 12)


@pytest.mark.parametrize("name", LINEAR)
def test_our_own_operators_pass(name):
    shape = LINEAR[name].fit(2, 3, 12, 12)
    report = check_operator(LINEAR[name](*shape), shape=shape)
    assert report.passed, str(report)


@pytest.mark.parametrize(
    "physics", [Pooling(), Magnitude(), Decomposable(pixels(1, 1, 12, 12))], ids=str
)
def test_operators_of_deepinv_pass(physics):
    report = check_operator(physics, SHAPE)
    assert report.passed, str(report)
    assert check_operator(Grey(), (3, 12, 12)).passed


@pytest.mark.parametrize(
    "f", [lambda x: x.clamp(-0.5, 0.5), lambda x: x**2, lambda x: (x**3).mean((2, 3))]
)
def test_smooth_functions_pass(f):
    report = check_operator(f, SHAPE)
    assert report.passed, str(report)
    assert report.null_space is None


class Half(LinearOperator):
    """Every other column; faults are put in by the tests."""

    def forward(self, x):
        return x[..., ::2]

    def adjoint(self, y):
        return torch.stack([y, torch.zeros_like(y)], -1).flatten(-2)

    def image_shape(self, y_shape):
        return (*y_shape[:-1], 2 * y_shape[-1])


def faulty(**methods):
    return type("Faulty", (Half,), methods)()


calls = []


def counts(self, x):
    calls.append(1)
    return x[..., ::2] * len(calls)


def writes(self, x):
    x.mul_(1.5)
    return x[..., ::2]


#: what is wrong -> (operator, the check that must say so)
FAULTS = {
    "wrong adjoint": (faulty(adjoint=lambda self, y: y.repeat_interleave(2, -1)), "adjoint"),
    "adjoint of another shape": (faulty(adjoint=lambda self, y: y), "adjoint"),
    "a scale in the adjoint": (
        faulty(adjoint=lambda self, y: 2 * Half.adjoint(self, y)),
        "adjoint",
    ),
    "a pseudo-inverse that is the adjoint": (
        faulty(
            forward=lambda self, x: 2 * x[..., ::2],
            adjoint=lambda s, y: 2 * Half.adjoint(s, y),
            pinv=Half.adjoint,
        ),
        "pseudo inverse",
    ),
    "a pseudo-inverse that repeats": (
        faulty(pinv=lambda self, y: y.repeat_interleave(2, -1)),
        "pseudo inverse",
    ),
    "affine": (faulty(forward=lambda self, x: x[..., ::2] + 1), "linear"),
    "square": (faulty(forward=lambda self, x: x[..., ::2] ** 2), "linear"),
    "another size": (faulty(image_shape=lambda self, y: y), "image size"),
    "not deterministic": (faulty(forward=counts), "repeats"),
    "in place": (faulty(forward=writes), "input kept"),
    "norm of the batch": (lambda x: x / x.norm(), "images apart"),
    "neighbours": (lambda x: x - x.mean(0, keepdim=True), "images apart"),
    "float64 whatever comes": (lambda x: x.double(), "dtype kept"),
    "no gradient": (lambda x: x.detach() * 2, "gradient"),
    "rounding": (lambda x: (3 * x).round(), "gradient"),
    "wrong gradient": (lambda x: x + (x**2 - x).detach(), "gradient"),
    "norm at 0": (lambda x: x.square().sum((2, 3)).sqrt(), "gradient"),
    "logarithm": (lambda x: x.log(), "finite"),
    "constant": (lambda x: 0 * x + 1, "gradient"),
    "start of another shape": (Function(lambda x: x**2, start=lambda y: y[..., 1:]), "start"),
    "raises": (lambda x: x.reshape(7), "runs"),
    "no tensor": (lambda x: [x], "runs"),
    "complex": (lambda x: torch.fft.fft2(x), "runs"),
    "one number for the batch": (lambda x: x.mean((0, 2, 3))[None], "runs"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found_and_explained(fault):
    A, name = FAULTS[fault]
    report = check_operator(A, SHAPE)
    assert not report.passed
    assert name in report.failed, str(report)
    check = next(c for c in report.checks if c.name == name)
    assert check.fix and check.meaning and check.measured
    assert f"FAIL  {name}" in str(report) and f"fix: {check.fix}" in str(report)


@pytest.mark.parametrize(
    "fault", ["wrong adjoint", "another size", "rounding", "logarithm", "start of another shape"]
)
def test_one_fault_is_not_taken_for_many(fault):
    A, name = FAULTS[fault]
    failed = set(check_operator(A, SHAPE).failed)
    assert failed <= {
        name,
        *({"pseudo inverse"} if "adjoint" in fault else ()),
        *({"gradient", "start"} if fault == "logarithm" else ()),
    }


def test_function_on_unit_images_is_told_so():
    report = check_operator(lambda x: x.sqrt(), SHAPE)
    assert next(c.fix for c in report.checks if c.name == "finite").endswith(
        "lambda x: A((x + 1) / 2)"
    )


class Sign(SVDOperator):
    """Its singular values are negative."""

    def singulars(self, x):
        return -x.new_ones(())

    def V(self, z):
        return z

    Vt = U = Ut = V


class RangeOnly(SVDOperator):
    """Its V lacks the null space."""

    def singulars(self, x):
        return x.new_ones(()) / 2

    def V(self, z):
        return z.repeat_interleave(2, -1).repeat_interleave(2, -2) / 2

    def Vt(self, x):
        return 2 * F.avg_pool2d(x, 2)

    def U(self, z):
        return z

    Ut = U

    def image_shape(self, y_shape):
        return (*y_shape[:2], 2 * y_shape[2], 2 * y_shape[3])


@pytest.mark.parametrize("A", [Sign(), RangeOnly()], ids=lambda A: type(A).__name__)
def test_decomposition_that_is_none_is_found(A):
    assert "decomposition" in check_operator(A, SHAPE).failed


@pytest.mark.parametrize(
    ("A", "share"), [(Identity(), 0), (SuperResolution(2), 0.75), (SuperResolution(4), 15 / 16)]
)
def test_null_space_is_estimated(A, share):
    assert check_operator(A, (3, 32, 32)).null_space == pytest.approx(share, abs=0.02)


def test_solvers_are_those_whose_needs_are_met():
    for A in (Function(lambda x: x**2), Half(), SuperResolution(2)):
        report = check_operator(A, SHAPE)
        for name, (cls, _) in hrdis.SOLVERS.items():
            assert (report.solvers[name] == "") == isinstance(A, cls.requires)
    assert check_operator(lambda x: x**2, SHAPE).solvers["ddnm"] == "needs a LinearOperator"


def test_linear_function_is_told_what_it_misses():
    assert "hrdis.operators.LinearFunction(A, shape=(1, 12, 12))" in str(
        check_operator(lambda x: x[..., ::2], SHAPE)
    )
    assert "with A(0) subtracted from y too" in str(
        check_operator(lambda x: x[..., ::2] + 1, SHAPE)
    )
    assert not check_operator(lambda x: x**2, SHAPE).notes


def test_function_that_is_float32_only_is_tried_in_float32():
    kernel = normal(1, 1, 3, 3, dtype=torch.float32)
    report = check_operator(lambda x: F.conv2d(x, kernel, padding=1).tanh(), SHAPE)
    assert report.passed, str(report)
    assert "does not take float64" in report.notes[0]


def test_operator_whose_adjoint_is_float32_only_is_tried_in_float32():
    kept = torch.ones(6, 12)
    A = faulty(
        adjoint=lambda self, y: Half.adjoint(self, y) + 0 * (y @ kept),
        forward=lambda self, x: x[..., ::2],
    )
    report = check_operator(A, SHAPE)
    assert report.passed, str(report)
    assert "does not take float64" in report.notes[0]


def test_ill_conditioned_blur_is_no_fault_of_its_author():
    kernel = torch.tensor([1.0, 4, 6, 4, 1]).double() / 16

    def blur(x):
        return F.conv2d(x, kernel.to(x)[None, None, None], padding=(0, 2))

    report = check_operator(hrdis.operators.LinearFunction(blur, SHAPE), SHAPE)
    assert report.passed, str(report)


def test_operator_is_not_changed():
    A = Inpainting(pixels(12, 12))
    check_operator(A, SHAPE)
    assert A.mask.dtype == torch.float32


def test_report_is_reproducible():
    assert str(check_operator(Half(), SHAPE)) == str(check_operator(Half(), SHAPE))


@pytest.mark.parametrize("shape", [(12, 12), (1, 12, 0), (1, 12.0, 12)])
def test_shape_that_is_none_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"^shape is .*\. The shape \(c, h, w\) of an image, or \(b, c, h, w\)"
    ):
        check_operator(Identity(), shape)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(
        TypeError, match=r"^A is a str\. A hrdis Operator or a callable x -> y is expected"
    ):
        check_operator("sr4")
