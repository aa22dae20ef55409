"""``hrdis cite``: every solver has a paper, and the paper is the one its class names."""

import re
from pathlib import Path

import pytest

import hrdis
from hrdis.cli.cite import bibliography
from tests.cli.test_cli import FAST, photo, prior, run  # noqa: F401

SOURCES = {name: cls.source for name, (cls, _) in hrdis.SOLVERS.items()}


def test_papers_of_one_key_are_one_paper() -> None:
    assert len({paper.key for paper in SOURCES.values()}) == len(set(SOURCES.values()))


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_paper_has_the_venue_and_year_that_the_solver_names(name: str) -> None:
    reference = hrdis.SOLVERS[name][0].reference  # "HRDIS, ICLR 2025 (ablation)"
    found = re.search(r", (\w+) (\d{4})", reference)
    paper = SOURCES[name]
    assert found is not None and (paper.venue, str(paper.year)) == found.groups()


@pytest.mark.parametrize("name", hrdis.SOLVERS)
def test_title_is_the_one_in_the_docstring(name: str) -> None:
    """Docstrings print the whole title, or only "HRDIS" for its variants."""
    doc = " ".join((hrdis.SOLVERS[name][0].__doc__ or "").split())
    reference = doc.split("Reference:")[1].split("Differs from")[0]
    assert SOURCES[name].title in reference or "HRDIS, ICLR 2025" in reference


def test_keys_begin_with_the_first_author_and_the_year() -> None:
    for paper in SOURCES.values():
        surname = paper.authors[0].split(",")[0].lower()
        assert paper.key.startswith(f"{surname}{paper.year}")


def test_braces_of_every_entry_are_balanced() -> None:
    text = bibliography(list(hrdis.SOLVERS))
    assert text.count("{") == text.count("}")
    assert text.count("\n@") + 1 == len(set(SOURCES.values())) + 1  # the package itself, too


def test_a_paper_of_several_solvers_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cite", "--solver", "cr", "hrdis", "ddrm") == 0
    said = capsys.readouterr().out
    assert said.count("@inproceedings{dou2025hrdis,") == 1
    assert "note = {as implemented in hrdis: CR, HRDIS}" in said
    assert "@inproceedings{kawar2022ddrm," in said and "mardani" not in said


def test_without_a_name_the_paper_of_hrdis_is_cited(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cite") == 0
    said = capsys.readouterr().out
    assert said.count("@") == 2 and "dou2025hrdis" in said and hrdis.__version__ in said


def test_record_cites_the_solver_that_made_the_picture(
    tmp_path: Path,
    prior: str,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--task", "sr2", "--solver", "ddnm", "--prior", prior, *FAST]
    assert run("restore", photo(tmp_path / "in.png"), "-o", tmp_path / "out.png", *words) == 0
    capsys.readouterr()
    assert run("cite", tmp_path / "out.json") == 0
    said = capsys.readouterr().out
    assert "wang2023ddnm" in said and "dou2025hrdis" not in said


@pytest.mark.parametrize("words", ["cite --solver ddrn", "cite notes.json", "cite nowhere.json"])
def test_what_cannot_be_cited_is_one_line_and_status_2(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.json").write_text("[]")
    assert run(*words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("hrdis cite: ") and said.count("\n") == 1
