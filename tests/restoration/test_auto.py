"""What stands in the place of "auto": values that are sure, and for others one message."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import images
from hrdis.diagnosis import Blurring, Compression, NoiseLevel, Specks, Stamp
from hrdis.diagnosis.jpeg import annex_k
from hrdis.fixing import Diagnosis
from hrdis.messages import for_page
from hrdis.operators import Blur, kernels
from hrdis.restoration import auto
from tests.cli.test_cli import run
from tests.common.photographs import photograph, stored

STEPS = tuple(int(step) for step in annex_k(40).ravel())
NOISE = NoiseLevel("yes", 12.0, 11, 13, "Noise of 12.0 grey levels.", white=True)
JPEG = Compression("yes", 40, 40, 40, "A JPEG of quality 40.", steps=STEPS)
GAUSSIAN = Blurring("yes", 2.0, 1.7, 2.3, "Blurred.", source="spectrum", width=2.0)
MOTION = Blurring("yes", 3, 3, 3, "Shaken.", "motion", 10.0, 30.0, "spectrum", frequencies=900)
MARKS = Specks("no", 0, 0, 0, "No specks.")
STAMP = Stamp("no", 0, 0, 0, "No date.")
SOLVER = hrdis.DDNM(steps=2)


# ---- findings to values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (GAUSSIAN, "gaussian:2.00"),
        (replace(GAUSSIAN, source="edges", width=1.8), "gaussian:1.80"),
        (replace(GAUSSIAN, source="edges", width=2.2), "gaussian:2.00"),
        (MOTION, "motion:11.00:30.0"),
    ],
)
def test_blur_becomes_a_word(found: Blurring, word: str) -> None:
    assert auto.kernel_of(found)[0] == word


def test_word_of_a_motion_has_the_zeros_it_was_found_by() -> None:
    """A motion of 10 pixels has no power at 1/10 of a cycle a pixel."""
    word = auto.kernel_of(replace(MOTION, angle=0.0))[0]
    kernel = kernels.line(*(float(number) for number in word.split(":")[1:]))
    spectrum = torch.fft.fft(kernel.sum(0), 1000).abs()
    # 16 points a pixel stand for the line: a zero is one to a few thousandths
    assert float(spectrum[100]) < 0.01 < float(spectrum[90])


@pytest.mark.parametrize(
    ("found", "option"),
    [
        (replace(GAUSSIAN, found="no", value=0.9), "--kernel gaussian:2"),
        (replace(GAUSSIAN, found="unsure", value=0.0), "--kernel gaussian:2"),
        (replace(GAUSSIAN, found="unsure"), "take it all the same: --kernel gaussian:2.00"),
        (replace(GAUSSIAN, source="edges", width=0.0), "--kernel gaussian:2.00"),
        (replace(MOTION, frequencies=500), "take it all the same: --kernel motion:11.00:30.0"),
        (replace(MOTION, found="unsure", length=0.0), "--kernel gaussian:2"),
    ],
)
def test_unsure_blur_names_the_option(found: Blurring, option: str) -> None:
    with pytest.raises(auto.NotFoundError) as raised:
        auto.kernel_of(found)
    assert str(raised.value).endswith(option)


def test_quality_is_a_whole_number() -> None:
    assert auto.quality_of(JPEG)[0] == 40


@pytest.mark.parametrize(
    ("found", "option"),
    [
        (replace(JPEG, found="no", value=95), "take it all the same: --quality 95"),
        (Compression("no", 100, 95, 100, "No trace."), "--quality 10"),
        (replace(JPEG, found="unsure"), "--quality 10"),
        (replace(JPEG, offset=(3, 0)), "hrdis fix --only jpeg"),
    ],
)
def test_unsure_quality_names_the_option(found: Compression, option: str) -> None:
    with pytest.raises(auto.NotFoundError) as raised:
        auto.quality_of(found)
    assert str(raised.value).endswith(option)


def test_noise_is_a_fraction_of_white() -> None:
    assert auto.noise_of(NOISE, needed=True)[0] == pytest.approx(12 / 255, abs=1e-5)


def test_missing_noise_is_zero_unless_it_is_the_task() -> None:
    none = replace(NOISE, found="no", value=0.5)
    assert auto.noise_of(none, needed=False)[0] == 0
    with pytest.raises(auto.NotFoundError, match=r"no noise to remove.*--noise 5"):
        auto.noise_of(none, needed=True)


@pytest.mark.parametrize(
    ("value", "high", "level"), [(4.0, 5.0, "--noise 4.0"), (0.0, float("inf"), "--noise 5")]
)
def test_unsure_noise_names_the_option(value: float, high: float, level: str) -> None:
    with pytest.raises(auto.NotFoundError) as raised:
        auto.noise_of(replace(NOISE, found="unsure", value=value, high=high), needed=False)
    assert str(raised.value).endswith(level)


# ---- in Python ----------------------------------------------------------------------------------


@pytest.fixture
def diagnosis(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The answers of a diagnosis that looks at nothing, to be changed by a test."""
    answers: dict[str, object] = {
        "jpeg": JPEG, "enlarged": None, "noise": NOISE, "blur": GAUSSIAN, "scratches": MARKS,
        "stamp": STAMP,
    }  # fmt: skip
    monkeypatch.setattr("hrdis.fixing.diagnose", lambda *_: Diagnosis(**answers))  # type: ignore[arg-type]
    monkeypatch.setattr("hrdis.fixing.former_jpeg", lambda *_: answers["jpeg"])
    return answers


