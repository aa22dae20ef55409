"""Where one method is another, where A x = y holds to rounding, and what must leave no trace."""

import pytest
import torch
from torch import Tensor

import hrdis
from hrdis.operators import Inpainting, Matrix, SuperResolution
from hrdis.problem import Problem
from hrdis.rng import Replay
from tests.common.toys import (
    LINEAR,
    SOLVERS,
    Recorded,
    Tape,
    dense,
    gaussian,
    mixture,
    normal,
    pixels,
    problem_for,
)

PRIOR = mixture(1, 8, 8)
Q = PRIOR.schedule


def bits(solver: hrdis.Solver, problem: Problem, prior: hrdis.Prior = PRIOR) -> Tensor:
    return hrdis.solve(solver, prior, problem, seeds=range(len(problem.y))).x


def measured(A: hrdis.operators.Operator, sigma_y: float = 0.0, seed: int = 0) -> Problem:
    x = PRIOR.means[[0, 1]] + 0.2 * normal(2, 1, 8, 8, seed=seed)
    noise = hrdis.noise.Gaussian(sigma_y, "[-1,1]") if sigma_y > 0 else None
    return hrdis.measure(A, x, noise, seeds=[0, 1])


# ---- one is the other
# -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shared", [{}, {"sigma_x0": 0.05, "lambda_reg": 0.4, "start": 600}], ids=str
)
def test_drddim_with_one_substep_is_reddiff(shared):
    """W = linear is unit weight on mu - x0_hat, computed one way or the other."""
    problem = measured(SuperResolution(2))
    a, b = (
        bits(cls(steps=8, adam_eps=0.1, **shared, **k), problem)
        for cls, k in ((hrdis.DRDDIM, {"substeps": 1}), (hrdis.REDDiff, {}))
    )
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_dps_guided_as_an_image_of_its_own_side_is_dps():
    problem = measured(SuperResolution(2))
    own, named = hrdis.DPS(steps=8, zeta=0.7), hrdis.DPS(steps=8, zeta=0.7, reference_side=8)
    assert torch.equal(bits(named, problem), bits(own, problem))


def test_pigdm_shows_what_the_network_says_until_its_last_step():
    prior, problem = Recorded(PRIOR), measured(SuperResolution(2), 0.1)
    run = hrdis.iterate(hrdis.PiGDM(), prior, problem, seeds=[0, 1], times=[500, 0, -1])
    first = next(iter(run))
    torch.testing.assert_close(first.x, PRIOR(prior.inputs[0], 500).x0_hat, rtol=0, atol=1e-12)


ALL_SHARED = {
    "steps": 8,
    "grid": "stride",
    "lr": 0.2,
    "lambda_obs": 0.5,
    "lambda_reg": 0.3,
    "weight": "sqrt",
    "weight_min": 1.0,
    "sigma_x0": 0.01,
    "adam_eps": 0.01,
    "init": "smooth",
    "loss_reduction": "batch_mean",
}

ALIKE = {
    "reddiff": (hrdis.REDDiff, {}, {"beta": 1.0, "first_update": True}),
    "cr": (hrdis.CR, {}, {"beta": 0.0}),
    "cmhrdis": (hrdis.CMHRDIS, {}, {"start": 929}),
    "cmhrdis, beta": (hrdis.CMHRDIS, {"beta": 0.5, "start": 700}, {"beta": 0.5, "start": 700}),
    "cmhrdis, first update": (
        hrdis.CMHRDIS,
        {"first_update": True},
        {"first_update": True, "start": 929},
    ),
}


@pytest.mark.parametrize(
    "shared", [{"steps": 8}, ALL_SHARED], ids=["defaults", "all other settings"]
)
@pytest.mark.parametrize("name", ALIKE)
def test_limit_of_hrdis_hands_on_every_setting(name, shared):
    cls, own, of_hrdis = ALIKE[name]
    problem = measured(SuperResolution(2))
    assert torch.equal(
        bits(cls(**shared, **own), problem), bits(hrdis.HRDIS(**shared, **of_hrdis), problem)
    )
    assert hrdis.CMHRDIS().beta == hrdis.HRDIS().beta == 0.2


