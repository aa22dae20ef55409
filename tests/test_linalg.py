"""`hrdis.linalg`: nothing crosses the image axis."""

import pytest
import torch

from hrdis.linalg import (
    cg,
    dot,
    gauss_newton,
    largest_eigenvalue,
    linearise,
    matrix,
    norm,
    per_image,
    rms,
)
from hrdis.operators import JPEG
from tests.common.device import device, sent
from tests.common.toys import normal


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 4, 4)])
def test_reductions_are_per_image(shape):
    a, b = normal(*shape), normal(*shape, seed=1)
    for i in range(shape[0]):
        assert float(dot(a, b)[i]) == pytest.approx(
            sum((a[i] * b[i]).flatten().tolist()), rel=1e-12
        )
        assert float(norm(a)[i]) == pytest.approx(
            sum((a[i] ** 2).flatten().tolist()) ** 0.5, rel=1e-12
        )
        assert float(rms(a)[i]) == pytest.approx(float(norm(a)[i]) / a[i].numel() ** 0.5, rel=1e-12)


def test_per_image_scales_each_image():
    scaled = per_image(torch.tensor([2.0, 3.0]), torch.ones(2, 1, 2, 2)) * torch.ones(2, 1, 2, 2)
    assert scaled.flatten(1).tolist() == [[2.0] * 4, [3.0] * 4]


def systems(count: int = 4, n: int = 6) -> torch.Tensor:
    """Positive definite matrices of very different sizes."""
    M = normal(count, n, n)
    scale = 10.0 ** torch.arange(count, dtype=torch.float64)
    return scale[:, None, None] * (M @ M.mT + 0.1 * torch.eye(n, dtype=torch.float64))


def test_cg_solves_each_system():
    S, b = systems(), normal(4, 6, seed=1)
    x = cg(
        lambda v: torch.einsum("bij,bj->bi", S, v),
        b,
        torch.zeros_like(b),
        steps=50,
        tolerance=1e-12,
    )
    # 1e-8: the residual is 1e-12, the condition numbers reach 1e3
    torch.testing.assert_close(x, torch.linalg.solve(S, b), rtol=1e-8, atol=1e-12)


def test_cg_takes_fewer_steps_with_a_map_close_to_the_inverse():
    """Condition numbers of 1e3 without it, and of 1.5 with it."""
    S, b = systems(), normal(4, 6, seed=1)
    near = torch.linalg.inv(S + 0.5 * S.diagonal(dim1=1, dim2=2).diag_embed().clamp(max=1e-3))
    products = []

    def apply(v: torch.Tensor) -> torch.Tensor:
        products.append(v)
        return torch.einsum("bij,bj->bi", S, v)

    x = cg(
        apply,
        b,
        torch.zeros_like(b),
        steps=50,
        tolerance=1e-12,
        nearly_inverse=lambda r: torch.einsum("bij,bj->bi", near, r),
    )
    torch.testing.assert_close(x, torch.linalg.solve(S, b), rtol=1e-8, atol=1e-12)
    assert len(products) <= 5


def test_cg_is_exact_after_as_many_steps_as_unknowns():
    S, b = systems(), normal(4, 6, seed=1)
    calls = []
    cg(
        lambda v: calls.append(1) or torch.einsum("bij,bj->bi", S, v),
        b,
        torch.zeros_like(b),
        steps=50,
        tolerance=1e-6,
    )
    assert len(calls) <= 1 + 6 + 1  # the first residual, one per dimension, one for rounding


def test_cg_stops_after_the_steps_allowed():
    S, b, calls = systems(), normal(4, 6, seed=1), []
    cg(
        lambda v: calls.append(1) or torch.einsum("bij,bj->bi", S, v),
        b,
        torch.zeros_like(b),
        steps=2,
        tolerance=1e-12,
    )
    assert len(calls) == 1 + 2