@pytest.fixture(scope="module")
def prior() -> hrdis.Prior:
    return hrdis.priors.Gaussian(torch.zeros(3, 32, 32), 0.25)


def pixels() -> np.ndarray:
    return photograph(side=32).astype(np.uint8).transpose(1, 2, 0)


def test_python_takes_what_is_found(diagnosis: dict[str, object], prior: hrdis.Prior) -> None:
    found = hrdis.restore(
        pixels(), "deblur", kernel="auto", noise="auto", solver=hrdis.DiffPIR(steps=2), prior=prior
    )
    record = found.record
    assert record["kernel"] == "gaussian:2.00"
    assert record["noise"]["[0,1]"] == pytest.approx(12 / 255, abs=1e-5)
    assert record["found"] == {"noise": NOISE.why, "kernel": GAUSSIAN.why}
    assert hrdis.restore(
        pixels(), "dejpeg", quality="auto", solver=hrdis.HRDIS(steps=2), prior=prior
    ).record["quality"] == 40  # fmt: skip


def test_kernel_that_was_found_brings_noise_along(
    diagnosis: dict[str, object], prior: hrdis.Prior
) -> None:
    """Half a grey level, unless there is more of it by hand."""
    solver = hrdis.DiffPIR(steps=2)
    for given, taken in ((0.0, auto.INEXACT), (0.1, 0.1)):
        found = hrdis.restore(
            pixels(), "deblur", kernel="auto", noise=given, solver=solver, prior=prior
        )
        assert found.record["noise"]["[0,1]"] == taken


def test_messages_are_in_the_words_of_python(
    diagnosis: dict[str, object], prior: hrdis.Prior
) -> None:
    diagnosis["blur"] = replace(GAUSSIAN, found="unsure", value=1.25)
    with pytest.raises(ValueError, match=r'The picture: Blurred\. .* kernel="gaussian:1.25"$'):
        hrdis.restore(pixels(), "deblur", kernel="auto", prior=prior)
    diagnosis["jpeg"] = replace(JPEG, offset=(3, 0))
    with pytest.raises(ValueError, match=r'by: hrdis\.fix\(picture, only=\["jpeg"\]\)$'):
        hrdis.restore(pixels(), "dejpeg", quality="auto", prior=prior)


def test_messages_are_in_the_words_of_the_page() -> None:
    said = "They are mended by: hrdis fix --only jpeg"
    assert for_page(said) == 'They are mended by: the tab "Fix a photograph"'


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("sr2", {"kernel": "auto"}, "kernel is given.* takes none"),
        ("sr2", {"quality": "auto"}, "quality is given.* takes none"),
        ("sr2", {"mask": "auto"}, "mask.* takes none"),
        ("inpaint", {"mask": "auto", "hole": "black"}, "hole"),
        ("phase", {"noise": "auto"}, "does not measure"),
    ],
)
def test_auto_that_a_task_does_not_take_is_refused(
    task: str, given: dict[str, str], said: str
) -> None:
    """Before the picture is looked at, which does not even exist."""
    with pytest.raises(ValueError, match=said):
        hrdis.restore("missing.png", task, **given)  # type: ignore[arg-type]


def test_mask_that_was_found_is_saved_and_replayed(
    tmp_path: Path, diagnosis: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[10:12, 4:28] = True
    diagnosis["scratches"] = Specks("unsure", 1, 1, 1, "A scratch.", mask=mask)
    Image.fromarray(pixels()).save(tmp_path / "in.png")
    found = hrdis.restore(tmp_path / "in.png", "inpaint", mask="auto", solver=SOLVER)
    found.save(tmp_path / "out.png")
    read = images.read_mask(tmp_path / "out.mask.png", "white")
    assert torch.equal(read == 0, mask)
    assert json.loads((tmp_path / "out.json").read_text())["mask"].endswith("out.mask.png")
    with pytest.raises(ValueError, match=r"edited by hand.*overwrite=True"):
        found.save(tmp_path / "out.png")
    assert run("replay", tmp_path / "out.json") == 0
    assert "out.png: equal" in capsys.readouterr().out


# ---- on a photograph ----------------------------------------------------------------------------


def test_kernel_of_a_photograph_is_found_and_replayed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    x = stored(photograph(side=128)).double()
    images.save(tmp_path / "in.png", Blur(kernels.line(11.0, 30.0)).double()(x).float())
    words = ("--task", "deblur", "--kernel", "auto", "--solver", "diffpir", "--steps", "2")
    assert run("restore", tmp_path / "in.png", *words, "-o", tmp_path / "out.png") == 0
    said = " ".join(capfd.readouterr().err.split())
    word = json.loads((tmp_path / "out.json").read_text())["kernel"]
    assert f"--kernel is {word}. Blurred by a motion" in said
    kind, length, angle = word.split(":")
    assert kind == "motion"
    assert float(length) == pytest.approx(11, abs=0.5)
    assert float(angle) == pytest.approx(30, abs=2)
    assert run("replay", tmp_path / "out.json") == 0