@pytest.mark.parametrize("form", ["exact", "simplified"])
@pytest.mark.parametrize(
    "walk", [{}, {"length": 2, "repeat": 3}, {"eta": 0.0}, {"start": 500}], ids=str
)
@pytest.mark.parametrize("operator", ["sr2 bicubic", "inpaint"])
def test_ddnmplus_without_noise_is_ddnm(form, walk, operator):
    problem = measured(LINEAR[operator](2, 1, 8, 8))
    tape = Tape([0, 1])
    x = hrdis.solve(hrdis.DDNM(steps=8, **walk), PRIOR, problem, rng=tape).x
    plus = hrdis.solve(
        hrdis.DDNMPlus(steps=8, form=form, **walk), PRIOR, problem, rng=Replay(tape.draws)
    ).x
    torch.testing.assert_close(plus, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sigma_y", [0.1, 1.0])
@pytest.mark.parametrize("operator", ["sr2 bicubic", "inpaint", "matrix"])
def test_ddnmplus_is_ddrm_with_eta_b_1(operator, sigma_y):
    """From the same x_T: the two papers print the same step in different scales."""
    problem = measured(
        Matrix(dense(21, 64), (1, 8, 8)) if operator == "matrix" else LINEAR[operator](2, 1, 8, 8),
        sigma_y,
    )
    a, b = (bits(cls(steps=8, start=600), problem) for cls in (hrdis.DDRM, hrdis.DDNMPlus))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("form", ["exact", "simplified"])
def test_ddnmplus_travels_as_ddnm_does_under_noise_too(form):
    """A climb re-noises the last estimate, unprojected."""
    problem, prior, tape = measured(SuperResolution(2), 0.2), Recorded(PRIOR), Tape([0, 1])
    hrdis.solve(hrdis.DDNMPlus(form=form), prior, problem, times=[600, 300, 600, 100, -1], rng=tape)
    assert prior.times == [600, 600, 100] and len(tape.draws) == 4
    expected = Q.diffuse(PRIOR(prior.inputs[0], 600).x0_hat, 600, tape.draws[2])
    torch.testing.assert_close(prior.inputs[1], expected, rtol=0, atol=1e-14)


def test_dds_with_orthonormal_rows_is_ddnm():
    rows = torch.linalg.qr(normal(64, 21, seed=3)).Q.T
    problem = measured(Matrix(rows, (1, 8, 8)))
    torch.testing.assert_close(
        bits(hrdis.DDS(steps=8), problem), bits(hrdis.DDNM(steps=8), problem), rtol=0, atol=1e-10
    )


def test_dps_forms_share_their_guidance():
    """With w = zeta / 2, RED-diff's w grad ||r||^2 / ||r|| is the authors' zeta grad ||r||: one
    move of zeta apart.
    """
    problem, z, zeta = measured(SuperResolution(2)), normal(2, 1, 8, 8, seed=4), 0.4
    x_t = Q.diffuse(0.3 * normal(2, 1, 8, 8, seed=5), 300, z)

    def moved(form: str) -> Tensor:
        # the same x_t whatever the form starts from: A^+ y diffused, or z itself
        first = (
            x_t
            if form == "ancestral"
            else (x_t - Q.signal(300) * problem.A.pinv(problem.y)) / Q.noise(300)
        )
        a, b = (
            hrdis.solve(
                hrdis.DPS(form=form, zeta=k, eta=0),
                PRIOR,
                problem,
                times=[300, -1],
                rng=Replay([first]),
            ).x
            for k in (zeta, 0.0)
        )
        return a - b

    assert float(PRIOR(x_t, 300).x0_hat.abs().max()) < 1, "no pixel is clamped"
    torch.testing.assert_close(moved("ddim"), moved("ancestral"), rtol=0, atol=1e-12)
    x = x_t.clone().requires_grad_()
    r = (problem.y - problem.A(PRIOR(x, 300).x0_hat)).flatten(1)
    w = zeta / 2
    (official,) = torch.autograd.grad((r.square().sum(1) / r.norm(dim=1).detach()).sum(), x)
    torch.testing.assert_close(moved("ddim"), -w * official, rtol=0, atol=1e-12)


@pytest.mark.parametrize("operator", ["inpaint", "sr2 bicubic", "matrix"])
def test_pigdm_tends_to_its_noiseless_form(operator):
    A = Matrix(dense(21, 64), (1, 8, 8)) if operator == "matrix" else LINEAR[operator](2, 1, 8, 8)
    y, solver = measured(A).y, hrdis.PiGDM(steps=8, hard_replace=False)
    apart = [
        float((bits(solver, Problem(y, A, s)) - bits(solver, Problem(y, A))).abs().max())
        for s in (1e-2, 1e-3, 1e-5)
    ]
    assert apart[2] < 1e-5 < apart[0] < 0.3
    assert (
        apart[1] < apart[0] / 10
    )  # it falls with sigma_y squared, once that is small beside s squared


def test_pigdm_soft_and_hard_guide_the_missing_pixels_alike_in_the_first_step():
    mask = pixels(8, 8)
    problem, z = measured(Inpainting(mask)), normal(2, 1, 8, 8, seed=4)
    hard, soft = (
        hrdis.solve(hrdis.PiGDM(hard_replace=h), PRIOR, problem, times=[300, -1], rng=Replay([z])).x
        for h in (True, False)
    )
    torch.testing.assert_close((1 - mask) * hard, (1 - mask) * soft, rtol=0, atol=1e-13)
    assert not torch.allclose(hard, soft)


# ---- A x = y
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["inpaint", "sr2", "sr2 bicubic"])
def test_dds_converged_explains_the_measurement_at_every_step(operator):
    problem = measured(LINEAR[operator](2, 1, 8, 8))
    for step in hrdis.iterate(hrdis.DDS(steps=6, cg_steps=80), PRIOR, problem, seeds=[0, 1]):
        torch.testing.assert_close(problem.A(step.x), problem.y, rtol=0, atol=1e-5)


