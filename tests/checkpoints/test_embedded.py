"""The prior inside the package."""

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest
import torch

import hrdis
from hrdis.checkpoints import embedded_folder, identity, weights_sha256
from hrdis.presets import choose, embedded
from tests.common.toys import normal

pytestmark = pytest.mark.skipif(
    not (embedded_folder() / "diffusion_pytorch_model.safetensors").exists(),
    reason="the weights are made by `hrdis train` and come with a release",
)


@pytest.fixture(scope="module")
def prior() -> hrdis.Prior:
    return hrdis.load_prior("default")


def test_embedded_prior_is_small_enough_for_a_package():
    assert sum(file.stat().st_size for file in embedded_folder().iterdir()) <= 15e6


def test_embedded_prior_is_on_the_schedule_of_ddpm(prior):
    assert prior.schedule == hrdis.Schedule.linear()
    assert prior.channels == (1, 3)


def test_clean_estimate_from_pure_noise_stays_near_the_range_of_images(prior):
    x0_hat, _ = prior(normal(2, 3, 64, 64, dtype=torch.float32), 999)
    assert (
        float(x0_hat.abs().max()) < 2.5
    )  # 2.26 seen; levels so high were hardly drawn in training


@pytest.mark.parametrize("t", [0, 100, 500, 999])
@pytest.mark.parametrize("size", [(40, 56), (33, 21)], ids=str)
def test_both_forms_are_one_estimate(prior, t, size):
    x, q = normal(1, 3, *size, dtype=torch.float32), prior.schedule
    x0_hat, eps = prior(x, t)
    torch.testing.assert_close(q.signal(t) * x0_hat + q.noise(t) * eps, x, rtol=0, atol=1e-6)


def test_embedded_prior_denoises(prior):
    """A smooth picture in noise of 25/255: what comes back is at least twice as close."""
    v, u = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    x0 = (0.6 * torch.sin(3 * u) * torch.cos(2 * v)).expand(1, 3, 64, 64)
    t = prior.schedule.nearest(2 * 25 / 255)
    x_t = prior.schedule.diffuse(x0, t, normal(1, 3, 64, 64, dtype=torch.float32))
    before = float((x_t / prior.schedule.signal(t) - x0).norm())
    assert float((prior(x_t, t).x0_hat - x0).norm()) < before / 2


@pytest.mark.parametrize(
    ("level", "gain"), [(0.05, 3.0), (0.1, 6.0)]
)  # measured: see docs/measurements/model.md; the margin is for noise
def test_hrdis_denoises_a_photograph(level, gain):
    truth = hrdis.images.load(Path(str(resources.files("hrdis") / "pictures" / "chelsea.png")))[
        ..., 96:160, 96:160
    ]
    problem = hrdis.measure(
        hrdis.operators.Identity(), truth, hrdis.noise.Gaussian(level), seeds=[0]
    )
    solver = choose(hrdis.HRDIS, ("denoise",), level, tuned=embedded()).settings
    x = hrdis.solve(solver, hrdis.load_prior("default"), problem, seeds=[0]).x
    assert float(hrdis.metrics.psnr(x, truth) - hrdis.metrics.psnr(problem.y, truth)) > gain


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        ("scheduler_config.json", "prediction_type", "epsilon"),
        ("scheduler_config.json", "beta_end", 0.03),
        ("", "", ""),
    ],
    ids=["prediction", "betas", "scheme"],
)
def test_priors_of_one_file_of_weights_are_told_apart(tmp_path, file, field, value):
    """A benchmark would take the results of the one for those of the other."""
    folder = shutil.copytree(embedded_folder(), tmp_path / "prior")
    other = f"edm:{folder}"
    if file:
        other = str(shutil.copytree(folder, tmp_path / "other"))
        settings = json.loads((tmp_path / "other" / file).read_text())
        assert settings.get(field) != value
        (tmp_path / "other" / file).write_text(json.dumps(settings | {field: value}))
    assert weights_sha256(other) == weights_sha256(folder)
    assert identity(other) != identity(folder) == identity(embedded_folder())
