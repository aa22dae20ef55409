"""The examples, and the Python of the pages that say "run by the tests": each runs, and what it
prints is so.
"""

import re
import runpy
from pathlib import Path

import pytest
import torch
from PIL import Image

import hrdis

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def shown(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


def numbers(pattern: str, text: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, text)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_says_how_it_is_run(path: Path) -> None:
    assert f"python examples/{path.name}" in path.read_text(encoding="utf-8").split('"""')[1]


def test_own_solver_lands_near_the_posterior_mean(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(ROOT / "examples" / "own_solver.py", capsys)
    away = numbers(r": (\d\.\d\d) of the posterior mean", out)
    assert len(away) == 3 and max(away) < 0.15  # 0.07, 0.06, and DDRM's 0.07
    assert "Landweber needs a LinearOperator, but A is a Function" in out


def test_own_noise_has_the_level_it_tells_and_depends_on_the_seed_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = shown(ROOT / "examples" / "own_noise.py", capsys)
    measured, told = numbers(r"(0\.\d+)", out.splitlines()[0])
    assert abs(measured / told - 1) < 0.02  # 24 576 draws: 1 % is five deviations
    assert "same noise: True" in out and "finite: [True, True]" in out


def test_own_prior_denoises_and_the_network_does_better(capsys: pytest.CaptureFixture[str]) -> None:
    noisy, spectral, network = numbers(
        r": (\d+\.\d) dB", shown(ROOT / "examples" / "own_prior.py", capsys)
    )
    assert noisy + 2 < spectral < network  # 20.9, 23.7, 28.2


def test_own_task_fills_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(ROOT / "examples" / "own_task.py", capsys)
    filled, grey = numbers(r": (\d+\.\d) dB", out)
    assert "preset inpaint@default" in out and filled > grey + 10  # 36.4, 18.5


@pytest.mark.parametrize("name", ["solver", "operator", "noise", "prior", "task"])
def test_page_shows_the_example_as_it_is(name: str) -> None:
    page = ROOT / "docs" / "how-to" / "extend.md"
    if not page.exists():
        pytest.skip("no docs/ here: not a clone of the repository")
    code = (ROOT / "examples" / f"own_{name}.py").read_text(encoding="utf-8").split('"""', 2)[2]
    assert f"```python\n{code.strip()}\n```" in page.read_text(encoding="utf-8")


RUN = [
    "how-to/step-by-hand.md",
    "how-to/mask.md",
    "how-to/noise-level.md",
    "how-to/deblur.md",
    "how-to/folder.md",
    "how-to/uncertainty.md",
    "how-to/diffusers.md",
]


@pytest.mark.parametrize("page", RUN)
def test_python_of_the_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (ROOT / "docs" / page).exists():
        pytest.skip("no docs/ here: not a clone of the repository")
    monkeypatch.chdir(tmp_path)
    # The files that the pages take for granted, small where a network sees them.
    with Image.open(Path(hrdis.__file__).parent / "pictures" / "coffee.jpg") as photo:
        photo.save("photo.jpg")
        photo.crop((80, 80, 112, 112)).save("photo.png")
        photo.crop((0, 0, 32, 32)).save("grainy.png")
        Path("small").mkdir()
        Path("large").mkdir()
        photo.crop((80, 80, 96, 92)).save("small/a.png")
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert blocks
    with torch.random.fork_rng():  # diffusers draws the weights of a new network from torch's own
        exec(compile("\n".join(blocks), page, "exec"), {})
