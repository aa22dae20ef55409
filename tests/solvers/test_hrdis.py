"""HRDIS, RED-diff and CR: the update against its formula, and the equalities between the three."""

from dataclasses import replace

import pytest
import torch

import hrdis
from hrdis.operators import (
    CT,
    HDR,
    BlindOperator,
    Blur,
    Channelwise,
    CircularBlur,
    Composition,
    Function,
    Identity,
    Inpainting,
    SeparableBlur,
    SuperResolution,
)
from hrdis.problem import Problem
from hrdis.rng import Replay
from hrdis.solvers.base import data_gradient, parameter_gradients
from tests.common.toys import MILD, TAPS, Pixelwise, Tape, mixture, normal, pixels, problem_for

PRIOR = mixture()
Q = PRIOR.schedule
WEIGHTS = {
    "linear": lambda s: s,
    "sqrt": lambda s: s**0.5,
    "square": lambda s: s**2,
    "log": lambda s: torch.log(1 + s),
    "trunc_linear": lambda s: torch.minimum(s, torch.ones(())),
    "power2over3": lambda s: s ** (2 / 3),
    "const": lambda s: torch.ones(()),
    "clip_min": lambda s: torch.maximum(s, torch.tensor(2.0)),
}


def adam(mu: torch.Tensor, gradients: list[torch.Tensor], lr: float, eps: float) -> torch.Tensor:
    """Adam with betas (0.9, 0.99), as Kingma and Ba print it."""
    m, v = torch.zeros_like(mu), torch.zeros_like(mu)
    for k, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        mu = mu - lr * (m / (1 - 0.9**k)) / ((v / (1 - 0.99**k)).sqrt() + eps)
    return mu


def one_update(
    solver: hrdis.HRDIS, problem: Problem, t: int, draws: list[torch.Tensor]
) -> torch.Tensor:
    """The image after a single iteration with an update."""
    return hrdis.solve(
        replace(solver, first_update=True), PRIOR, problem, times=[t, -1], rng=Replay(draws)
    ).x


# ---- the gradient of the data term --------------------------------------------------------------


SCALED = {
    "linear": SuperResolution(2),
    "linear, y as large as x": SeparableBlur(TAPS),
    "any": Function(lambda x: x[..., ::2].square(), shape=(1, 8, 8)),
    "any, y as large as x": Function(lambda x: x.square()),
}


