"""Parity with the official implementations: recorded runs, replayed on their own noise.

Tolerances. Samplers: rounding of float32 over 20 steps, and their table of alpha_bar is a float32
product; 1e-5 of the norm. HRDIS and RED-diff: Adam divides by the gradient's own size, and at high
noise the gradient is a difference of two nearly equal numbers, so isolated pixels drift: 1e-7 of
noise on the network's output moves 1e-5 to 1e-3 of the norm, mostly in a few percent of the pixels.
So: median 1e-5, 95 % quantile 1e-3, norm 5e-3; `test_*_would_be_noticed` shows that small mistakes
exceed them.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import hrdis
from tests.common.toys import Recorded, drain, rel

DATA = Path(__file__).parent / "data"
ADAM = ["hrdis_inpaint", "hrdis_sr4", "reddiff_inpaint"]
SAMPLERS = ["ddnm_svd_sr4", "ddrm_sr4", "dps_orig_inpaint", "pigdm_inpaint"]
CASES = [*ADAM, *SAMPLERS]


def golden(case: str) -> SimpleNamespace:
    with np.load(DATA / f"{case}.npz") as z:
        arrays = {k: z[k] for k in z.files}
    hyper = json.loads(str(arrays.pop("hyper")))
    meta = json.loads(str(arrays.pop("meta")))
    return SimpleNamespace(
        hyper=hyper, meta=meta, **{k: torch.from_numpy(np.asarray(v)) for k, v in arrays.items()}
    )


def settings(case: str, hyper: dict) -> hrdis.Solver:
    """The run's hyperparameters by our names; those of Adam are the official form's."""
    if case.startswith("ddnm"):
        return hrdis.DDNM(eta=hyper["eta"])
    if case.startswith("ddrm"):
        return hrdis.DDRM(eta=hyper["eta"], eta_b=hyper["eta_b"])
    if case.startswith("dps"):
        return hrdis.DPS(zeta=hyper["scale"])
    if case.startswith("pigdm"):
        return hrdis.PiGDM(eta=hyper["eta"], weight=hyper["grad_term_weight"])
    official = {
        "lr": hyper["lr"],
        "lambda_obs": hyper["obs_weight"],
        "lambda_reg": hyper["grad_term_weight"],
        "weight": hyper["denoise_term_weight"],
        "sigma_x0": hyper["sigma_x0"],
        "adam_eps": hyper["adam_eps"],
        "loss_reduction": "batch_mean",
    }
    return (
        hrdis.HRDIS(beta=hyper["beta"], **official)
        if case.startswith("hrdis")
        else hrdis.REDDiff(**official)
    )


def replay(case: str, solver: hrdis.Solver | None = None, **changes) -> SimpleNamespace:
    """Run our solver on the recorded problem and noise; keep every step and everything the network
    was shown.
    """
    g = golden(case)
    solver = solver or settings(case, g.hyper | changes)
    mixture = hrdis.priors.GaussianMixture(
        g.means, g.weights, g.stds, hrdis.Schedule(g.alphas_cumprod)
    )
    prior = Recorded(mixture)
    mask = getattr(g, "op_mask", None)
    A = (
        hrdis.operators.SuperResolution(int(g.op_scale))
        if mask is None
        else hrdis.operators.Inpainting(mask)
    )
    first = [getattr(g, "init_draw", g.x_init)] if case in SAMPLERS else []
    draws = [*first, *g.draws]
    run = hrdis.iterate(
        solver,
        prior,
        hrdis.Problem(g.y, A),
        times=[*g.timesteps.tolist(), -1],
        rng=hrdis.rng.Replay(draws),
    )
    steps, result = drain(run)
    return SimpleNamespace(golden=g, prior=prior, steps=steps, result=result)


def drift(found: torch.Tensor, expected: torch.Tensor) -> tuple[float, float, float]:
    """Median and 95 % quantile of the difference, and its norm relative to the expected."""
    difference = (found - expected).abs().flatten()
    return float(difference.median()), float(difference.quantile(0.95)), rel(found, expected)


ALLOWED = (1e-5, 1e-3, 5e-3)


def agrees(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return all(d <= a for d, a in zip(drift(found, expected), ALLOWED, strict=True))


@pytest.fixture(scope="module")
def runs() -> dict[str, SimpleNamespace]:
    return {case: replay(case) for case in CASES}


# ---- parity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_run_calls_the_network_at_the_recorded_times(runs, case):
    assert runs[case].prior.times == runs[case].golden.timesteps.tolist()
    assert runs[case].result.nfe == 20


@pytest.mark.parametrize("case", ADAM)
@pytest.mark.parametrize("k", [0, 1, 2])
def test_adam_shows_the_network_what_was_recorded(runs, case, k):
    assert agrees(runs[case].prior.inputs[k], runs[case].golden.model_in_first3[k])


@pytest.mark.parametrize("case", ADAM)
@pytest.mark.parametrize("k", [0, 1, 2])
def test_adam_states_of_the_first_iterations(runs, case, k):
    assert agrees(runs[case].steps[k].x, runs[case].golden.states_first3[k])


@pytest.mark.parametrize("case", ADAM)
def test_adam_state_after_ten_iterations(runs, case):
    assert agrees(runs[case].steps[9].x, runs[case].golden.state_mid)


@pytest.mark.parametrize("case", ADAM)
def test_adam_reconstruction_of_the_repository_is_the_image_before_the_last_update(runs, case):
    assert agrees(runs[case].steps[-2].x, runs[case].golden.recon)


@pytest.mark.parametrize("case", ADAM)
def test_adam_result_is_the_image_after_the_last_update(runs, case):
    assert agrees(runs[case].result.x, runs[case].golden.mu_final)


@pytest.mark.parametrize("case", SAMPLERS)
def test_sampler_starts_where_it_was_recorded(runs, case):
    assert rel(runs[case].prior.inputs[0], runs[case].golden.x_init) <= 1e-5


@pytest.mark.parametrize("case", SAMPLERS)
@pytest.mark.parametrize("k", [0, 1, 2])
def test_sampler_states_of_the_first_iterations(runs, case, k):
    run = runs[case]  # the state after iteration k is what the network sees next
    assert rel(run.prior.inputs[k + 1], run.golden.states_first3[k]) <= 1e-5


@pytest.mark.parametrize("case", SAMPLERS)
def test_sampler_state_after_ten_iterations(runs, case):
    assert rel(runs[case].prior.inputs[10], runs[case].golden.state_mid) <= 1e-5


@pytest.mark.parametrize("case", SAMPLERS)
def test_sampler_reconstruction(runs, case):
    assert rel(runs[case].result.x, runs[case].golden.recon) <= 1e-5


# ---- our own loss is theirs, at batch 1 ---------------------------------------------------------


def test_per_image_loss_is_the_official_one_with_epsilon_scaled(runs):
    """Their mean over the batch divides every gradient by its entries: the same as Adam's epsilon
    times them.
    """
    g = golden("hrdis_inpaint")
    solver = settings("hrdis_inpaint", g.hyper)
    ours = hrdis.HRDIS(
        beta=solver.beta,
        lr=solver.lr,
        lambda_reg=solver.lambda_reg,
        adam_eps=1e-8 * g.recon.numel(),
    )
    assert agrees(replay("hrdis_inpaint", ours).result.x, g.mu_final)


def test_default_epsilon_is_the_official_one_at_batch_1_and_256_pixels():
    assert hrdis.HRDIS().epsilon == 1e-8 * 3 * 256 * 256 == pytest.approx(1.966e-3, rel=1e-3)
    assert hrdis.HRDIS(loss_reduction="batch_mean").epsilon == 1e-8
    assert (
        hrdis.HRDIS(adam_eps=0.5).epsilon
        == hrdis.HRDIS(adam_eps=0.5, loss_reduction="batch_mean").epsilon
        == 0.5
    )


# ---- small mistakes would be noticed ------------------------------------------------------------


@pytest.mark.parametrize("case", ADAM)
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.99)])
def test_other_betas_of_adam_would_be_noticed(monkeypatch, case, betas):
    monkeypatch.setattr("hrdis.solvers.hrdis.Adam.betas", betas)
    assert drift(replay(case).result.x, golden(case).mu_final)[0] > 10 * ALLOWED[0]


@pytest.mark.parametrize("case", ADAM)
@pytest.mark.parametrize(
    "changes",
    [
        {"adam_eps": 2e-8},
        {"adam_eps": 0.5e-8},  # as if the loss were a mean over one image of the two
        {"lr": 1.01},
        {"grad_term_weight": 1.01},
        {"obs_weight": 0.5},  # as if the half of the data term were taken twice
        {"obs_weight": 2},  # or forgotten
        {"denoise_term_weight": "sqrt"},
    ],
    ids=str,
)
def test_other_settings_would_be_noticed(case, changes):
    hyper = golden(case).hyper
    relative = {k: hyper[k] * v for k, v in changes.items() if k in ("lr", "grad_term_weight")}
    assert not agrees(replay(case, **(changes | relative)).result.x, golden(case).mu_final)


@pytest.mark.parametrize("case", ["hrdis_inpaint", "hrdis_sr4"])
def test_another_share_of_fresh_noise_would_be_noticed(case):
    assert not agrees(replay(case, beta=0.21).result.x, golden(case).mu_final)


@pytest.mark.parametrize("case", ["hrdis_inpaint", "hrdis_sr4"])
def test_an_update_in_the_first_iteration_would_be_noticed(case):
    solver = settings(case, golden(case).hyper)
    fields = {
        name: getattr(solver, name) for name in ("lr", "lambda_reg", "adam_eps", "loss_reduction")
    }
    assert not agrees(
        replay(case, hrdis.HRDIS(first_update=True, **fields)).result.x, golden(case).mu_final
    )


@pytest.mark.parametrize("case", ADAM)
def test_returning_the_image_before_the_last_update_would_be_noticed(runs, case):
    assert not agrees(runs[case].golden.recon, runs[case].golden.mu_final)


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        ("ddnm_svd_sr4", {"eta": 0.86}),
        ("ddrm_sr4", {"eta": 0.86}),
        ("ddrm_sr4", {"eta_b": 0.99}),
        ("pigdm_inpaint", {"eta": 0.99}),
        ("pigdm_inpaint", {"grad_term_weight": 1.02}),  # a percent is 6e-5 here
        ("dps_orig_inpaint", {"scale": 0.505}),
    ],
    ids=str,
)
def test_another_setting_of_a_sampler_would_be_noticed(case, changes):
    assert rel(replay(case, **changes).result.x, golden(case).recon) > 10 * 1e-5


def test_recorded_draws_cannot_be_left_over():
    """Replay itself says when a solver draws less than its recipe."""
    with pytest.raises(ValueError, match=r"^19 of 20 recorded draws were never used\."):
        replay("hrdis_inpaint", hrdis.CR())
