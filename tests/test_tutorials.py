"""The tutorials: page, notebook and script are one, each runs, and what it prints is so."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "_site"
SCRIPTS = sorted((ROOT / "examples" / "tutorials").glob("*.py"))
pytestmark = pytest.mark.skipif(
    not SITE.exists(), reason="no docs/ here: not a clone of the repository"
)


@pytest.fixture
def tutorials(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that writes pages and notebooks."""
    monkeypatch.syspath_prepend(str(SITE))
    return importlib.import_module("tutorials")


def test_there_is_a_script_for_every_page(tutorials: ModuleType) -> None:
    pages = {path for path in tutorials.made() if path.suffix == ".md"}
    assert pages == set(tutorials.PAGES.glob("*.md")) and len(pages) == 4


def test_pages_and_notebooks_are_what_the_program_writes(tutorials: ModuleType) -> None:
    stale = []
    for path, text in tutorials.made().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
    assert not stale, "python docs/_site/tutorials.py writes them anew"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_tutorial_says_minutes_downloads_and_needs(tutorials: ModuleType, path: Path) -> None:
    facts = tutorials.read(path).facts
    assert re.search("second|minute|hour", facts["takes"]) and facts["downloads"] and facts["needs"]
    assert f"python examples/tutorials/{path.name}" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_tutorial_prints_what_it_says(
    tutorials: ModuleType, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.syspath_prepend(str(tmp_path))  # camera.py
    faults = tutorials.faults(path, tmp_path)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_has_the_form_that_jupyter_reads(path: Path) -> None:
    text = path.with_suffix(".ipynb").read_text(encoding="utf-8")
    found = json.loads(text)
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in found["cells"]}) == len(found["cells"])
    for cell in found["cells"]:
        common = {"cell_type", "id", "metadata", "source"}
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == common | code
    try:
        import nbformat
    except ImportError:
        return
    nbformat.validate(nbformat.reads(text, as_version=4))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_links_of_the_notebook_lead_somewhere(path: Path) -> None:
    cells = json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    broken = []
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        if not re.match(r"\w+:", link) and not (path.parent / link).exists():
            broken.append(link)
    assert not broken


@pytest.mark.parametrize(
    ("printed", "expected", "equal"),
    [
        (["PSNR: 22.2 dB"], ["PSNR: 22.3 dB"], True),
        (["PSNR: 22.2 dB"], ["PSNR: 23.3 dB"], False),
        (["6.1 s. Wrote a.png"], ["93 s. Wrote a.png"], True),
        (["6.1 s. Wrote a.png"], ["6.1 s. Wrote b.png"], False),
        (["adjoint 3.1e-18"], ["adjoint 9.9e-17"], True),
        (["one"], ["one", "two"], False),
    ],
)
def test_comparison_of_output_allows_for_other_machines_alone(
    tutorials: ModuleType, printed: list[str], expected: list[str], equal: bool
) -> None:
    assert tutorials.same(printed, expected) is equal
