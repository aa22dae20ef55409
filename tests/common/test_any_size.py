"""Every task runs at any size its mathematics allow, in colour and in grey; MRI with its two
channels.
"""

import pytest
import torch

import hrdis
from hrdis.operators import CT, MRI, kspace
from hrdis.presets import choose, embedded
from hrdis.solvers import SOLVERS
from hrdis.tasks import TASKS
from tests.common.toys import normal, ready

pytestmark = pytest.mark.slow

ODD = (200, 312)
#: Tasks that no picture of 200 x 312 has, and the nearest size that suits: blocks of 32, of 16, a
#: power of two.
ALLOWED = {
    "cs25": (192, 320), "cs10": (192, 320), "cs-walsh4": (256, 256), "jpeg10": (208, 320),
    "sr16": (208, 320),
    "ct60": (100, 100), "deblur-nonlinear": (128, 256),
}  # fmt: skip


def restored(name: str, channels: int, h: int, w: int) -> tuple[hrdis.Problem, hrdis.Result]:
    """Three steps with the settings of the task and a prior that is known."""
    task = ready(name)
    x = (0.5 * normal(1, channels, h, w).float()).clamp(-1, 1)
    problem = hrdis.measure(task.build(h, w, 0, 0), x, hrdis.noise.Gaussian(0.01), seeds=[0])
    if task.blind is not None:
        problem = hrdis.Problem(problem.y, task.blind(h, w, 0, 0), problem.sigma_y)
    prior = hrdis.priors.Gaussian(torch.zeros(channels, h, w), 0.25)
    solver = choose(SOLVERS[task.solver][0], task.presets, tuned=embedded()).settings
    times = solver.times(prior.schedule)[:3]
    return problem, hrdis.solve(solver, prior, problem, seeds=[0], times=[*times, -1])


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", TASKS)
def test_task_runs_at_any_size(name, channels):
    h, w = ALLOWED.get(name, ODD)
    if channels == 1 and (TASKS[name].weights or TASKS[name].build(h, w, 0, 0).to_grey):
        pytest.skip("a grey picture has no colours to lose, and the network wants three")
    _, result = restored(name, channels, h, w)
    assert tuple(result.x.shape) == (1, channels, h, w)
    assert bool(result.finite.all())


@pytest.mark.parametrize("name", ALLOWED)
def test_size_that_no_task_allows_is_refused(name):
    with pytest.raises(ValueError, match=r"200|312"):
        ready(name).build(*ODD, 0, 0)(torch.zeros(1, 3, *ODD))


@pytest.mark.parametrize("solver", ["hrdis", "reddiff", "ddrm", "ddnmplus", "dds"])
def test_mri_of_two_channels_runs_at_any_size(solver):
    h, w = ODD
    x = (0.5 * normal(1, 2, h, w).float()).clamp(-1, 1)
    problem = hrdis.measure(
        MRI(kspace.columns(w, acceleration=4)), x, hrdis.noise.Gaussian(0.01), seeds=[0]
    )
    prior = hrdis.priors.Gaussian(torch.zeros(2, h, w), 0.25)
    settings = SOLVERS[solver][0](steps=4)  # type: ignore[call-arg]
    result = hrdis.solve(settings, prior, problem, seeds=[0])
    assert tuple(result.x.shape) == (1, 2, h, w)
    assert bool(result.finite.all())


def test_hrdis_explains_mri_better_than_its_start_with_the_exact_prior():
    """What was sampled stays; the rest comes from the prior: the mean, where nothing was
    measured.
    """
    h, w = 40, 56
    mean = 0.3 * normal(2, h, w, seed=1).float()
    x = mean[None] + 0.1 * normal(1, 2, h, w).float()
    problem = hrdis.measure(MRI(kspace.columns(w, acceleration=4)), x)
    prior = hrdis.priors.Gaussian(mean, 0.01)
    result = hrdis.solve(hrdis.HRDIS(steps=200, lr=0.02), prior, problem, seeds=[0])
    error, start = ((v - x).square().mean().sqrt() for v in (result.x, problem.A.pinv(problem.y)))
    assert float(error) < 0.14
    assert float(error) < 0.6 * float(start)


def test_ct_runs_on_squares_of_any_side():
    x = (0.5 * normal(1, 1, 75, 75).float()).clamp(-1, 1)
    problem = hrdis.measure(CT(20, size=75), x, hrdis.noise.Gaussian(0.01), seeds=[0])
    prior = hrdis.priors.Gaussian(torch.zeros(1, 75, 75), 0.25)
    assert bool(hrdis.solve(hrdis.HRDIS(steps=4), prior, problem, seeds=[0]).finite.all())
