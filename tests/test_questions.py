"""Twelve questions that an engineer asks before taking a library: each is answered on a page that
is at most two links away from README.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").exists(), reason="no docs/ here: not a clone of the repository"
)

#: Question, the page, and a phrase of its answer.
QUESTIONS = [
    (
        "Who owns the pictures that I restore?",
        "docs/explanation/licences.md",
        "The project claims no rights in pictures that you restore.",
    ),
    (
        "May a product contain it?",
        "docs/explanation/licences.md",
        "If you pass them on, CC BY-SA 4.0 asks you to name their source",
    ),
    (
        "Which systems, Python and torch does it run on?",
        "docs/install.md",
        "| Linux, x86-64, CPU, Python 3.11, torch 2.13 | all tests |",
    ),
    ("What was tried on a GPU?", "docs/install.md", "| CUDA, Apple's GPU (`mps`) | untested |"),
    (
        "How do names retire, and for how long do old ones work?",
        "docs/install.md",
        "keeps working for one minor version and warns with the line to write instead",
    ),
    (
        "Whom do I tell of a security hole?",
        "SECURITY.md",
        "Open a private security advisory where the repository is hosted",
    ),
    ("Can a model that I downloaded run code?", "SECURITY.md", "it must not run code"),
    (
        "When does it use the network?",
        "SECURITY.md",
        "**Downloads** happen on `hrdis model download` only",
    ),
    (
        "How many minutes, and how much memory, for 12 megapixels?",
        "docs/how-to/large-pictures.md",
        "A photograph of 12 megapixels",
    ),
    (
        "Do I get the same pixels again?",
        "docs/explanation/reproducibility.md",
        "| the batch, the order, the number of samples drawn before | equal |",
    ),
    (
        "Can several threads use it at once?",
        "docs/explanation/reproducibility.md",
        "| threads of one process that share a model and an operator | equal |",
    ),
    ("Who helps when it fails?", "docs/how-to/help.md", "The project has no support staff"),
]


def linked(page: Path) -> set[Path]:
    """The pages of the repository to which a page links."""
    found = set()
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match(r"\w+:", link) and link.endswith(".md"):
            found.add((page.parent / link).resolve())
    return {path for path in found if path.exists()}


def within_two_clicks() -> set[Path]:
    first = linked(README)
    return first.union(*[linked(page) for page in first])


@pytest.mark.parametrize(
    ("page", "phrase"),
    [pytest.param(page, phrase, id=question) for question, page, phrase in QUESTIONS],
)
def test_question_is_answered_within_two_clicks_of_readme(page: str, phrase: str) -> None:
    assert ROOT / page in within_two_clicks()
    assert " ".join(phrase.split()) in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_there_are_twelve_questions() -> None:
    assert len({question for question, _, _ in QUESTIONS}) == 12


def test_clicks_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page behind three links is not found."""
    for name, text in {"a": "[x](b.md#y)", "b": "[x](c.md)", "c": "[x](d.md)", "d": ""}.items():
        (tmp_path / f"{name}.md").write_text(text)
    monkeypatch.setattr(f"{__name__}.README", tmp_path / "a.md")
    assert {path.name for path in within_two_clicks()} == {"b.md", "c.md"}
