"""The task table, and the settings that fit its tasks."""

import pytest
import torch

import hrdis
from hrdis import presets
from hrdis.operators import Blur, Inpainting, LinearOperator, SVDOperator, kernels
from hrdis.presets import choose
from hrdis.solvers import SOLVERS
from hrdis.tasks import TASKS
from tests.common.toys import normal, ready, rel

every_task = pytest.mark.parametrize("name", TASKS)


@every_task
def test_operator_of_a_task_measures_pictures_of_its_size(name):
    # What measures no picture takes blocks of 32 pixels, or squares, of a power of two; a network
    # blurs 128 at once. A view of rays costs the same at any size.
    h, w = (
        (64, 64)
        if name.startswith("cs")
        else (8, 8)
        if name == "ct60"
        else (128, 256)
        if TASKS[name].weights
        else (48, 64)
    )
    A, x = ready(name).build(h, w, 0, 0), normal(1, 3, h, w)
    x = x.float() if TASKS[name].weights else x
    y = A(x)
    scale = TASKS[name].scale
    assert A.picture == (y.ndim == 4 and tuple(y.shape[-2:]) == (h // scale, w // scale))
    assert A.image_shape(tuple(y.shape)) == tuple(x.shape)
    if isinstance(A, LinearOperator):
        # A blur with a mirrored border and rays have no closed form: 200 steps leave 0.6 % of white
        # noise.
        assert rel(A(A.pinv(y)), y) < (1e-2 if isinstance(A, Blur) or name == "ct60" else 1e-12)


@pytest.mark.parametrize("name", [n for n, t in TASKS.items() if max(t.scale, t.multiple) > 1])
def test_operator_of_a_task_measures_the_multiples_it_says(name):
    task = TASKS[name]
    side = max(task.scale, task.multiple)
    x = (0.3 * normal(1, 3, side, 3 * side)).clamp(-1, 1).float()
    assert ready(name).build(side, 3 * side, 0, 0)(x).shape[0] == 1


@every_task
def test_operator_of_a_task_is_a_function_of_seed_and_index(name):
    def state(seed, index):
        return [
            t.numpy().tobytes()
            for t in ready(name).build(64, 64, seed, index).state_dict().values()
        ]

    assert state(3, 5) == state(3, 5)


@pytest.mark.parametrize("name", [n for n, t in TASKS.items() if t.mask and n != "inpaint-box"])
def test_masks_of_a_task_differ_between_images(name):
    drawn = {TASKS[name].build(64, 64, 0, k).mask.numpy().tobytes() for k in range(4)}
    assert len(drawn) == 4


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("inpaint", 0.1, 0.2), ("inpaint-20-30", 0.2, 0.3), ("inpaint-30-40", 0.3, 0.4)],
)
def test_inpainting_tasks_hide_the_band_of_the_paper(name, low, high):
    for k in range(3):
        assert low <= 1 - float(TASKS[name].build(64, 64, 0, k).mask.mean()) < high


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("inpaint-box", 0.25), ("inpaint-random", 0.5), ("inpaint-scratches", 0.15)],
)
def test_inpainting_tasks_hide_the_share_they_say(name, hidden):
    assert 1 - float(TASKS[name].build(64, 64, 0, 0).mask.mean()) == pytest.approx(
        hidden, abs=0.015
    )


@every_task
def test_task_that_takes_a_mask_is_inpainting(name):
    assert TASKS[name].mask == isinstance(ready(name).build(64, 64, 0, 0), Inpainting)


@every_task
def test_operator_for_photographs_measures_alike_at_any_size(name):
    """Away from the border, and for grey pictures, it is the task's own: only what is unknown
    differs.
    """
    task = TASKS[name]
    if task.photo is None:
        return
    x = normal(1, 1, 50, 37).expand(1, 3, 50, 37)
    ours, theirs = task.photo(50, 37, 0, 0)(x), task.build(50, 37, 0, 0)(x)
    # 0.03: the separable blur cuts singular values below that
    assert rel(ours[..., 8:-8, 8:-8], theirs[..., 8:-8, 8:-8]) < 0.03


@every_task
def test_operator_for_photographs_has_a_border_that_goes_on(name):
    task = TASKS[name]
    if name.startswith("deblur") and not task.weights:
        x = torch.full((1, 3, 50, 37), 0.7)
        torch.testing.assert_close(
            (task.photo or task.build)(50, 37, 0, 0)(x), x, rtol=0, atol=1e-5
        )


def test_blurs_of_ddrm_have_a_decomposition():
    assert all(
        isinstance(TASKS[f"deblur-{name}"].build(32, 32, 0, 0), SVDOperator)
        for name in ("uniform", "aniso")
    )


def test_motion_differs_between_images_and_is_the_kernel_of_its_seed_and_number():
    A = TASKS["deblur-motion"].build(64, 64, 3, 5)
    assert torch.equal(A.kernel, Blur(kernels.motion(61, 0.5, 3, 5)).kernel)
    assert not torch.equal(
        A(normal(1, 1, 64, 64)), TASKS["deblur-motion"].build(64, 64, 3, 6)(normal(1, 1, 64, 64))
    )


@every_task
def test_every_solver_has_settings_for_every_task(name):
    for solver, (cls, _) in SOLVERS.items():
        assert isinstance(choose(SOLVERS[solver][0], TASKS[name].presets).settings, cls)