def test_cg_solves_an_image_alike_in_any_company():
    S, b = systems(), normal(4, 6, seed=1)
    together = cg(lambda v: torch.einsum("bij,bj->bi", S, v), b, torch.zeros_like(b), steps=4)
    for i in range(4):
        alone = cg(
            lambda v, i=i: torch.einsum("bij,bj->bi", S[i : i + 1], v),
            b[i : i + 1],
            torch.zeros(1, 6).double(),
            4,
        )
        # 1e-10: same operations, perhaps summed in another order
        torch.testing.assert_close(together[i], alone[0], rtol=1e-10, atol=1e-12)


def test_cg_leaves_a_finished_image_alone():
    """The second image starts at its solution: while the first goes on, it must not move by a
    bit.
    """
    S, b = systems(2), normal(2, 6, seed=1)
    start = torch.stack([torch.zeros(6).double(), torch.linalg.solve(S[1], b[1])])
    x = cg(lambda v: torch.einsum("bij,bj->bi", S, v), b, start, steps=20, tolerance=1e-8)
    assert torch.equal(x[1], start[1])
    assert float((x[0] - torch.linalg.solve(S[0], b[0])).abs().max()) < 1e-6


def test_cg_stays_finite_where_there_is_no_curvature():
    """A zero map cannot reach b: the image stops, and its neighbour is solved."""
    S = torch.stack([torch.zeros(6, 6).double(), systems(1)[0]])
    b = normal(2, 6, seed=1)
    x = cg(
        lambda v: torch.einsum("bij,bj->bi", S, v),
        b,
        torch.zeros_like(b),
        steps=20,
        tolerance=1e-10,
    )
    assert torch.equal(x[0], torch.zeros(6).double())
    torch.testing.assert_close(x[1], torch.linalg.solve(S[1], b[1]), rtol=1e-6, atol=1e-9)


def test_cg_does_not_go_on_where_there_is_no_curvature():
    calls, b = [], normal(2, 6)
    cg(lambda v: calls.append(1) or 0 * v, b, torch.zeros_like(b), steps=20)
    assert len(calls) == 2  # the first residual, and the direction that leads nowhere


def test_cg_of_zero_is_zero():
    b = torch.zeros(2, 6).double()
    assert torch.equal(cg(lambda v: v, b, torch.zeros_like(b), steps=5), b)


def test_cg_on_a_device_looks_every_eight_steps_and_finds_the_same():
    S, b = systems(), normal(4, 6, seed=1)

    def solved(S: torch.Tensor, b: torch.Tensor, steps: int) -> torch.Tensor:
        zero = torch.zeros_like(b)
        return cg(lambda v: (S @ v[..., None])[..., 0], b, zero, steps, tolerance=1e-12)

    here = solved(S, b, 50)
    with device() as traffic:
        there = solved(sent(S), sent(b), 50)
        found_after = len(traffic.reads)
        solved(sent(S), sent(b), 8)
    # Six unknowns and rounding: all finish within 16 steps, and are left alone after that.
    assert torch.equal(there.held, here)
    assert 1 <= found_after <= 2
    assert len(traffic.reads) == found_after  # eight steps are made without a look


def test_gauss_newton_on_a_device_looks_once_per_step():
    x = 0.3 * normal(2, 1, 3, 3)
    y = x.square() + x + 0.1
    here = gauss_newton(lambda v: v.square() + v, x, y, 0.1, steps=3, products=4)
    with device() as traffic:
        there = gauss_newton(lambda v: v.square() + v, sent(x), sent(y), 0.1, steps=3, products=4)
    assert torch.equal(there.held, here)
    assert len(traffic.reads) == 3


def test_matrix_is_the_matrix_of_the_map():
    M = normal(5, 12)
    found = matrix(lambda x: (x.flatten(1) @ M.T).reshape(-1, 5, 1), (3, 2, 2))
    torch.testing.assert_close(found, M, rtol=0, atol=1e-14)


# ---- power iteration, and nonlinear maps ---------------------------------------------------------


