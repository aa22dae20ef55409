"""The laws of plain English over the documentation and the docstrings: breaches may only get fewer.

`python studies/language.py --show LAW` prints the sentences. Whoever makes a count fall writes the
new one here.
"""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

STUDIES = Path(__file__).parents[1] / "studies"
DOCS = Path(__file__).parents[1] / "docs"
pytestmark = pytest.mark.skipif(
    not (STUDIES.exists() and DOCS.exists()), reason="no docs/ here: not a clone of the repository"
)

#: The counts of the day the test was written; the goal is 0.
CEILINGS = {
    "docs": {"long": 0, "verbless": 0, "colon": 0, "jargon": 0, "opening": 0},
    "docstrings": {"long": 0, "verbless": 0, "colon": 0, "jargon": 0, "opening": 0},
}


@pytest.fixture
def language(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The study, imported as it imports its neighbours."""
    monkeypatch.syspath_prepend(str(STUDIES))
    return importlib.import_module("language")


def test_breaches_do_not_grow(language: ModuleType) -> None:
    found = language.counts()
    grown = {}
    for part, ceilings in CEILINGS.items():
        for law, ceiling in ceilings.items():
            if found[part][law] > ceiling:
                grown[part, law] = (ceiling, found[part][law])
    assert not grown, "python studies/language.py --show LAW prints the sentences"


@pytest.mark.parametrize(
    ("sentence", "laws"),
    [
        ("The network removes noise from the picture.", []),
        ("One sample of eight, and no more.", ["verbless"]),
        ("Nothing is lost: the solver keeps what was seen.", ["colon"]),
        ("It takes two files: a mask and a kernel.", []),
        ("It takes two files: the masks of a run, and a kernel that has its size.", []),
        ("It keeps a copy: restored once, and measured again later.", []),
        ("It repeats the run: that costs as much again.", ["colon"]),
        ("It repeats the run: the steps of it are kept.", ["colon"]),
        ("The solver is told the level of the noise.", ["jargon"]),
        ("It reads " + "one more word and " * 8 + "stops.", ["long"]),
    ],
)
def test_laws_find_what_they_are_there_for(
    language: ModuleType, sentence: str, laws: list[str]
) -> None:
    assert list(language.broken(sentence)) == laws


def test_sentences_are_told_from_code_tables_and_headings(language: ModuleType) -> None:
    text = """# A heading that is long enough

[Documentation](../index.md) · How-to

A [link](page.md) is a word. So is ``code: it has a colon``.

| a table | of several words |

```python
print("a block of code, not a sentence")
```

- **A title.** An item of a list is one sentence.
- Another item ends here. hrdis begins the next.
"""
    assert list(language.sentences(text)) == [
        "A link is a word.",
        "So is CODE.",
        "An item of a list is one sentence.",
        "Another item ends here.",
        "hrdis begins the next.",
    ]


@pytest.mark.parametrize("section", ["Args", "Raises (on construction)"])
def test_docstrings_are_read_up_to_their_first_section(
    language: ModuleType, tmp_path: Path, section: str
) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""A module."""\n\n\n'
        f'def f(x):\n    """Whether x is told.\n\n    {section}:\n        x: a cell.\n    """\n'
    )
    assert [law for law, _ in language.of_module(path)] == ["opening", "jargon"]