def test_pigdm_explains_noiseless_masks():
    problem = measured(Inpainting(pixels(8, 8)))
    x = bits(hrdis.PiGDM(steps=8), problem)
    torch.testing.assert_close(problem.A(x), problem.y, rtol=0, atol=1e-13)


@pytest.mark.parametrize("operator", ["inpaint", "sr2", "sr2 bicubic", "matrix"])
@pytest.mark.parametrize("particles", [1, 3])
def test_fps_states_explain_the_diffused_measurement(operator, particles):
    """Without noise A x_s = y_s inside, for every particle."""
    A = Matrix(dense(21, 64), (1, 8, 8)) if operator == "matrix" else LINEAR[operator](2, 1, 8, 8)
    problem, prior, tape, c = measured(A), Recorded(PRIOR), Tape([0, 1]), 0.6
    times = [900, 500, 100, -1]
    hrdis.solve(hrdis.FPS(c=c, particles=particles), prior, problem, times=times, rng=tape)
    y_t = A(tape.draws[0])
    for k, t in enumerate(times[:-1]):
        if k > 0:
            last = times[k - 1]
            kept = (1 - c) ** 0.5 * Q.noise(t) / Q.noise(last) * (y_t - Q.signal(last) * problem.y)
            y_t = Q.signal(t) * problem.y + kept + c**0.5 * Q.noise(t) * A(tape.draws[k])
        for x in prior.inputs[k].reshape(particles, 2, 1, 8, 8):
            torch.testing.assert_close(A(x), y_t, rtol=0, atol=1e-11)


@pytest.mark.parametrize("particles", [1, 3])
def test_fps_without_noise_is_the_limit_of_little_noise(particles):
    A = SuperResolution(2, kernel="bicubic")
    y, solver = measured(A).y, hrdis.FPS(steps=8, particles=particles)
    a, b = (bits(solver, Problem(y, A, s)) for s in (0.0, 1e-7))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_cmhrdis_says_when_the_prior_is_no_consistency_model():
    prior, problem = mixture(1, 8, 8), measured(SuperResolution(2))
    prior.of_consistency = False
    with pytest.warns(UserWarning, match="CMHRDIS is meant for consistency models"):
        bits(hrdis.CMHRDIS(steps=2), problem, prior)


@pytest.mark.parametrize("known", [True, None])
def test_cmhrdis_is_silent_on_a_consistency_model_and_on_what_nobody_knows(known, recwarn):
    prior, problem = mixture(1, 8, 8), measured(SuperResolution(2))
    prior.of_consistency = known
    bits(hrdis.CMHRDIS(steps=2), problem, prior)
    assert not recwarn


# ---- no trace
# ---------------------------------------------------------------------------------------

MASKED = {
    "ddrm": hrdis.DDRM(steps=8),
    "ddnmplus": hrdis.DDNMPlus(steps=8),
    "ddnmplus, simplified": hrdis.DDNMPlus(steps=8, form="simplified"),
    "fps": hrdis.FPS(steps=8),
    "fps, joint": hrdis.FPS(steps=8, form="joint"),
    "pigdm": hrdis.PiGDM(steps=8),
    "dds": hrdis.DDS(steps=8),
    "diffpir": hrdis.DiffPIR(steps=8),
    "mmps": hrdis.MMPS(steps=8),
    "overrelaxed": hrdis.OverRelaxed(steps=8, start=None),
    "fire": hrdis.FIRE(steps=8, start=None),
    "fire, samples": hrdis.FIRE(steps=8, start=None, aim="sample"),
}