def test_largest_eigenvalue_is_that_of_each_map():
    S = systems()
    found = largest_eigenvalue(lambda v: torch.einsum("bij,bj->bi", S, v), normal(4, 6), 200)
    torch.testing.assert_close(found, torch.linalg.eigvalsh(S)[:, -1], rtol=1e-6, atol=0)


def test_largest_eigenvalue_of_nothing_is_zero():
    found = largest_eigenvalue(lambda v: 0 * v, normal(2, 6))
    assert found.tolist() == [0, 0]


def bent(x: torch.Tensor) -> torch.Tensor:
    """Three measurements of six numbers, none of them linear."""
    return torch.stack([x[:, 0] * x[:, 1], x[:, 2].tanh() + x[:, 3], x[:, 4].exp()], 1)


def test_linearised_map_has_the_jacobian_of_autograd():
    x, v, w = normal(2, 6), normal(2, 6, seed=1), normal(2, 3, seed=2)
    value, push, pull = linearise(bent, x)
    J = torch.autograd.functional.jacobian(bent, x)
    torch.testing.assert_close(value, bent(x), rtol=0, atol=0)
    torch.testing.assert_close(push(v), torch.einsum("bmcn,cn->bm", J, v), rtol=0, atol=1e-12)
    torch.testing.assert_close(pull(w), torch.einsum("bmcn,bm->cn", J, w), rtol=0, atol=1e-12)


@pytest.mark.parametrize("side", [16, 12])
def test_linearised_rounding_has_the_jacobian_0(side):
    """With padding before it, too, whose derivative still has a graph."""
    x = normal(1, 1, side, side)
    _, push, pull = linearise(JPEG(30, rounding="hard"), x)
    assert not push(x).any() and not pull(x).any()


def test_gauss_newton_finds_the_minimum():
    """At the minimum J^T (A(v) - y) + rho (v - x) = 0."""
    x, y, rho = normal(3, 6), normal(3, 3, seed=1), 0.3
    v = gauss_newton(bent, x, y, rho, steps=200)
    value, _, pull = linearise(bent, v)
    assert float((pull(value - y) + rho * (v - x)).abs().max()) < 1e-6


def test_gauss_newton_solves_a_linear_map_in_one_step():
    H, x, y, rho = normal(3, 6, seed=3), normal(2, 6), normal(2, 3, seed=1), 0.3
    v = gauss_newton(lambda u: u @ H.T, x, y, rho, steps=1)
    exact = torch.linalg.solve(H.T @ H + rho * torch.eye(6).double(), (y @ H + rho * x).T).T
    torch.testing.assert_close(v, exact, rtol=0, atol=1e-6)


def test_gauss_newton_never_makes_an_image_worse():
    """A full step would overshoot: the objective falls for every image, whatever its neighbours
    do.
    """

    def steep(u: torch.Tensor) -> torch.Tensor:
        return (4 * u).tanh() * 3

    x, y = 2 * normal(8, 6), normal(8, 6, seed=1)
    objective = norm(steep(x) - y) ** 2
    v = gauss_newton(steep, x, y, 1e-6, steps=1)
    assert bool((norm(steep(v) - y) ** 2 + 1e-6 * norm(v - x) ** 2 <= objective).all())
    alone = gauss_newton(steep, x[3:4], y[3:4], 1e-6, steps=1)
    torch.testing.assert_close(alone, v[3:4], rtol=0, atol=1e-12)


def test_derivative_of_rounding_is_zero_in_both_directions():
    """autograd has no graph to go back along, and said so with an error of its own."""
    x = normal(2, 1, 3, 3)
    value, push, pull = linearise(torch.round, x)
    assert torch.equal(value, x.round())
    assert not push(x).any() and not pull(x).any()


def test_gauss_newton_on_a_rounded_measurement_stays_where_it_is():
    x = normal(2, 1, 3, 3)
    assert torch.equal(gauss_newton(torch.round, x, x.round(), 0.1, 3), x)
