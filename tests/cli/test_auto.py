"""``hrdis restore --noise auto`` and ``--mask auto``: what is found in the picture is taken."""

import json
from pathlib import Path

import numpy as np
import pytest

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
    assert "noise: yes. Noise of" in capfd.readouterr().err


def test_picture_without_noise_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = written(tmp_path / "in.png", photograph(side=128))
    out = tmp_path / "out.png"
    assert run("restore", given, "--task", "denoise", "--noise", "auto", "-o", out) == 2
    assert "has no noise to remove" in " ".join(capfd.readouterr().err.split())
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
