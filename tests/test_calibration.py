"""Calibrated intervals: the file, which restoration gets which, and what is drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import images, uncertainty
from hrdis.checkpoints import weights_sha256
from hrdis.presets import (
    CALIBRATION_FILE,
    Calibrated,
    Calibration,
    Interval,
    choose_auto,
    embedded,
    interval_for,
    read_calibration,
    write_calibration,
)
from tests.common.toys import normal

SIDE = 16
ROWS = (
    Calibrated(("denoise",), "fire", {2: 4.0, 8: 2.0}, 0.01, noise=0.1),
    Calibrated(("denoise",), "fire", {2: 6.0, 8: 3.0}, 0.03, noise=0.2),
    Calibrated(("inpaint-10-20", "inpaint-scratches"), "cm4ir", {8: 2.5}, 0.004),
)
KNOWN = Calibration("mine", "1" * 64, 0.9, "a command", "2026-11-29", "photographs", ROWS)


# ---- which one serves ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("families", "noise", "solver", "samples", "expected"),
    [
        (["denoise"], 0.1, "fire", 8, (2.0, 0.01)),
        (["denoise"], 0.1, "fire", 100, (2.0, 0.01)),
        (["denoise"], 0.1, "fire", 7, (4.0, 0.01)),
        (["denoise"], 0.2, "fire", 8, (3.0, 0.03)),
        (["denoise"], 0.15, "fire", 8, (2.5, 0.02)),  # half way
        (["denoise"], 0.215, "fire", 8, (3.0, 0.03)),  # a little beyond the last
        (["denoise"], 0.095, "fire", 8, (2.0, 0.01)),
        (["inpaint-scratches", "inpaint"], 0.0, "cm4ir", 8, (2.5, 0.004)),
    ],
)
def test_interval_is_that_of_measurement_noise_solver_and_count(
    families: list[str], noise: float, solver: str, samples: int, expected: tuple[float, float]
) -> None:
    found = interval_for(KNOWN, families, noise, solver, samples)
    assert found is not None
    assert (found.scale, found.floor) == pytest.approx(expected) and found.level == 0.9


@pytest.mark.parametrize(
    ("families", "noise", "solver", "samples"),
    [
        (["denoise"], 0.3, "fire", 8),
        (["denoise"], 0.05, "fire", 8),
        (["denoise"], 0.0, "fire", 8),
        (["denoise"], 0.1, "ddnm", 8),
        (["denoise"], 0.1, "fire", 1),
        (["inpaint-box", "inpaint-scratches"], 0.0, "cm4ir", 8),  # the first family alone counts
        (["inpaint-scratches"], 0.01, "cm4ir", 8),
        (["inpaint-scratches"], 0.0, "cm4ir", 4),
        ([], 0.1, "fire", 8),
    ],
)
def test_nothing_is_known_of_what_was_not_tried(
    families: list[str], noise: float, solver: str, samples: int
) -> None:
    assert interval_for(KNOWN, families, noise, solver, samples) is None


# ---- the file -----------------------------------------------------------------------------------


def test_file_holds_what_was_written(tmp_path: Path) -> None:
    row = replace(ROWS[0], settings={"steps": 10, "own_noise": None, "aim": "mean"})
    write_calibration(tmp_path / CALIBRATION_FILE, replace(KNOWN, rows=(row,)))
    found = read_calibration(tmp_path / CALIBRATION_FILE)
    assert found.rows[0].settings == {"steps": 10, "aim": "mean"}  # TOML has no word for None
    assert replace(found.rows[0], settings=None) == ROWS[0]
    assert replace(found, rows=()) == replace(KNOWN, rows=())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("level = 0.9", "level = 1.5", "level is 1.5; a share between 0 and 1 is expected"),
        ("floor = 0.01", "floor = -1", "floor is -1.0"),
        ("8 = 2.0", "8 = 0", "scale has 8 = 0"),
        ("8 = 2.0", "many = 2.0", "scale has many = 2.0"),
        ('solver = "fire"', "solver = 3", "solver is 3; the name of a solver is expected"),
        ("format = 1", "format = 2", "format is 2; 1 is expected"),
        ("format = 1", "form", "is not TOML"),
        ("floor = 0.01", "floor = 0.01\nroof = 1", "roof is unknown"),
    ],
)
def test_damaged_file_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / CALIBRATION_FILE
    write_calibration(path, replace(KNOWN, rows=ROWS[:1]))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"calibration\.toml") as caught:
        read_calibration(path)
    assert said in str(caught.value)
    assert "`python studies/uncertainty.py calibrate` writes such a file" in str(caught.value)


# ---- restorations -------------------------------------------------------------------------------


@pytest.fixture
def prior() -> hrdis.Prior:
    """An exact prior with the settings of the embedded one, and a calibration of its own."""
    prior = hrdis.priors.Gaussian(torch.zeros(3, SIDE, SIDE), 0.25)
    rows = (
        Calibrated(("denoise",), "overrelaxed", {2: 3.0}, 0.01, noise=0.1),
        Calibrated(("inpaint-10-20",), "overrelaxed", {2: 2.0}, 0.02),
    )
    prior.presets = replace(embedded(), calibration=replace(KNOWN, rows=rows))
    return prior


def picture() -> torch.Tensor:
    return (normal(1, 3, SIDE, SIDE) / 4).clamp(-1, 1).float()


def test_half_width_is_scale_times_deviation_and_floor(prior: hrdis.Prior) -> None:
    found = hrdis.restore(picture(), "denoise", noise=0.1, samples=3, prior=prior)
    assert found.interval == Interval(0.9, 3.0, 0.01)
    assert found.half_width is not None and found.deviation is not None
    torch.testing.assert_close(found.half_width, 3 * (found.deviation + 0.01))
    assert found.record["interval"] == {"level": 0.9, "scale": 3.0, "floor": 0.01}
    assert "90% of the colour values of photographs lay within" in found.record["interval_reason"]


def test_what_was_observed_is_certain(prior: hrdis.Prior) -> None:
    hole = np.zeros((SIDE, SIDE), bool)
    hole[4:8, 4:12] = True
    found = hrdis.restore(picture(), "inpaint", mask=hole, samples=2, prior=prior)
    assert found.half_width is not None
    assert bool((found.half_width[~hole] == 0).all())
    assert bool((found.half_width[hole] >= 2 * 0.02).all())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"noise": 0.3}, "calibrated for noise of 25.5 grey levels"),
        ({"noise": 0.1, "solver": "ddrm"}, "only the solver auto at normal effort is calibrated"),
        ({"noise": 0.1, "effort": "low"}, "only the solver auto at normal effort is calibrated"),
    ],
)
def test_restoration_says_why_no_interval_is_known(
    prior: hrdis.Prior, options: dict, said: str
) -> None:
    found = hrdis.restore(picture(), "denoise", samples=2, prior=prior, **options)
    assert found.interval is None and found.half_width is None
    assert said in found.record["interval_reason"]
    assert found.record["interval"] is None


def test_single_sample_has_no_interval(prior: hrdis.Prior) -> None:
    found = hrdis.restore(picture(), "denoise", noise=0.1, prior=prior)
    assert found.half_width is None and found.record["interval_reason"] is None


def test_prior_without_calibration_says_so(prior: hrdis.Prior) -> None:
    prior.presets = replace(embedded(), calibration=None)
    found = hrdis.restore(picture(), "denoise", noise=0.1, samples=2, prior=prior)
    assert found.half_width is None
    assert "has no calibration" in found.record["interval_reason"]


def test_map_shows_half_widths_where_they_are_known() -> None:
    deviation = torch.linspace(0, 0.1, SIDE * SIDE).reshape(SIDE, SIDE)
    alone = uncertainty.deviation_map(deviation)
    calibrated = uncertainty.deviation_map(deviation, 3 * deviation)
    assert alone.size == calibrated.size
    assert not np.array_equal(np.asarray(alone), np.asarray(calibrated))  # another scale and label


# ---- the embedded model's -----------------------------------------------------------------------

ANEW = "python studies/uncertainty.py draw and calibrate make it anew"


def test_embedded_calibration_is_of_the_weights_that_are_here() -> None:
    calibration = embedded().calibration
    assert calibration is not None
    assert calibration.weights == weights_sha256("default"), ANEW


def test_embedded_calibration_is_of_the_solvers_that_auto_takes_now() -> None:
    calibration = embedded().calibration
    assert calibration is not None
    for row in calibration.rows:
        family = row.families[0]
        if family.startswith("inpaint"):
            families = ["inpaint"]
        elif family.startswith("deblur"):
            families = list(hrdis.repairs.resolve("deblur", kernel="box:5").presets)
        else:
            families = [family]
        settings = choose_auto(families, row.noise, "normal", 8, embedded()).settings
        assert settings.name == row.solver, ANEW
        for name, value in (row.settings or {}).items():
            assert getattr(settings, name) == value, (row.families, name, ANEW)


def test_command_writes_a_map_of_calibrated_half_widths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hrdis import cli

    images.save(tmp_path / "small.png", picture())
    words = ["restore", str(tmp_path / "small.png"), "--task", "denoise", "--noise", "25"]
    assert cli.main([*words, "--samples", "2", "-o", str(tmp_path / "large.png")]) == 0
    text = " ".join(capsys.readouterr().err.split())
    assert "90% of the colour values of pieces of" in text
    assert Image.open(tmp_path / "large-uncertainty.png").size[0] >= 600
