"""Mutants of the solvers: each must be makeable, or the page of mutants measures nothing."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hrdis

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture(scope="module")
def mutants():
    pytest.importorskip("hypothesis")
    sys.path.insert(0, str(STUDIES))
    try:
        spec = importlib.util.spec_from_file_location("mutants", STUDIES / "mutants.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(STUDIES))
    return module


def test_every_pattern_stands_once_in_its_file(mutants):
    assert mutants.missing() == []


def test_pattern_that_is_not_found_is_named(mutants, tmp_path):
    sound = (mutants.SOLVERS / "cr.py").read_text()
    (tmp_path / "cr.py").write_text(sound.replace("beta=0.0", "beta=0.5"))
    (line,) = mutants.missing(["cr"], tmp_path)
    assert line == "cr: 'beta=0.0' stands 0 times in the file; once is expected."


def test_script_refuses_before_any_work():
    command = [sys.executable, str(STUDIES / "mutants.py"), "--solvers", "hrdiss", "--no-write"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("hrdiss: no mutants are known. One of base, hrdis")


def test_source_put_in_changes_what_runs_and_the_sound_one_restores_it(mutants):
    module = importlib.import_module("hrdis.solvers.ddnm")
    sound = Path(module.__file__).read_text(encoding="utf-8")
    prior = hrdis.priors.Gaussian(torch.zeros(1, 4, 4), 0.25)
    problem = hrdis.measure(hrdis.operators.SuperResolution(2), torch.ones(1, 1, 4, 4), seeds=[0])

    def result():
        return hrdis.solve(hrdis.DDNM(steps=2), prior, problem, seeds=[0]).x

    before = result()
    try:
        mutants.put_in(module, sound.replace("x0_hat - A.pinv(r)", "x0_hat + A.pinv(r)"))
        assert not torch.equal(result(), before)
    finally:
        mutants.put_in(module, sound)
    assert torch.equal(result(), before)
