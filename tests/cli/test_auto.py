"""``--noise``, ``--quality`` and ``--mask auto``: what is found in the picture is taken."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import images
from tests.cli.test_cli import run
from tests.common.photographs import noisy, photograph, stored

SOLVER = ("--solver", "ddnm", "--steps", "2")


def written(path: Path, pixels: np.ndarray) -> Path:
    images.save(path, stored(pixels))
    return path


def scratched() -> np.ndarray:
    """Return a photograph with a light scratch across it."""
    pixels = photograph("chelsea.png", side=128).copy()
    for column in range(10, 118):
        pixels[:, 50 + column // 7, column : column + 2] = 235.0
    return pixels


def test_noise_is_measured_as_fix_measures_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "in.png", noisy(photograph(side=128), 12.0))
    out = tmp_path / "out.png"
    assert run("restore", given, "--task", "denoise", "--noise", "auto", "-o", out) == 0
    record = json.loads(out.with_suffix(".json").read_text())
    assert 255 * record["noise"]["[0,1]"] == pytest.approx(12, rel=0.1)
    assert "--noise is 1" in capfd.readouterr().err


def test_noise_that_depends_on_the_picture_gets_the_level_of_this_picture(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dark = tmp_path / "dark.png"
    images.save(dark, torch.full((1, 3, 32, 32), -0.8))  # u = 0.1
    out = tmp_path / "out.png"
    words = ("--task", "denoise", "--noise", "poisson:1", "--solver", "diffpir", "--steps", "2")
    assert run("restore", dark, *words, "-o", out) == 0
    level = (0.1 / 255) ** 0.5
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["noise"]["[0,1]"] == pytest.approx(level, rel=0.02)  # stored in 8 bits
    assert (
        "--noise is 5 grey levels. That is its level in this picture, of 11.3 at mid-grey."
        in " ".join(capfd.readouterr().err.split())
    )
    found = hrdis.restore(
        dark, "denoise", noise="poisson:1", solver=hrdis.DiffPIR(steps=2)
    )  # in Python, too
    assert found.record["noise"] == record["noise"]
    assert run("restore", dark, *words[:3], "poisson:x", "-o", tmp_path / "no.png") == 2
    assert "A number is expected after the colon" in capfd.readouterr().err


def test_picture_without_noise_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "in.png", photograph(side=128))
    out = tmp_path / "out.png"
    assert run("restore", given, "--task", "denoise", "--noise", "auto", "-o", out) == 2
    assert "There is no noise to remove" in " ".join(capfd.readouterr().err.split())
    assert not out.exists()


def test_mask_of_a_scratch_is_written_and_filled(tmp_path: Path) -> None:
    pixels = scratched()
    given = written(tmp_path / "in.png", pixels)
    out = tmp_path / "out.png"
    assert run("restore", given, "--task", "inpaint", "--mask", "auto", "-o", out, *SOLVER) == 0
    hole = images.read_mask(tmp_path / "out.mask.png", "white").numpy() == 0
    scratch = np.abs(pixels - photograph("chelsea.png", side=128)).max(0) > 8
    assert hole[scratch].mean() > 0.9
    change = (images.read(out).x - stored(pixels)).abs().amax((0, 1)).numpy()
    assert change[~hole].max() < 1e-3  # two readings of the same 8 bits


def test_mask_in_the_way_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It may have been edited by hand."""
    given = written(tmp_path / "in.png", scratched())
    mask = written(tmp_path / "out.mask.png", np.zeros((3, 128, 128)))
    before = mask.read_bytes()
    words = ("restore", given, "--task", "inpaint", "--mask", "auto", "-o", tmp_path / "out.png")
    assert run(*words) == 2
    assert "out.mask.png is in the way" in " ".join(capfd.readouterr().err.split())
    assert mask.read_bytes() == before


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_quality_is_found_in_tables_and_in_pixels(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str
) -> None:
    given, out = tmp_path / f"in.{suffix}", tmp_path / "out.png"
    Image.fromarray(photograph(side=128).astype(np.uint8).transpose(1, 2, 0)).save(
        tmp_path / "in.jpg", quality=35
    )
    with Image.open(tmp_path / "in.jpg") as image:
        image.save(tmp_path / "in.png")
    words = ("--task", "dejpeg", "--quality", "auto", "--solver", "hrdis", "--steps", "2")
    assert run("restore", given, *words, "-o", out) == 0
    assert json.loads(out.with_suffix(".json").read_text())["quality"] == 35
    assert "--quality is 35" in capfd.readouterr().err


def test_settings_of_a_solver_are_read_beside_auto(tmp_path: Path) -> None:
    """The first reading of the options, before the picture is looked at, knows the solver."""
    given = written(tmp_path / "in.png", noisy(photograph(side=64), 12.0))
    words = ("--noise", "auto", "--solver", "diffpir", "--steps", "2", "--lam", "2")
    assert run("restore", given, "--task", "sr2", *words, "-o", tmp_path / "out.png") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--task upscale --kernel auto", "--kernel is given"),
        ("--task upscale --quality auto", "--quality is given"),
        ("--task upscale --mask auto", "--mask auto is given"),
        ("--task inpaint --mask auto --mask-marks black", "--mask auto marks holes with white"),
        ("--task inpaint --mask auto", "No specks or scratches"),
        ("--task dejpeg --quality auto", "No trace of JPEG's blocks"),
        ("--task deblur --kernel auto", "sharp. A value is expected: --kernel gaussian:2"),
        ("--operator my.py:make --kernel auto", "--operator takes none"),
    ],
)
def test_what_is_not_found_or_not_taken_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    given = written(tmp_path / "in.png", photograph(side=96))
    assert run("restore", given, *words.split(), "-o", tmp_path / "out.png") == 2
    told = [line for line in capfd.readouterr().err.splitlines() if line.strip()]
    assert said in told[-1]
    assert not (tmp_path / "out.png").exists()


def test_blocks_of_a_cropped_jpeg_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photograph(side=160).astype(np.uint8).transpose(1, 2, 0)).save(
        tmp_path / "whole.jpg", quality=35
    )
    with Image.open(tmp_path / "whole.jpg") as image:
        image.crop((5, 3, 149, 147)).save(tmp_path / "in.png")
    words = ("--task", "dejpeg", "--quality", "auto", "-o", tmp_path / "out.png")
    assert run("restore", tmp_path / "in.png", *words) == 2
    said = capfd.readouterr().err
    assert "cropped by 5 rows and 3 columns" in said
    assert "hrdis fix --only jpeg" in said


def test_file_in_the_way_is_named_before_the_picture_is_looked_at(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hrdis.fixing.diagnose", lambda *_: pytest.fail("it was looked at"))
    given = written(tmp_path / "in.png", photograph(side=64))
    out = written(tmp_path / "out.png", photograph(side=64))
    assert run("restore", given, "--task", "deblur", "--kernel", "auto", "-o", out) == 2
    assert "out.png exists" in capfd.readouterr().err


def test_jpeg_of_any_size_is_restored(tmp_path: Path) -> None:
    given = tmp_path / "in.jpg"
    pixels = photograph(side=128)[:, :90, :77].round().astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(pixels).save(given, quality=30)
    out = tmp_path / "out.png"
    assert run("restore", given, "--task", "dejpeg", "--quality", "auto", "-o", out) == 0
    truth = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    error = [float((images.read(path).x - truth).square().mean()) for path in (given, out)]
    assert error[1] < 0.9 * error[0]
