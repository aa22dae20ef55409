"""The nine repairs, and how their options become a task."""

import math

import pytest
import torch

from hrdis.operators import JPEG, Blur, Quantization, SuperResolution, kernels
from hrdis.repairs import NAMES, REPAIRS, is_word, resolve
from hrdis.tasks import TASKS


def operator(*name, **options):
    """Return the operator for a photograph of 64 x 64."""
    task = resolve(*name, **options)
    return (task.photo or task.build)(64, 64, 0, 0)


@pytest.mark.parametrize("name", TASKS)
def test_a_benchmark_setting_keeps_its_name(name):
    assert resolve(name) is TASKS[name]


@pytest.mark.parametrize(("name", "repair"), REPAIRS.items())
def test_a_repair_without_options_is_its_benchmark_setting(name, repair):
    assert resolve(name) is TASKS[repair.basis]


def test_the_repairs_come_first():
    assert NAMES[: len(REPAIRS)] == tuple(REPAIRS) and set(NAMES) == {*REPAIRS, *TASKS}


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_upscale_takes_a_scale(scale):
    A = operator("upscale", scale=scale)
    assert isinstance(A, SuperResolution) and A.scale == scale
    assert resolve("upscale", scale=scale) is TASKS[f"sr{scale}"]


def test_dejpeg_takes_a_quality():
    task, A = resolve("dejpeg", quality=35), operator("dejpeg", quality=35)
    assert isinstance(A, JPEG) and A.quality == 35
    assert task.multiple == 16 and task.presets == ("jpeg35", "jpeg10", "jpeg")


def test_deband_takes_bits():
    A = operator("deband", bits=5)
    assert isinstance(A, Quantization) and A.bits == 5


def test_a_gaussian_in_words_is_that_of_the_benchmark_bit_by_bit():
    A, B = operator("deblur", kernel="gaussian:3"), operator("deblur-gauss")
    assert isinstance(A, Blur) and torch.equal(A.kernel, B.kernel)
    assert resolve("deblur", kernel="gaussian:3").presets == TASKS["deblur-gauss"].presets


def test_a_box_in_words_is_a_mean():
    A, B = operator("deblur", kernel="box:9"), operator("deblur-uniform")
    # Two products of ninths and 1 / 81 differ in the last bit.
    torch.testing.assert_close(A.kernel, B.kernel, rtol=1e-12, atol=0)
    assert resolve("deblur", kernel="box:9").presets == TASKS["deblur-uniform"].presets


def test_a_motion_in_words_has_a_length_and_an_angle():
    A = operator("deblur", kernel="motion:15:30")
    k = A.kernel
    rows, columns = torch.arange(k.shape[0]).double(), torch.arange(k.shape[1]).double()
    rows, columns = rows - rows.mean(), columns - columns.mean()
    cross = float((k * rows[:, None] * columns).sum())
    along = float((k * columns**2).sum() - (k * rows[:, None] ** 2).sum())
    # The main axis of its second moments; rows count downwards.
    assert math.degrees(0.5 * math.atan2(-2 * cross, along)) == pytest.approx(30, abs=0.5)


def test_a_kernel_in_words_needs_no_file():
    assert resolve("deblur").kernel and not resolve("deblur", kernel="box:3").kernel


WRONG = {
    "scale of 3": ("upscale", {"scale": 3}, "--scale is 3. 2, 4 or 8"),
    "scale of denoise": ("denoise", {"scale": 2}, "takes none. Use --task upscale"),
    "quality of 0": ("dejpeg", {"quality": 0}, "--quality is 0"),
    "quality of sr4": ("sr4", {"quality": 5}, "takes none. Use --task dejpeg"),
    "quality of a benchmark": ("jpeg10", {"quality": 5}, "takes none. Use --task dejpeg"),
    "bits of 8": ("deband", {"bits": 8}, "--bits is 8. A whole number from 1 to 7"),
    "kernel of sr4": ("sr4", {"kernel": "box:3"}, "takes none. Use --task deblur"),
    "even box": ("deblur", {"kernel": "box:4"}, "--kernel is 'box:4'. A file, or one of"),
    "no number": ("deblur", {"kernel": "box:big"}, "--kernel is 'box:big'. A file, or one of"),
    "three numbers": ("deblur", {"kernel": "motion:1:2:3"}, "A file, or one of"),
    "infinite": ("deblur", {"kernel": "gaussian:inf"}, "A file, or one of"),
    "too long": ("deblur", {"kernel": "motion:5000"}, "at most 999 pixels"),
    "unknown word": ("deblur", {"kernel": "gausian:3"}, "A file, or one of gaussian:3"),
    "unknown task": ("upscal", {}, "Did you mean 'upscale'?"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_in_one_line(case):
    name, options, said = WRONG[case]
    with pytest.raises(ValueError, match=r"^.*$") as caught:
        resolve(name, **options)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_files_are_no_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd:name").write_text("")
    for name in ("kernel.npy", "./gaussian:3", "C:\\kernel.png", "/w/box:9", "odd:name"):
        assert not is_word(name)
    assert is_word("gaussian:3") and is_word("gausian:3")


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0])
@pytest.mark.parametrize("length", [1.0, 7.5, 15.0])
def test_a_line_keeps_the_light_and_its_middle(length, angle):
    k = kernels.line(length, angle)
    t = torch.arange(len(k), dtype=k.dtype) - len(k) // 2
    assert float(k.sum()) == pytest.approx(1, abs=1e-12)
    assert float((k.sum(0) * t).sum()) == pytest.approx(0, abs=1e-9)
    assert float((k.sum(1) * t).sum()) == pytest.approx(0, abs=1e-9)
    # The variance of a uniform line, up to the spread over neighbouring pixels.
    spread = float((k.sum(0) * t**2).sum() + (k.sum(1) * t**2).sum())
    assert spread == pytest.approx(max(length - 1, 0) ** 2 / 12, abs=0.5)


@pytest.mark.parametrize("wrong", [(0.0, 0.0), (-1.0, 0.0), (math.inf, 0.0), (3.0, math.nan)])
def test_a_line_without_a_length_is_refused(wrong):
    with pytest.raises(ValueError, match="length is"):
        kernels.line(*wrong)
