"""`hrdis.restore`: pictures of every kind in, a `Restoration` out, messages for Python."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import images
from hrdis.solvers import SOLVERS
from hrdis.tasks import TASKS
from tests.common.toys import normal

SIDE = 16
SMALL = hrdis.priors.Gaussian(torch.zeros(3, 4 * SIDE, 4 * SIDE), 0.25)


@pytest.fixture(scope="module")
def prior():
    return hrdis.priors.Gaussian(torch.zeros(3, 2 * SIDE, 2 * SIDE), 0.25)


@pytest.fixture(scope="module")
def same_size():
    return hrdis.priors.Gaussian(torch.zeros(3, SIDE, SIDE), 0.25)


@pytest.fixture
def values():
    """Colours of 8 bits, (h, w, 3)."""
    return (normal(SIDE, SIDE, 3).clamp(-2, 2) * 60 + 127).round().numpy().astype(np.uint8)


def solver(**settings):
    return hrdis.DDNM(steps=4, **settings)


def test_file_picture_array_and_tensor_give_the_same(tmp_path, prior, values):
    Image.fromarray(values).save(tmp_path / "small.png")
    forms = {
        "path": tmp_path / "small.png",
        "text": str(tmp_path / "small.png"),
        "pillow": Image.fromarray(values),
        "uint8": values,
        "float": values.astype(np.float64) / 255,
        "tensor": images.load(tmp_path / "small.png")[0],
        "batch of one": images.load(tmp_path / "small.png"),
    }
    found = {
        name: hrdis.restore(form, "sr2", solver=solver(), prior=prior).samples
        for name, form in forms.items()
    }
    for name, samples in found.items():
        assert samples.shape == (1, 3, 2 * SIDE, 2 * SIDE), name
        assert (samples - found["path"]).abs().max() < 1e-6, name  # 1/255 in float64 and float32


@pytest.mark.parametrize(
    "bits, exact", [(3, True), (2, False)], ids=["its own levels", "levels of other bits"]
)
def test_levels_that_a_file_has_rounded_are_taken_as_they_were(same_size, values, bits, exact):
    """HRDIS takes the smallest residual for one, and its steps do not shrink with it."""
    A = hrdis.operators.Quantization(3)
    y = A(torch.from_numpy(values).movedim(-1, 0)[None] / 127.5 - 1)
    rounded = ((y[0].movedim(0, -1) + 1) * 127.5).round().numpy().astype(np.uint8)
    found = hrdis.restore(rounded, "deband", bits=bits, solver="cm4ir", prior=same_size)
    difference = (found.job.problem.y - y).abs().max()
    assert (difference < 1e-6) == exact and difference < 1.01 / 255


def test_equals_the_command(tmp_path, monkeypatch, values):
    """Same settings, same seeds, same bytes: two faces of one restoration."""
    from tests.cli.test_cli import run

    monkeypatch.chdir(tmp_path)
    Image.fromarray(values).save("small.png")
    words = ["--task", "sr2", "--solver", "hrdis", "--steps", "3", "-o", "cli.png"]
    assert run("restore", "small.png", *words) == 0
    preset = hrdis.HRDIS.preset(
        hrdis.Problem(torch.zeros(1, 3, SIDE, SIDE), hrdis.TASKS["sr2"].build(32, 32, 0, 0)),
        hrdis.load_prior("default"),
    )
    found = hrdis.restore("small.png", "sr2", solver=_with_steps(preset, 3))
    found.save("python.png")
    assert Path("cli.png").read_bytes() == Path("python.png").read_bytes()
    records = [json.loads(Path(f"{name}.json").read_text()) for name in ("cli", "python")]
    for record in records:
        for key in (
            "seconds",
            "files",
            "preset",
            "preset_reason",
        ):  # settings of one's own have no preset
            record.pop(key)
    assert records[0] == records[1]


def _with_steps(settings, steps):
    from dataclasses import replace

    return replace(settings, steps=steps)


def test_samples_depend_on_their_seeds_alone(prior, values):
    several = hrdis.restore(values, "sr2", solver=solver(), prior=prior, samples=3, seed=5)
    for k in range(3):
        alone = hrdis.restore(values, "sr2", solver=solver(), prior=prior, seed=5 + k)
        assert torch.equal(several.samples[k : k + 1], alone.samples)
    assert several.deviation is not None and several.deviation.shape == (2 * SIDE, 2 * SIDE)
    assert torch.allclose(several.mean[0], several.samples.mean(0))


def test_observed_pixels_of_a_picture_with_holes_stay(same_size, values):
    holes = np.zeros((SIDE, SIDE), dtype=bool)
    holes[4:8, 4:8] = True
    found = hrdis.restore(values, "inpaint", mask=holes, solver=solver(), prior=same_size)
    back = np.asarray(found.image)
    assert np.array_equal(back[~holes], values[~holes])
    assert not np.array_equal(back[holes], values[holes])


def test_black_marks_holes_where_it_is_said_to(same_size, values):
    holes = np.zeros((SIDE, SIDE))
    holes[4:8, 4:8] = 1
    options = {"solver": solver(), "prior": same_size}
    white = hrdis.restore(values, "inpaint", mask=holes, **options)
    black = hrdis.restore(values, "inpaint", mask=1 - holes, hole="black", **options)
    assert torch.equal(white.samples, black.samples)


def test_grey_picture_comes_back_grey(values):
    found = hrdis.restore(values[..., 0], "sr2", solver=solver())
    assert found.samples.shape[1] == 1 and found.image.mode == "L"


def test_operator_of_ones_own(same_size, values):
    x = images.from_pil(Image.fromarray(values)).x
    half = hrdis.operators.LinearFunction(lambda x: x[..., ::2], shape=(3, SIDE, SIDE))
    found = hrdis.restore(
        x[..., ::2], operator=half, solver=hrdis.REDDiff(steps=4), prior=same_size
    )
    assert found.samples.shape == (1, 3, SIDE, SIDE)


def test_saved_files_are_those_that_are_returned(tmp_path, prior, values):
    found = hrdis.restore(values, "sr2", solver=solver(), prior=prior, samples=2)
    files = found.save(tmp_path / "large.png")
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert json.loads(files[-1].read_text())["solver"] == "ddnm"


def test_record_of_a_picture_from_memory_names_no_file(prior, values):
    record = hrdis.restore(values, "sr2", solver=solver(), prior=prior).record
    assert record["image"] is None and record["image_sha256"] is None


def test_picture_is_never_written_over(tmp_path, prior, values):
    Image.fromarray(values).save(tmp_path / "small.png")
    found = hrdis.restore(tmp_path / "small.png", "sr2", solver=solver(), prior=prior)
    before = (tmp_path / "small.png").read_bytes()
    with pytest.raises(ValueError, match="is an input and would be written over"):
        found.save(tmp_path / "small.png")
    assert (tmp_path / "small.png").read_bytes() == before


def test_shows_itself_in_a_notebook(prior, values):
    found = hrdis.restore(values, "sr2", solver=solver(), prior=prior)
    assert found._repr_png_().startswith(b"\x89PNG")
    assert repr(found).startswith("Restoration(32 x 32, DDNM(")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, r'Either a task or an operator is expected, and neither was given: hrdis\.restore'),
        ({"task": "sr5"}, r"unknown task 'sr5'\. .* Did you mean 'sr"),
        ({"task": "sr4", "solver": "hrdos"}, "unknown solver 'hrdos'.*Did you mean 'hrdis'"),
        ({"task": "sr4", "samples": 0}, "^samples is 0"),
        ({"task": "sr4", "noise": -1.0}, "^noise is -1"),
        ({"task": "denoise"}, r'^task="denoise" needs the strength of the noise: noise=25 '),
        ({"task": "upscale", "scale": 3}, r"^scale is 3\. 2, 4 or 8 is expected: scale=4"),
        ({"task": "sr4", "quality": 5}, r'^quality is given.*Use task="dejpeg"'),
        ({"task": "deband", "bits": 9}, r"^bits is 9\. .*bits=3"),
        ({"task": "deblur", "kernel": "box:4"}, r"^kernel is 'box:4'\. A file, or one of"),
        ({"task": "sr4", "noise": "loud"}, r"^noise is 'loud'\. .*noise=25"),
        ({"task": "inpaint"}, r'needs a mask: mask="holes\.png".*hole="alpha"'),
        ({"task": "sr4", "mask": np.zeros((16, 16))}, r'^mask is given.*Use task="inpaint"'),
        ({"task": "inpaint", "mask": np.zeros((4, 16))}, "marks no pixel"),
        ({"task": "inpaint", "mask": np.eye(4)}, "4 x 4, the picture 16 x 16"),
        ({"task": "inpaint", "mask": np.ones((16, 16)) * 7}, "An array .* of 0 and 1 is expected"),
        ({"task": "deblur-motion"}, r'kernel of the blur: kernel="kernel\.npy"'),
        ({"task": "sr4", "device": "gpu"}, r'^device="gpu" cannot be used.*device="cpu"'),
        ({"task": "sr4", "samples": 1.5}, r"^samples is 1\.5\. A whole number"),
        ({"task": "sr4", "samples": True}, r"^samples is True\. A whole number"),
        ({"task": "sr4", "seed": "0"}, r"^seed is '0'\. A whole number"),
        ({"task": "sr4", "seed": None}, r"^seed is None\. A whole number"),
        ({"task": "sr4", "solver": None}, r"^solver is None\. A name or settings"),
        ({"task": "sr4", "solver": hrdis.DDNM}, r"^solver is .*DDNM'>\. A name or settings"),
        ({"task": "sr4", "solver": hrdis.DDNM(), "effort": "low"}, r'^effort="low" is for solver'),
        ({"task": "inpaint", "hole": "grey"}, "^hole is 'grey'. One of white, black, alpha"),
        ({"task": "sr4", "prior": SMALL, "label": 3}, "^label is 3, but a prior that is given has"),
        ({"task": "sr4", "noise": "poisson:1e300"}, "^noise is 'poisson:1e300'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_python(values, arguments, said):
    with pytest.raises((ValueError, TypeError), match=said) as error:
        hrdis.restore(values, **arguments)
    assert "--" not in str(error.value)


@pytest.mark.parametrize(
    ("repair", "benchmark"),
    [
        ({"task": "upscale", "scale": 2}, {"task": "sr2"}),
        ({"task": "deblur", "kernel": "gaussian:3"}, {"task": "deblur-gauss"}),
        ({"task": "upscale", "scale": 2, "noise": 25}, {"task": "sr2", "noise": 25 / 255}),
        ({"task": "upscale", "scale": 2, "noise": "25/255"}, {"task": "sr2", "noise": 25 / 255}),
        ({"task": "declip"}, {"task": "hdr"}),
    ],
)
def test_repair_is_its_benchmark_setting_pixel_by_pixel(
    prior, same_size, values, repair, benchmark
):
    fitting = prior if "scale" in repair else same_size
    settings = {"solver": hrdis.HRDIS(steps=2), "prior": fitting}
    found = hrdis.restore(values, **repair | settings)
    assert torch.equal(found.samples, hrdis.restore(values, **benchmark | settings).samples)


def test_noise_in_the_record_is_a_fraction(same_size, values):
    asked = {"solver": hrdis.HRDIS(steps=1), "prior": same_size, "noise": 51}
    assert hrdis.restore(values, "denoise", **asked).record["noise"]["[0,1]"] == 0.2


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ("nowhere.png", "nowhere.png does not exist"),
        (7, "picture is a int"),
        (np.zeros((4, 4, 2)), "shape .4, 4, 2. and float64"),
        (np.full((4, 4), 255.0), "from 255 to 255.*from 0 to 1"),
        (np.full((4, 4), np.nan), "from nan to nan"),
        (np.zeros((4, 4), dtype=np.int64), "int64"),
        (np.zeros((0, 4, 3)), "holds no pixel"),
        (torch.zeros(2, 3, 4, 4), "One image"),
        (torch.zeros(3, 4, 0), "holds no pixel"),
        (torch.full((3, 4, 4), torch.inf), "from inf to inf. Values from -1 to 1"),
        (torch.full((3, 4, 4), 255.0), "from 255 to 255. Values from -1 to 1"),
    ],
)
def test_what_is_no_picture_is_refused(picture, said):
    with pytest.raises((ValueError, TypeError), match=said):
        hrdis.restore(picture, "sr4")


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("sr2", {}),
        ("inpaint", {"mask": np.eye(SIDE)}),
        ("denoise", {"noise": 0.1}),
        ("deblur-gauss", {"noise": 0.02}),
        ("colorize", {}),
        ("lowlight", {}),
    ],
)
def test_samples_drawn_together_are_those_drawn_alone(prior, same_size, values, task, options):
    """With a prior that computes every image by itself, to the rounding of float32."""
    own = prior if task == "sr2" else same_size
    together = hrdis.restore(values, task, prior=own, samples=3, seed=5, **options)
    assert together.calls == 3 * together.job.calls
    for k in range(3):
        alone = hrdis.restore(values, task, prior=own, seed=5 + k, **options)
        assert (together.samples[k] - alone.samples[0]).abs().max() < 1e-4
        for name, estimates in together.estimated.items():
            assert estimates[k] == pytest.approx(alone.estimated[name][0], abs=1e-5)


@pytest.mark.parametrize(
    ("task", "noise", "rounded", "level"),
    [
        ("deblur", 0.0, True, 1 / 255 / 12**0.5),  # the variance of rounding is 1/12 level^2
        ("deblur", 0.0, False, 0.0),
        ("deblur", 0.1, True, 0.1),
        ("inpaint", 0.0, True, 0.0),
    ],
)
def test_blurred_picture_in_grey_levels_counts_as_rounded(values, task, noise, rounded, level):
    prior = hrdis.priors.Gaussian(torch.zeros(3, SIDE, SIDE), 0.25)
    picture = values.astype(np.float64) / 255 + (0 if rounded else 0.3 / 255)
    options = {"kernel": "gaussian:1"} if task == "deblur" else {"mask": np.eye(SIDE)}
    found = hrdis.restore(picture, task, noise=noise, solver="mmps", prior=prior, **options)
    # measurements are in [-1, 1], twice as wide as the levels' range
    assert found.job.problem.sigma_y == pytest.approx(2 * level)


def test_solver_that_takes_no_noise_gets_none_from_rounding(values, same_size):
    found = hrdis.restore(
        values, "deblur", kernel="gaussian:1", solver=hrdis.DDNM(steps=2), prior=same_size
    )
    assert found.job.problem.sigma_y == 0


def test_colours_are_not_promised_by_the_embedded_model(values):
    with pytest.warns(UserWarning, match="does not know the colours of things"):
        hrdis.restore(values, "colorize", solver="ddnm")


class Greedy(hrdis.priors.Prior):
    """A prior that runs out of memory with more than so many images."""

    def __init__(self, prior, most):
        super().__init__()
        self.prior, self.most, self.batches = prior, most, []
        self.schedule, self.channels, self.name = prior.schedule, prior.channels, "greedy"

    def forward(self, x_t, t):
        self.batches.append(len(x_t))
        if len(x_t) > self.most:
            raise torch.OutOfMemoryError("not that many")
        return self.prior(x_t, t)


def test_out_of_memory_takes_fewer_samples_at_once_and_loses_none(prior, values):
    greedy = Greedy(prior, most=2)
    with pytest.warns(UserWarning, match="5 samples at once take more memory .* 2 at once"):
        found = hrdis.restore(values, "sr2", solver=solver(), prior=greedy, samples=5, seed=3)
    assert set(greedy.batches) == {5, 2, 1}
    plain = hrdis.restore(values, "sr2", solver=solver(), prior=prior, samples=5, seed=3)
    assert (found.samples - plain.samples).abs().max() < 1e-5


def test_out_of_memory_of_one_sample_is_not_hidden(prior, values):
    with pytest.raises(torch.OutOfMemoryError):
        hrdis.restore(values, "sr2", solver=solver(), prior=Greedy(prior, most=0))


def test_samples_of_a_large_picture_are_drawn_in_turn(values):
    """Never more pixels at once than one tile has, nor than a CPU's caches hold."""
    from hrdis.restoration import Inputs, Options, prepare

    for sides, together in ((1, 8), (3, 3), (5, 1), (20, 1)):  # 32, 96, 160 and 640 pixels a side
        options = Options(image=Path("x"), task="sr2", solver="ddnm", samples=8, tile=256)
        picture = np.tile(values, (sides, sides, 1))
        assert prepare(options, solver(), inputs=Inputs(picture)).at_once == together


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.picture])
def test_picture_that_a_task_measured_is_restored(tmp_path, name):
    """As `hrdis degrade` writes it: what the operator makes of colours is a file that it takes."""
    task, side = TASKS[name], 32
    if task.weights:
        pytest.skip("its network has no weights here")
    A = (task.photo or task.build)(side, side, 0, 0)
    y = A(0.5 * normal(1, 3, side, side).float().clamp(-2, 2)).clamp(-1, 1)
    images.save(tmp_path / "y.png", y)
    options = {"noise": 0.02}
    if task.mask:
        options["mask"] = 1 - A.mask[0, 0].numpy()
    if task.kernel:
        options["kernel"] = A.kernel.numpy()
    prior = hrdis.priors.Gaussian(torch.zeros(3, side, side), 0.25)
    preset = SOLVERS[task.solver][0](steps=3)
    found = hrdis.restore(tmp_path / "y.png", name, solver=preset, prior=prior, **options)
    assert found.samples.shape == (1, 3, side, side)
    assert bool(torch.isfinite(found.samples).all())
