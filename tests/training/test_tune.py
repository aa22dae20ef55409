"""The search of settings for a prior, on a tiny prior and small pictures, in seconds."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import presets
from hrdis.cli import main
from hrdis.presets import Presets, Row
from hrdis.training import tune as tuning
from hrdis.training.trials import TrialFile, TuneTrial, brief, gain
from hrdis.training.tune import TuneSettings, around, grid, tune, with_calls

QUICK = TuneSettings(
    solvers=("ddrm",), tasks=("sr4",), noise=(0.0, 0.05), calls=(2, 3), size=16, limit=2
)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.Generator(np.random.PCG64(0))
    for k in range(3):
        pixels = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((30, 25)).save(folder / f"{k}.png")
    return folder


@pytest.fixture(autouse=True)
def prior(monkeypatch):
    """A prior whose network is free, in the place of the one inside the package."""
    tiny = hrdis.priors.Gaussian(torch.zeros(3, 16, 16), 0.1)
    tiny.name = "default"
    monkeypatch.setattr(tuning, "load_prior", lambda name: tiny)
    return tiny


def trials_of(out):
    with out.with_suffix(".trials.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_search_writes_a_row_for_every_level_and_keeps_every_trial(photos, tmp_path):
    seen, out = [], tmp_path / "presets.toml"
    found = tune("default", photos, out, QUICK, seen.append, "hrdis tune it")
    assert presets.read(out) == found
    assert [(row.solver, row.key) for row in found.rows] == [
        ("ddrm", "sr4"),
        ("ddrm", "sr4-noise05"),
    ]
    (search,) = found.searches
    assert (search["command"], search["trials"]) == ("hrdis tune it", len(seen))
    assert len(trials_of(out)) == len(seen) > 8
    assert {row.search for row in found.rows} == {search["name"]}


def test_row_is_the_best_on_the_crops_of_the_last_round(photos, tmp_path):
    out = tmp_path / "presets.toml"
    found = tune("default", photos, out, replace(QUICK, noise=(0.05,)))
    rows = trials_of(out)
    last = [row for row in rows if row["crops"] == rows[-1]["crops"]]
    assert 2 <= len(last) < len(rows)
    best = max(last, key=lambda row: float(row["gain"]))
    assert brief(found.of(hrdis.DDRM)["sr4-noise05@default"]) == best["settings"]


def test_search_that_was_stopped_goes_on(photos, tmp_path):
    whole = tune("default", photos, tmp_path / "whole.toml", QUICK)
    count = len(trials_of(tmp_path / "whole.toml"))
    done, out = [], tmp_path / "presets.toml"

    def interrupt(trial):
        done.append(trial)
        if len(done) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune("default", photos, out, QUICK, interrupt)
    with out.with_suffix(".trials.csv").open("a") as file:
        file.write("a line that a kill cut")
    rest = []
    found = tune("default", photos, out, QUICK, rest.append)
    assert len(rest) == count - 4
    assert [row.settings for row in found.rows] == [row.settings for row in whole.rows]
    assert tune("default", photos, out, QUICK, lambda _: pytest.fail("a trial ran twice")) == found


def test_search_without_time_writes_nothing(photos, tmp_path):
    out = tmp_path / "presets.toml"
    assert tune("default", photos, out, replace(QUICK, hours=0.0)).rows == ()
    assert not out.exists()


def test_rows_that_were_not_searched_stay(photos, tmp_path):
    out = tmp_path / "presets.toml"
    other = Row("hrdis", "inpaint", {"steps": 7})
    presets.write(out, Presets("default", (other, Row("ddrm", "sr4", {"steps": 1}))))
    found = tune("default", photos, out, replace(QUICK, noise=(0.0,)))
    assert found.rows[0] == other
    assert [row.key for row in found.rows] == ["inpaint", "sr4"]
    assert found.rows[1].search


def test_file_of_another_prior_is_refused(photos, tmp_path):
    presets.write(tmp_path / "presets.toml", Presets("mine", ()))
    with pytest.raises(ValueError, match=r"is for the prior 'mine', not for 'default'"):
        tune("default", photos, tmp_path / "presets.toml", QUICK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solvers": ("hrdiss",)}, r"No search is known for the solver 'hrdiss'\. One of hrdis"),
        ({"tasks": ("sr5",)}, r"No search is known for the task 'sr5'\. One of "),
        ({"noise": (2.0,)}, r"Levels from 0 to 1 are expected"),
        ({"calls": ()}, r"calls, size and limit are expected to be 1 or more"),
        ({"limit": 0}, r"calls, size and limit are expected to be 1 or more"),
        ({"size": 64}, r"0\.png is smaller than 64 x 64"),
    ],
)
def test_bad_input_is_refused_before_any_work(photos, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        tune("default", photos, tmp_path / "presets.toml", replace(QUICK, **change))
    assert not list(tmp_path.glob("presets*"))


def test_file_that_holds_no_trials_is_refused(photos, tmp_path):
    (tmp_path / "presets.trials.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"presets\.trials\.csv is not a file of trials"):
        tune("default", photos, tmp_path / "presets.toml", QUICK)


def test_command_searches_and_restores_with_what_it_found(photos, tmp_path, capsys):
    out = tmp_path / "presets.toml"
    options = ["--solvers", "ddrm", "--tasks", "sr4", "--noise", "0", "--calls", "2"]
    size = ["--size", "16", "--limit", "1", "--hours", "1"]
    assert main(["tune", "default", str(photos), "-o", str(out), *options, *size]) == 0
    said = capsys.readouterr()
    assert "1 rows. Wrote" in said.err + said.out
    (row,) = presets.read(out).rows
    assert (row.solver, row.family, row.noise) == ("ddrm", "sr4", 0.0)


@pytest.mark.parametrize("solver", tuning.GRID)
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_every_setting_that_is_tried_is_valid(solver, noise):
    cls = hrdis.SOLVERS[solver][0]
    schedule = hrdis.Schedule.linear()
    tried = list(grid(cls, noise, 40))
    assert len(tried) == len(set(tried)) >= 2 or solver in ("pigdm", "mmps")
    for settings in tried:
        assert settings.calls(settings.times(schedule), schedule) <= 40
    near = list(around(tried[0], (40, 100)))
    assert near and tried[0] not in near


def test_calls_are_network_calls():
    schedule = hrdis.Schedule.linear()
    settings = with_calls(hrdis.DAPS(ode_steps=4, start=400, sigma_min=0.02), 40)
    assert settings.steps == 10
    assert settings.calls(settings.times(schedule), schedule) <= 40


@pytest.mark.parametrize(
    ("one", "mean", "noisy", "expected"),
    [
        (1.0, 2.0, False, 2.0),
        (-1.0, 2.0, False, 1.0),
        (1.0, 2.0, True, 1.5),
        (-1.0, 2.0, True, 0.5),
    ],
)
def test_gain_ranks_by_the_mean_and_punishes_a_bad_sample(one, mean, noisy, expected):
    scores = {"psnr_one": 30 + one, "pooled_one": 20 + one}
    scores |= {"psnr_mean_of_8": 30 + mean, "pooled_mean_of_8": 20 + mean}
    assert gain(scores, 50.0, noisy) == pytest.approx(expected)


def test_trials_are_read_as_they_were_written(tmp_path):
    trial = TuneTrial("ab", "sr4", 0.05, "ddrm", "DDRM(steps=2)", *(0.1 * k for k in range(9)))
    trials = TrialFile(tmp_path / "trials.csv")
    trials.add(trial)
    assert list(TrialFile(tmp_path / "trials.csv").known.values()) == [trial]
