"""Measurements that are no pictures, from `hrdis degrade` to `hrdis restore`, as arrays."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import images
from hrdis.restoration import FileOptions, prepare
from hrdis.tasks import TASKS
from tests.cli.test_cli import FAST, photo, run
from tests.cli.test_cli import prior as prior
from tests.common.toys import rel

ARRAYS = [name for name, task in TASKS.items() if not task.picture]
SOLVER = hrdis.HRDIS(steps=3, start=300)

every_task = pytest.mark.parametrize("task", ARRAYS)


def degrade(folder: Path, task: str, mode: str = "RGB", *words: object) -> Path:
    photo(folder / "in.png", mode, (32, 32))
    y = folder / "y.npy"
    assert run("degrade", folder / "in.png", "--task", task, "-o", y, *words) == 0
    return y


def job(folder: Path, y: Path, task: str, prior: str):
    options = FileOptions(
        image=y, output=folder / "out.png", task=task, solver="hrdis", prior=prior
    )
    return prepare(options, SOLVER)


@every_task
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_what_degrade_wrote_is_restored(tmp_path: Path, prior: str, task: str, mode: str) -> None:
    y = degrade(tmp_path, task, mode)
    words = ["--samples", 2, "--prior", prior, *FAST]
    assert run("restore", y, "--task", task, "-o", tmp_path / "out.png", *words) == 0
    assert Image.open(tmp_path / "out.png").size == (32, 32)
    assert Image.open(tmp_path / "out.png").mode == mode
    assert (tmp_path / "out-overview.png").exists()


@every_task
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_operator_is_the_one_that_measured(
    tmp_path: Path, prior: str, task: str, mode: str
) -> None:
    """With the seed in the record, A explains y: a matrix of another seed is off by all of y."""
    y = degrade(tmp_path, task, mode, "--seed", 3)
    problem = job(tmp_path, y, task, prior).problem
    x = images.load(tmp_path / "in.png")
    assert rel(problem.A(x), problem.y) < 1e-4  # the angles of CT are kept in float32 here


@every_task
def test_noise_is_added_to_the_array(tmp_path: Path, task: str) -> None:
    clean = np.load(degrade(tmp_path, task))
    noisy = np.load(degrade(tmp_path, task, "RGB", "--noise", 0.05))
    added = (noisy - clean)[noisy != clean]
    assert added.std() == pytest.approx(0.1, rel=0.15)  # of some 700 draws, 4 deviations


def test_record_of_the_restoration_keeps_the_seed_of_the_operator(
    tmp_path: Path, prior: str
) -> None:
    """It takes the place of the other record where both have one name."""
    y = degrade(tmp_path, "cs25", "RGB", "--seed", 3)
    words = ["--task", "cs25", "-o", tmp_path / "y.png", "--prior", prior, *FAST]
    assert run("restore", y, *words) == 0
    assert json.loads((tmp_path / "y.json").read_text())["operator_seed"] == 3
    assert job(tmp_path, y, "cs25", prior).inputs.operator_seed == 3


@pytest.mark.parametrize("record", ["", "{", '{"task": "cs10", "seed": 3}', '{"task": "cs25"}'])
def test_array_without_a_record_of_its_task_is_taken_for_seed_0(
    tmp_path: Path, prior: str, record: str
) -> None:
    y = degrade(tmp_path, "cs25")
    (tmp_path / "y.json").write_text(record)
    with pytest.warns(UserWarning, match=r"'cs25' is taken to be drawn from seed 0\."):
        assert job(tmp_path, y, "cs25", prior).inputs.operator_seed == 0


def test_array_is_restored_from_python(tmp_path: Path, prior: str) -> None:
    y = degrade(tmp_path, "cs25")
    with pytest.warns(UserWarning, match="seed 0"):
        of_tensor = hrdis.restore(torch.from_numpy(np.load(y)), "cs25", prior=prior, solver=SOLVER)
    of_file = hrdis.restore(y, "cs25", prior=prior, solver=SOLVER)
    assert torch.equal(of_tensor.samples, of_file.samples)


BAD = {
    "restore in.png --task cs25 -o out.png": (
        "The task 'cs25' does not measure a picture. An array (.npy, .pt, .safetensors)"
    ),
    "restore y.npy --task cs10 -o out.png": "which the task 'cs10' does not measure",
    "restore y.npy --task phase -o out.png": "which the task 'phase' does not measure",
    "restore y.npy --task mri4 -o out.png": "which the task 'mri4' does not measure",
    "restore y.npy --task ct60 -o out.png": "which the task 'ct60' does not measure",
    "restore y.npy --task cs25 --mask in.png -o out.png": "--mask is given, but the task 'cs25'",
    "restore huge.npy --task cs10 -o out.png": "92 megapixels",
    "degrade in.png --task cs25 -o y.png": "A .npy file is expected: -o y.npy",
    "degrade in.png --task phase -o nowhere.npy/y.npy": "Nothing can be written to nowhere.npy",
}


@pytest.mark.parametrize("words", BAD)
def test_array_that_does_not_fit_is_refused(
    tmp_path: Path, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    degrade(tmp_path, "cs25")
    (tmp_path / "nowhere.npy").write_text("a file")
    np.save("huge.npy", np.zeros((1, 1, 300, 300, 102), np.int8))
    before = sorted(path.name for path in tmp_path.iterdir())
    capfd.readouterr()
    assert run(*words.split()) == 2
    said = capfd.readouterr().err
    assert BAD[words] in " ".join(said.split()) and "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == before