@pytest.mark.parametrize("name", SCALED)
def test_gradient_of_the_data_term_is_that_of_its_formula(name):
    A, x = SCALED[name], (0.4 * normal(2, 1, 8, 8, seed=20)).requires_grad_()
    y = normal(*A(x).shape, seed=21)
    # N_x times half the mean square, of each image
    loss = 0.5 * x[0].numel() * (A(x) - y).square().flatten(1).mean(1)
    (expected,) = torch.autograd.grad(loss.sum(), x)
    r, found = data_gradient(A, x.detach(), y)
    torch.testing.assert_close(r, (A(x) - y).detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


class Gain(BlindOperator):
    """A picture times an unknown number of each image."""

    def at(self, x, theta):
        return theta["gain"].view(-1, 1, 1, 1) * x

    def start(self, y):
        return {"gain": torch.ones(len(y), dtype=y.dtype)}

    def forward(self, x):
        return x

    def pinv(self, y):
        return y


def test_gradient_of_a_parameter_is_that_of_half_the_mean_square_of_its_image():
    x, y = normal(2, 1, 8, 8, seed=20), normal(2, 1, 8, 8, seed=21)
    gain = torch.tensor([0.5, 2.0], dtype=x.dtype)
    found = parameter_gradients(Gain(), x, y, {"gain": gain})["gain"]
    expected = ((gain.view(-1, 1, 1, 1) * x - y) * x).flatten(1).mean(1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


# ---- one update, term by term -------------------------------------------------------------------

A = SuperResolution(2)
X = 0.4 * normal(2, 1, 8, 8, seed=20)
Y = A(0.4 * normal(2, 1, 8, 8, seed=21))
MU = A.pinv(Y)
Z, Z_X = normal(2, 1, 8, 8, seed=22), normal(2, 1, 8, 8, seed=23)
SOFT = (
    5.0  # an epsilon of Adam far above the gradient: the update shows its size, not only its sign
)


@pytest.mark.parametrize("t", [20, 300, 600])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_update_follows_the_regularization_with_every_weight(weight, t):
    found = one_update(hrdis.HRDIS(weight=weight, adam_eps=SOFT), Problem(Y, A), t, [Z])
    eps = PRIOR(Q.diffuse(MU, t, Z), t).eps
    g = 0.25 * WEIGHTS[weight](Q.sigma(t)) * (eps - Z)  # the data term is zero where A mu = y
    torch.testing.assert_close(found, adam(MU, [g], 0.1, SOFT), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("t", "active"), [(300, True), (395, True), (396, False), (600, False)])
def test_weight_min_is_the_floor_of_the_weight(t, active):
    floored, plain = (
        one_update(hrdis.HRDIS(weight_min=w, adam_eps=SOFT), Problem(Y, A), t, [Z])
        for w in (2.0, 0.0)
    )
    eps = PRIOR(Q.diffuse(MU, t, Z), t).eps
    assert torch.equal(floored, plain) != active
    if active:
        torch.testing.assert_close(
            floored, adam(MU, [0.25 * 2 * (eps - Z)], 0.1, SOFT), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize(
    "operator",
    [A, Inpainting(pixels(8, 8)), Identity(), lambda x: x.square().mean((2, 3))],
    ids=["sr2", "mask", "identity", "callable"],
)
def test_update_follows_the_data_term_per_entry_of_y(operator):
    """-(N_x / M) J^T (y - A x): the gradient of N_x / 2 times the mean of squares over y, taken
    here by autograd.
    """
    operator = (
        hrdis.operators.Function(operator, shape=(1, 8, 8))
        if not isinstance(operator, torch.nn.Module)
        else operator
    )
    x = X.clone().requires_grad_()
    y = operator(normal(2, 1, 8, 8, seed=24)).detach()
    loss = sum(64 / 2 * (y[i] - operator(x)[i]).square().mean() for i in range(2))
    (data,) = torch.autograd.grad(loss, x)
    start = hrdis.operators.Function(operator, shape=(1, 8, 8), start=lambda _: X)
    solver = hrdis.HRDIS(lambda_obs=0.7, lambda_reg=0, adam_eps=SOFT)
    found = one_update(solver, Problem(y, start), 300, [Z])
    torch.testing.assert_close(found, adam(X, [0.7 * data], 0.1, SOFT), rtol=0, atol=1e-12)


def test_gradient_is_divided_by_the_batch_for_parity_only():
    eps = PRIOR(Q.diffuse(MU, 300, Z), 300).eps
    g = 0.25 * Q.sigma(300) * (eps - Z) / Y.new_zeros(2, 1, 8, 8).numel()
    found = one_update(
        hrdis.HRDIS(loss_reduction="batch_mean", adam_eps=0.1), Problem(Y, A), 300, [Z]
    )
    torch.testing.assert_close(found, adam(MU, [g], 0.1, 0.1), rtol=0, atol=1e-13)


def test_sigma_x0_jitters_what_is_measured_and_diffused():
    """Draws: z_x, then z; the update itself starts from mu."""
    found = one_update(hrdis.HRDIS(sigma_x0=0.1, adam_eps=SOFT), Problem(Y, A), 300, [Z_X, Z])
    x = MU + 0.1 * Z_X
    eps = PRIOR(Q.diffuse(x, 300, Z), 300).eps
    g = 4 * A.adjoint(A(x) - Y) + 0.25 * Q.sigma(300) * (eps - Z)
    torch.testing.assert_close(found, adam(MU, [g], 0.1, SOFT), rtol=0, atol=1e-12)


def test_three_iterations_follow_algorithm_1():
    """Noise carried over and refreshed by a share, an update in all but the first iteration, Adam's
    moments kept.
    """
    times, draws, beta = [700, 400, 100], [normal(2, 1, 8, 8, seed=30 + k) for k in range(3)], 0.3
    mu, eps, gradients = MU, None, []
    for k, t in enumerate(times):
        n = draws[k] if k == 0 else (1 - beta) ** 0.5 * eps + beta**0.5 * draws[k]
        eps = PRIOR(Q.diffuse(mu, t, n), t).eps
        if k > 0:
            gradients.append(4 * A.adjoint(A(mu) - Y) + 0.25 * Q.sigma(t) * (eps - n))
            mu = adam(MU, gradients, 0.1, hrdis.HRDIS().epsilon)
    found = hrdis.solve(
        hrdis.HRDIS(beta=beta), PRIOR, Problem(Y, A), times=[*times, -1], rng=Replay(draws)
    ).x
    torch.testing.assert_close(
        found, mu, rtol=0, atol=1e-11
    )  # a small epsilon divides roundings by the gradient


@pytest.mark.parametrize(("init", "start"), [("pinv", A.pinv(Y)), ("smooth", A.smooth(Y))])
def test_run_starts_from_the_picture_asked_for(init, start):
    steps = list(
        hrdis.iterate(hrdis.HRDIS(init=init), PRIOR, Problem(Y, A), times=[500, -1], seeds=[0, 1])
    )
    assert torch.equal(steps[0].x, start)


STARTS = {
    "block means": (A, A.pinv),
    "mask": (Inpainting(pixels(8, 8)), lambda y: y),
    "blur": (Blur(MILD), lambda y: y),
    "circular blur": (CircularBlur(MILD), lambda y: y),
    "separable blur": (SeparableBlur(TAPS, threshold=0), lambda y: y),
    "tomography": (CT(12, 8), CT(12, 8).smooth),
    "tomography of a picture": (Channelwise(CT(12, 8)), lambda y: CT(12, 8).smooth(y[:, 0])),
    "blur, then block means": (Composition(Blur(MILD), A), A.pinv),
    "curve, then block means": (Composition(HDR(), A), lambda y: A.pinv(y) / 2),
}


@pytest.mark.parametrize("name", STARTS)
def test_run_starts_where_the_papers_do(name):
    """On a blur that is y: its pseudo-inverse blows noise up, 5 rms at noise 0.1 for a Gaussian of
    1.5 pixels.
    """
    operator, start = STARTS[name]
    problem = hrdis.measure(operator, X, hrdis.noise.Gaussian(0.05), seeds=[0, 1])
    first = next(
        hrdis.iterate(hrdis.HRDIS(), PRIOR, problem, times=[500, -1], seeds=[0, 1])
    )  # which only looks
    torch.testing.assert_close(first.x, start(problem.y), rtol=0, atol=1e-12)


def test_first_iteration_only_looks_unless_told_otherwise():
    for first_update in (False, True):
        solver = hrdis.HRDIS(first_update=first_update)
        (step,) = hrdis.iterate(solver, PRIOR, Problem(Y, A), times=[500, -1], seeds=[0, 1])
        assert torch.equal(step.x, MU) != first_update


def test_residual_is_that_of_the_image_before_the_update():
    cubic = SuperResolution(2, kernel="bicubic")  # whose adjoint does not keep the norm
    steps = list(hrdis.iterate(hrdis.REDDiff(steps=5), PRIOR, Problem(Y, cubic), seeds=[0, 1]))
    for x, step in zip([cubic.pinv(Y), *(step.x for step in steps)], steps, strict=False):
        expected = (cubic(x) - Y).square().mean((1, 2, 3)).sqrt()
        torch.testing.assert_close(step.info["residual"], expected, rtol=0, atol=1e-14)
    assert float(steps[-1].info["residual"].min()) > 1e-3, (
        "zero would not tell one formula from another"
    )


@pytest.mark.parametrize("t", [0, 300, 700, 999])
def test_weighted_noise_residual_is_the_distance_to_the_denoised_image(t):
    """sigma_t (eps - n) = mu - x0_hat for any n, by the network or not: W = linear is unit weight
    on it.
    """
    x0_hat, eps = PRIOR(Q.diffuse(X, t, Z), t)
    torch.testing.assert_close(Q.sigma(t) * (eps - Z), X - x0_hat, rtol=0, atol=1e-11)


# ---- three names --------------------------------------------------------------------------------

SHARED = {
    "steps": 8,
    "lr": 0.2,
    "lambda_obs": 0.5,
    "lambda_reg": 0.3,
    "weight": "sqrt",
    "weight_min": 0.1,
    "sigma_x0": 0.01,
}


def bits(solver: hrdis.Solver) -> torch.Tensor:
    return hrdis.solve(solver, PRIOR, problem_for(solver), seeds=[0, 1, 2]).x


@pytest.mark.parametrize(
    "shared",
    [{"steps": 8}, SHARED, SHARED | {"start": 600, "init": "smooth", "adam_eps": 0.1}],
    ids=str,
)
def test_reddiff_is_hrdis_with_fresh_noise_and_a_first_update(shared):
    assert torch.equal(
        bits(hrdis.HRDIS(beta=1, first_update=True, **shared)), bits(hrdis.REDDiff(**shared))
    )


@pytest.mark.parametrize(
    "shared",
    [{"steps": 8}, SHARED, SHARED | {"start": 600, "init": "smooth", "adam_eps": 0.1}],
    ids=str,
)
def test_cr_is_hrdis_without_fresh_noise(shared):
    assert torch.equal(bits(hrdis.HRDIS(beta=0, **shared)), bits(hrdis.CR(**shared)))


def test_reddiff_and_cr_are_two_methods():
    assert not torch.equal(bits(hrdis.REDDiff(steps=8)), bits(hrdis.CR(steps=8)))


@pytest.mark.parametrize(
    ("solver", "draws"),
    [
        (hrdis.HRDIS(steps=6), 6),
        (hrdis.HRDIS(steps=6, sigma_x0=0.1), 12),
        (hrdis.HRDIS(steps=6, beta=0), 1),
        (hrdis.HRDIS(steps=6, beta=0, fresh_steps=4), 4),
        (hrdis.HRDIS(steps=6, beta=0, fresh_steps=1), 1),
        (hrdis.REDDiff(steps=6), 6),
        (hrdis.CR(steps=6), 1),
        (hrdis.CR(steps=6, sigma_x0=0.1), 7),
    ],
    ids=str,
)
def test_draws_are_those_of_the_recipe(solver, draws):
    tape = Tape([0, 1, 2])
    hrdis.solve(solver, PRIOR, problem_for(solver), rng=tape)
    assert len(tape.draws) == draws


def test_fresh_steps_take_fresh_noise_alone():
    """With as many as there are steps, HRDIS is RED-diff without its first update."""
    fresh = hrdis.HRDIS(steps=8, fresh_steps=8)
    assert torch.equal(bits(fresh), bits(hrdis.HRDIS(steps=8, beta=1)))
    assert not torch.equal(bits(fresh), bits(hrdis.HRDIS(steps=8, fresh_steps=7)))


# ---- why the loss is taken per image ------------------------------------------------------------


@pytest.mark.parametrize(("reduction", "depends"), [("batch_mean", True), ("per_image", False)])
def test_only_the_official_loss_depends_on_the_batch(reduction, depends):
    # The official epsilon, 1e-8, shows at 256 x 256 x 3 entries; at 64 entries, what is as large
    # beside their mean
    eps = {"batch_mean": hrdis.HRDIS().epsilon / 64, "per_image": None}[reduction]
    solver = hrdis.HRDIS(steps=8, loss_reduction=reduction, adam_eps=eps)
    problem = problem_for(solver)
    together = hrdis.solve(solver, PRIOR, problem, seeds=[0, 1, 2]).x[:1]
    alone = hrdis.solve(solver, PRIOR, Problem(problem.y[:1], problem.A.for_image(0)), seeds=[0]).x
    difference = float((together - alone).abs().max())
    assert difference > 1e-3 if depends else difference < 1e-10


@pytest.mark.parametrize(("reduction", "depends"), [("batch_mean", True), ("per_image", False)])
def test_only_the_official_loss_depends_on_the_size_of_the_image(reduction, depends):
    eps = {"batch_mean": hrdis.HRDIS().epsilon / 64, "per_image": None}[reduction]
    solver, mask = hrdis.HRDIS(steps=8, loss_reduction=reduction, adam_eps=eps), pixels(8, 8)
    y, tape = mask * normal(1, 1, 8, 8), Tape([0])
    small = hrdis.solve(solver, Pixelwise(), Problem(y, Inpainting(mask)), rng=tape).x
    draws = Replay([z.tile(1, 1, 2, 2) for z in tape.draws])
    large = hrdis.solve(
        solver, Pixelwise(), Problem(y.tile(1, 1, 2, 2), Inpainting(mask.tile(2, 2))), rng=draws
    ).x
    difference = float((large - small.tile(1, 1, 2, 2)).abs().max())
    assert difference > 1e-3 if depends else difference < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adam_is_that_of_torch_bit_for_bit(dtype):
    from hrdis.solvers.hrdis import Adam

    ours, theirs = normal(2, 3, 4, 4, dtype=dtype).clone(), normal(2, 3, 4, 4, dtype=dtype).clone()
    reference = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99), eps=2e-3)
    adam = Adam(ours, 0.1, 2e-3)
    for i in range(20):
        theirs.grad = normal(2, 3, 4, 4, seed=i, dtype=dtype)
        adam.step(theirs.grad)
        reference.step()
    assert torch.equal(ours, theirs)