@pytest.mark.parametrize("name", MASKED)
def test_noise_of_the_measurement_leaves_no_trace_on_missing_pixels(name):
    """Pixels are independent: whatever noise the others carried, a missing one comes out the
    same.
    """
    prior, mask = hrdis.priors.Gaussian(0.3 * normal(1, 8, 8, seed=1), 0.09), pixels(8, 8)
    y, noise = mask * normal(1, 1, 8, 8, seed=2), 0.3 * normal(200, 1, 8, 8, seed=3)
    problem = Problem(y + mask * noise, Inpainting(mask), 0.3)
    # draws in float64 for all, the same but for the image: correlation over 200 images of fresh
    # noise
    x = hrdis.solve(MASKED[name], prior, problem, seeds=range(200)).x
    missing, centred = x - x.mean(0), noise - noise.mean(0)
    correlation = (missing * centred).mean(0) / (missing.std(0) * centred.std(0))
    assert float(correlation[:, mask == 0].abs().max()) < 0.28  # 4 standard errors of 200
    assert float((correlation[:, mask == 0] ** 2).mean()) < 2 / 200
    # and one seed: to the bit of rounding, junk in the holes included
    a, b = (
        hrdis.solve(MASKED[name], prior, Problem(v, Inpainting(mask), 0.3), seeds=[0]).x
        for v in (y + mask * noise[:1], y + noise[1:2])
    )
    torch.testing.assert_close(a * (1 - mask), b * (1 - mask), rtol=0, atol=1e-12)
    assert float((a - b).abs().max()) > 1e-3


