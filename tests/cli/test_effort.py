"""``hrdis restore --effort`` and the solver auto, from the command to the record."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hrdis
from hrdis.presets import Auto, Presets, write
from tests.cli.test_cli import photo, run
from tests.cli.test_cli import prior as prior

CALLS = {"low": 2, "normal": 3, "high": 4}


@pytest.fixture
def compared(tmp_path: Path, prior: str) -> str:
    """The tiny network with a file that says which solvers are the best."""
    folder = tmp_path / "compared"
    shutil.copytree(prior, folder)
    autos = (
        Auto("sr2", "ddnm", CALLS),
        Auto("denoise", "fire", dict.fromkeys(CALLS, 1), 0.1, {"own_noise": "noise"}, "diffpir"),
    )
    write(folder / "presets.toml", Presets("compared", (), autos=autos))
    return str(folder)


def restored(folder: Path, *words: str) -> dict[str, object]:
    """Restore a picture and return the record."""
    given, out = photo(folder / "in.png"), folder / "out.png"
    assert run("restore", given, "-o", out, *words) == 0
    record: dict[str, object] = json.loads(out.with_suffix(".json").read_text())
    return record


@pytest.mark.parametrize("effort", CALLS)
def test_auto_takes_the_solver_and_the_calls_of_its_row(
    tmp_path: Path, compared: str, effort: str, capfd: pytest.CaptureFixture[str]
) -> None:
    record = restored(tmp_path, "--task", "sr2", "--prior", compared, "--effort", effort)
    assert (record["solver"], record["effort"]) == ("ddnm", effort)
    assert record["network_calls"] == CALLS[effort]
    assert record["preset"] == f"sr2-{effort}@compared"
    assert str(record["preset_reason"]) in " ".join(capfd.readouterr().err.split())


def test_effort_is_normal_by_default_and_python_gives_the_same(
    tmp_path: Path, compared: str
) -> None:
    record = restored(tmp_path, "--task", "sr2", "--prior", compared)
    assert record["network_calls"] == CALLS["normal"]
    found = hrdis.restore(tmp_path / "in.png", "sr2", prior=compared)
    found.save(tmp_path / "python.png")
    assert (tmp_path / "python.png").read_bytes() == (tmp_path / "out.png").read_bytes()
    assert found.record["preset_reason"] == record["preset_reason"]


def test_solver_by_name_and_a_prior_without_rows_get_what_they_got(
    tmp_path: Path, compared: str, prior: str
) -> None:
    named = restored(
        tmp_path, "--task", "sr2", "--prior", compared, "--solver", "hrdis", "--steps", "2"
    )
    named_pixels = (tmp_path / "out.png").read_bytes()
    plain = restored(tmp_path, "--task", "sr2", "--prior", prior, "--steps", "2")
    assert (named["solver"], named["effort"]) == ("hrdis", None)
    assert (plain["solver"], plain["effort"]) == ("hrdis", "normal")
    assert (tmp_path / "out.png").read_bytes() == named_pixels


def test_samples_differ_where_the_best_picture_is_one_mean(tmp_path: Path, compared: str) -> None:
    words = ["--task", "denoise", "--noise", "0.08", "--prior", compared]
    one = restored(tmp_path, *words)
    assert (one["solver"], one["network_calls"]) == ("fire", 1)
    assert one["settings"]["own_noise"] == 0.08  # type: ignore[index]
    two = restored(tmp_path, *words, "--samples", "2", "--steps", "2")
    assert two["solver"] == "diffpir"
    assert "draws the 2 samples" in str(two["preset_reason"])
    first, second = (np.asarray(Image.open(tmp_path / name)) for name in ("out.png", "out-2.png"))
    assert not np.array_equal(first, second)


def test_record_of_auto_is_replayed_to_the_same_pixels(tmp_path: Path, compared: str) -> None:
    restored(tmp_path, "--task", "sr2", "--prior", compared, "--effort", "low")
    assert run("replay", tmp_path / "out.json") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--effort", "much"], "--effort is 'much'. One of low, normal, high is expected."),
        (["--effort", "low", "--solver", "ddnm"], "--effort low is for the solver auto"),
        (["--solver", "atuo"], "Did you mean 'auto'?"),
    ],
)
def test_wrong_effort_is_refused_in_one_line(
    tmp_path: Path, words: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    given, out = photo(tmp_path / "in.png"), tmp_path / "out.png"
    assert run("restore", given, "-o", out, "--task", "sr2", *words) == 2
    said = capfd.readouterr().err
    assert message in said and len(said.strip().splitlines()) == 1
    assert not out.exists()
