"""The public names, and what importing them costs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hrdis

EXAMPLE = Path(__file__).parents[1] / "examples" / "typed_use.py"
PUBLIC = [
    "operators",
    "noise",
    "priors",
    "schedule",
    "rng",
    "images",
    "metrics",
    "Problem",
    "Prior",
    "Schedule",
    "Solver",
    "Step",
    "Result",
    "load_prior",
    "measure",
    "solve",
    "iterate",
    "SOLVERS",
    "TASKS",
    "HRDIS",
    "REDDiff",
    "CR",
    "DDNM",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_exists_and_is_listed(name):
    assert getattr(hrdis, name) is not None
    assert name in hrdis.__all__
    assert name in dir(hrdis)


@pytest.mark.parametrize("name", sorted({*hrdis._HOME, *hrdis.__all__}))
def test_every_name_of_the_table_resolves(name):
    assert getattr(hrdis, name) is not None


def test_names_for_type_checkers_are_the_names_that_resolve():
    """The star is the table of solvers, which the next test compares."""
    tree = ast.parse(Path(hrdis.__file__).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {alias.asname for n in block.body for alias in n.names if alias.name != "*"}
    assert typed <= set(hrdis._HOME)


def test_public_names_are_those_of_the_table_and_the_solvers_but_for_two_modules():
    """`hrdis.solvers` and `hrdis.tasks` resolve, but SOLVERS and TASKS are what people need."""
    solvers = {cls.__name__ for cls, _ in hrdis.SOLVERS.values()}
    assert set(hrdis.__all__) == {*hrdis._HOME, *solvers} - {"solvers", "tasks"}
    assert len(hrdis.__all__) == len(set(hrdis.__all__))


def test_every_solver_of_the_folder_is_in_the_table():
    """Its key is the name of its file; base and papers hold none."""
    files = {path.stem for path in (Path(hrdis.__file__).parent / "solvers").glob("*.py")}
    assert set(hrdis.SOLVERS) == files - {"__init__", "base", "papers"}


def test_star_gives_a_solver():
    names: dict[str, object] = {}
    exec("from hrdis import *", names)
    assert names["DDNM"] is hrdis.DDNM and "find" not in names


@pytest.mark.slow
@pytest.mark.skipif(not EXAMPLE.exists(), reason="no examples/ here: not a clone")
def test_a_users_lines_pass_the_strict_type_checker(tmp_path):
    """As a user runs it: no plugin, no configuration of ours."""
    pytest.importorskip("mypy", reason="mypy is not installed: pip install 'hrdis[dev]'")
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    command = ["mypy", "--strict", "--config-file", "mypy.ini", "--follow-imports", "silent"]
    env = os.environ | {"MYPYPATH": str(Path(hrdis.__file__).parents[1])}
    found = subprocess.run(
        [sys.executable, "-m", *command, str(EXAMPLE)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    assert (Path(hrdis.__file__).parent / "py.typed").exists()


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match=r"^module 'hrdis' has no attribute 'HRDISS'\. Did you mean 'HRDIS'\?$"
    ):
        _ = hrdis.HRDISS
    with pytest.raises(AttributeError, match=r"^module 'hrdis' has no attribute '__wrapped__'$"):
        _ = hrdis.__wrapped__


def test_solvers_are_classes_with_presets_under_lower_case_names():
    assert {"hrdis", "reddiff", "cr", "ddnm"} <= set(hrdis.SOLVERS)
    assert all(name == name.lower() for name in hrdis.SOLVERS)
    assert all(
        issubclass(cls, hrdis.Solver) and isinstance(presets, dict)
        for cls, presets in hrdis.SOLVERS.values()
    )


def loaded_after(code: str) -> set[str]:
    """Packages that a fresh interpreter has loaded after the code."""
    env = os.environ | {"PYTHONPATH": str(Path(hrdis.__file__).parents[1])}
    code += "\nimport sys; print(*{name.split('.')[0] for name in sys.modules})"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    return set(out.stdout.split())


def test_importing_the_package_loads_nothing():
    assert not loaded_after("import hrdis") & {"torch", "numpy", "diffusers", "pydantic", "PIL"}


def test_solvers_operators_and_exact_priors_load_no_network_library():
    code = (
        "import hrdis; hrdis.SOLVERS, hrdis.TASKS, hrdis.solve, hrdis.operators.masks, "
        "hrdis.priors.Gaussian"
    )
    assert not loaded_after(code) & {
        "diffusers",
        "transformers",
        "matplotlib",
        "skimage",
        "torchvision",
        "gradio",
    }


def test_embedded_prior_and_a_restoration_with_it_load_no_network_library():
    code = (
        "import torch, hrdis; prior = hrdis.load_prior('default'); y = torch.zeros(1, 3, 4, 4); A "
        "= hrdis.operators.SuperResolution(scale=4); hrdis.solve(hrdis.DDNM(steps=2, start=50), "
        "prior, hrdis.Problem(y, A), seeds=[0])"
    )
    assert not loaded_after(code) & {
        "diffusers",
        "transformers",
        "matplotlib",
        "skimage",
        "scipy",
        "torchvision",
    }