def test_operator_of_a_dark_photograph_is_not_told_how_dark():
    task = TASKS["lowlight"]
    assert (task.solver, task.build(8, 8, 0, 0).f, task.blind(8, 8, 0, 0).f) == (
        "blindhrdis",
        0.25,
        None,
    )


@every_task
def test_solver_of_a_task_can_run_on_its_operator(name):
    task = ready(name)
    cls, _ = SOLVERS[task.solver]
    assert isinstance((task.blind or task.build)(64, 64, 0, 0), cls.requires)


# ---- the paper's table
# ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "key", "calls", "top", "bottom"),
    [
        ("hrdis", "inpaint", 167, 996, 0),
        ("hrdis", "sr4", 100, 990, 0),
        ("hrdis", "cs25", 334, 999, 0),
        ("hrdis", "cs10", 334, 999, 0),
        ("hrdis", "phase", 500, 998, 0),
        ("hrdis", "hdr", 100, 990, 0),
        ("hrdis", "deblur-nonlinear", 100, 991, 100),
        ("hrdis", "inpaint-poisson", 167, 996, 0),
        ("blindhrdis", "lowlight", 334, 999, 0),
        ("reddiff", "phase", 1000, 999, 0),
    ],
)
def test_presets_of_the_paper_visit_the_times_of_the_authors(solver, key, calls, top, bottom):
    times = SOLVERS[solver][1][key].times(hrdis.Schedule.linear())
    assert (len(times) - 1, times[0], times[-2]) == (calls, top, bottom)


@pytest.mark.parametrize(
    ("noise", "kind", "key", "lambda_obs"),
    [
        (0.05, "gaussian", "inpaint-noise05", 0.1),
        (0.1, "gaussian", "inpaint-noise10", 0.05),
        (hrdis.noise.Poisson(1.0).sigma_y / 2, "poisson", "inpaint-poisson", 0.05),
        (hrdis.noise.Speckle(0.1).sigma_y / 2, "speckle", "inpaint-speckle", 0.05),
    ],
)
def test_noise_chooses_the_data_weight_of_the_paper(noise, kind, key, lambda_obs):
    choice = choose(hrdis.HRDIS, TASKS["inpaint"].presets, noise, kind)
    found = choice.settings
    assert (choice.row, found.lambda_obs, found.weight_min) == (key, lambda_obs, 2.0)


def test_run_can_end_before_clean():
    schedule = hrdis.Schedule.linear()
    times = hrdis.HRDIS(steps=5, start=500, end=100).times(schedule)
    assert times == [500, 400, 300, 200, 100, -1]
    with pytest.raises(ValueError, match=r"^A run from time 50 cannot end at 100\."):
        hrdis.HRDIS(steps=5, start=50, end=100).times(schedule)


def test_blur_by_a_network_has_one_latent_per_image_and_seed():
    task = ready("deblur-nonlinear")
    x = (0.3 * normal(1, 3, 128, 128)).clamp(-1, 1).float()
    y = task.build(128, 128, 0, 0)(x)
    assert torch.equal(task.build(128, 128, 0, 0)(x), y)
    assert not torch.equal(task.build(128, 128, 0, 1)(x), y)
    assert not torch.equal(task.build(128, 128, 1, 0)(x), y)


def test_blur_by_a_network_asks_for_its_weights():
    message = (
        r"^The task 'deblur-nonlinear' needs the weights of its network: --weights "
        r"FILE.*GOPRO_wVAE\.pth"
    )
    with pytest.raises(ValueError, match=message):
        TASKS["deblur-nonlinear"].build(128, 128, 0, 0)
    with pytest.raises(ValueError, match=r"^There is no file nowhere\.pth\."):
        TASKS["deblur-nonlinear"].with_weights("nowhere.pth")


def test_task_without_a_network_takes_no_weights():
    with pytest.raises(ValueError, match=r"^This task takes no weights\."):
        TASKS["sr4"].with_weights({})


@every_task
def test_task_has_a_summary(name):
    assert TASKS[name].summary


# ---- which settings fit an operator -------------------------------------------------------------


@pytest.mark.parametrize("solver", ["hrdis", "reddiff", "ddrm"])
@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize(
    "task", [name for name in TASKS if not name.startswith(("inpaint-", "deblur-nonlinear"))]
)
def test_operator_finds_the_settings_of_its_task(task, noise, solver):
    """From Python the operator alone says what fits; a task may add rows of its own (holes of a
    kind).
    """
    families = TASKS[task].build(128, 128, 0, 0).families
    cls, tuned = SOLVERS[solver][0], presets.embedded()
    found = choose(cls, families, noise, tuned=tuned)
    expected = choose(cls, TASKS[task].presets, noise, tuned=tuned)
    assert (found.row, found.settings) == (expected.row, expected.settings)


#: Tasks that need no weights of a network.
WITHOUT_WEIGHTS = [name for name, task in TASKS.items() if not task.weights]


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_task_of_a_picture_is_one_whose_operator_measures_a_picture(name):
    assert TASKS[name].picture == TASKS[name].build(32, 32, 0, 0).picture


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_size_of_an_image_follows_from_its_measurement(name, side):
    y = TASKS[name].build(side, side, 0, 0)(torch.zeros(1, 3, side, side))
    assert TASKS[name].size_of(tuple(y.shape)) == (side, side)


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if not task.picture])
def test_task_is_drawn_where_its_measurement_depends_on_the_seed(name):
    x = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    first, second = (TASKS[name].build(32, 32, seed, 0)(x) for seed in (0, 1))
    assert TASKS[name].drawn == (not torch.equal(first, second))