class Spy(hrdis.Prior):
    """Says whether it was asked for a derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule, self.asked = Q, set()

    def forward(self, x_t: Tensor, t: int) -> hrdis.priors.Prediction:
        self.asked.add(torch.is_grad_enabled() and x_t.requires_grad)
        return PRIOR(x_t, t)


@pytest.mark.parametrize("name", SOLVERS)
def test_network_is_differentiated_by_dps_pigdm_and_mmps_only(name):
    spy, solver = Spy(), SOLVERS[name]
    with torch.enable_grad():
        hrdis.solve(solver, spy, problem_for(solver), seeds=[0, 1, 2])
    assert spy.asked == {isinstance(solver, hrdis.DPS | hrdis.PiGDM | hrdis.MMPS)}


# ---- how far theory reaches: independent pixels, none observed, ever finer steps
# ------------------------

EXACT = {
    "ddnm": lambda n: hrdis.DDNM(steps=n, eta=0),
    "ddnmplus": lambda n: hrdis.DDNMPlus(steps=n, eta=0),
    "dds": lambda n: hrdis.DDS(steps=n, eta=0),
    "ddrm": lambda n: hrdis.DDRM(steps=n, eta=0),
    "pigdm": lambda n: hrdis.PiGDM(steps=n, eta=0),
    "pigdm, ancestral": lambda n: hrdis.PiGDM(steps=n, eta=1),
    "mmps": lambda n: hrdis.MMPS(steps=n, eta=0),
    "mmps, ancestral": lambda n: hrdis.MMPS(steps=n),
}


def missing_variance(solver: hrdis.Solver) -> float:
    """Variance of a missing pixel over that of the posterior, exactly: the result is affine in the
    draws.
    """
    prior = hrdis.priors.Gaussian(torch.zeros(1, 1, 2), 0.09)
    y, A = torch.tensor([[[[0.2, 0.0]]]]).double(), Inpainting(torch.tensor([[1, 0]]))
    tape = Tape([0])
    hrdis.solve(solver, prior, Problem(y, A), rng=tape)
    k = len(tape.draws)
    units = torch.zeros(k, k + 1, 1, 1, 2).double()
    units[range(k), range(k), ..., 1] = 1
    x = (
        hrdis.solve(solver, prior, Problem(y.expand(k + 1, 1, 1, 2), A), rng=Replay(units))
        .x[..., 1]
        .flatten()
    )
    return float((x[:-1] - x[-1]).square().sum() / 0.09)


@pytest.mark.parametrize("name", EXACT)
def test_missing_pixels_tend_to_their_exact_variance_with_more_calls(name):
    coarse, fine = (abs(missing_variance(EXACT[name](n)) - 1) for n in (25, 200))
    assert fine < 0.12 and fine < coarse / 3


@pytest.mark.parametrize(
    "solver",
    [hrdis.DDNM(steps=200), hrdis.DDRM(steps=200), hrdis.FPS(steps=200, clamp=False)],
    ids=str,
)
def test_fresh_noise_of_a_fixed_share_narrows_missing_pixels(solver):
    """eta = 0.85 and c = 0.95 as published are not exact, with however many calls."""
    assert 0.5 < missing_variance(solver) < 0.8


# ---- draws
# ------------------------------------------------------------------------------------------

#: solver, level of noise, draws in a run of three calls: what is multiplied by zero is not drawn
DRAWS = [
    (hrdis.DDRM(), 0.1, 3),
    (hrdis.DDRM(eta=0), 0.1, 3),  # what y says is noisy still
    (hrdis.DDNMPlus(eta=0), 0.1, 3),
    (hrdis.DDNMPlus(eta=0), 0.0, 1),
    (hrdis.DDNMPlus(eta=0, form="simplified"), 0.1, 1),
    (hrdis.DDNMPlus(form="simplified"), 0.1, 3),
    (hrdis.DDS(), 0.1, 3),
    (hrdis.DDS(eta=0), 0.1, 1),
    (hrdis.PiGDM(), 0.1, 3),
    (hrdis.PiGDM(eta=0), 0.1, 1),
    (hrdis.MMPS(), 0.1, 3),
    (hrdis.MMPS(eta=0), 0.1, 1),
    (hrdis.OverRelaxed(), 0.1, 3),
    (hrdis.OverRelaxed(alpha=-0.5), 0.1, 3 + 2),
    (hrdis.FIRE(), 0.1, 3),
    (hrdis.FIRE(aim="sample"), 0.1, 3),
    (hrdis.CM4IR(), 0.1, 3),
    (hrdis.CM4IR(eta=0), 0.1, 1),
    (hrdis.DPS(), 0.1, 3),
    (hrdis.DPS(form="ddim"), 0.1, 3),
    (hrdis.DPS(form="ddim", eta=0), 0.1, 1),
    (hrdis.GDP(), 0.1, 3),
    (hrdis.DiffPIR(), 0.1, 3),
    (hrdis.DiffPIR(zeta=0), 0.1, 1),
    (hrdis.FPS(), 0.1, 3 + 3),
    (hrdis.FPS(particles=2), 0.1, 3 + 3 + 2),
    (hrdis.FPS(form="joint"), 0.1, 2 * (3 + 3)),
    (hrdis.FPS(form="joint", particles=2), 0.0, 3 + 3 + 2),
    (hrdis.DAPS(langevin_steps=4, lr=1e-6), 0.1, 1 + 3 * 4 + 2),
    (hrdis.DRDDIM(), 0.1, 3 + 2),
    (hrdis.DRDDIM(beta=0), 0.1, 3),
    (hrdis.DRDDIM(sigma_x0=0.1), 0.1, 3 + 3 + 2),
]


@pytest.mark.parametrize(("solver", "sigma_y", "draws"), DRAWS, ids=lambda v: str(v).lower())
def test_draws_are_those_of_the_recipe(solver, sigma_y, draws):
    tape = Tape([0, 1])
    problem = measured(SuperResolution(2), sigma_y)
    hrdis.solve(solver, PRIOR, problem, times=[900, 500, 100, -1], rng=tape)
    assert len(tape.draws) == draws


@pytest.mark.parametrize(
    "name",
    [
        *("ddrm", "dps", "pigdm", "ddnm", "ddnmplus", "dds", "gdp", "fps", "diffpir", "mmps"),
        *("overrelaxed", "fire", "cm4ir"),
    ],
)
def test_sampler_still_draws_on_its_way_to_time_0(name):
    """Time 0 is noisy, only -1 is clean: x_T (FPS: y's path too), and noise for the step to 0."""
    tape, solver = Tape([0]), hrdis.SOLVERS[name][0]()
    hrdis.solve(
        solver, gaussian(), problem_for(solver, b=1, h=4, w=4), times=[500, 0, -1], rng=tape
    )
    assert len(tape.draws) == (4 if name == "fps" else 2)
