"""Every measured figure in the text of the documentation has a source, and agrees with it.

``docs/data/figures.toml`` ties sentences to files; ``tests/common/figures.py`` reads both.
"""

import csv
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.common.figures import FIGURE, ROOT, Claim, last_digit, load, prose, unsourced
from tests.common.studies import loaded

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").exists(), reason="no docs/ here: not a clone of the repository"
)

#: Pages that no person writes: their text is that of the code's own help and messages.
#: The build of the site makes the others.
GENERATED = (
    "docs/reference/commands/", "docs/reference/messages.md",
    *(f"docs/{folder}/" for folder in ("_build", "about", "api", "solvers")),
)  # fmt: skip

#: A page that a study writes whole, from its rows; it is compared with what the study would write.
WHOLE = "docs/measurements/fix.md"


def pages() -> list[str]:
    """Return README and every page of the documentation that has sentences of people."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [path.relative_to(ROOT).as_posix() for path in found]
    return [name for name in names if not name.startswith(GENERATED) and name != WHOLE]


PAGES = pages() if (ROOT / "docs").exists() else []

CLAIMS, SETTINGS = load() if (ROOT / "docs").exists() else ([], [])


def text_of(page: str) -> str:
    return prose((ROOT / page).read_text(encoding="utf-8"))


def left(text: str) -> list[str]:
    """Return the figures that neither a claim nor a setting covers."""
    return unsourced(text, [*SETTINGS, *(claim.pattern for claim in CLAIMS)])


def wrong(text: str) -> list[str]:
    """Return what the claims find wrong."""
    return [message for claim in CLAIMS for message in claim.wrong(text)]


@pytest.mark.parametrize("page", PAGES)
def test_figures_agree_with_their_sources(page: str) -> None:
    assert not wrong(text_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_figures_have_sources(page: str) -> None:
    assert not left(text_of(page)), (
        "give each a [[claim]] in docs/data/figures.toml, or leave it out"
    )


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.pattern[:40])
def test_claim_is_made_on_a_page(claim: Claim) -> None:
    assert any(re.search(claim.pattern, text_of(page)) for page in PAGES)


@pytest.mark.parametrize("pattern", SETTINGS, ids=lambda pattern: pattern[:40])
def test_setting_is_named_on_a_page(pattern: str) -> None:
    assert any(re.search(pattern, text_of(page)) for page in PAGES)


# ---- the court itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.pattern[:40])
def test_planted_wrong_figure_is_found(claim: Claim) -> None:
    """Each figure of each claim in turn is moved by its last two digits."""
    texts = [text_of(page) for page in PAGES]
    (text, found) = next((t, f) for t in texts for f in re.finditer(claim.pattern, t))
    for group, source in enumerate(claim.sources, start=1):
        said = found[group]
        if said is None:
            continue
        places = len(said.partition(".")[2])
        other = f"{float(said) + 2 * source.get('step', last_digit(said)):.{places}f}"
        mantissa, _, exponent = said.partition("e")
        if exponent:
            other = f"{(int(mantissa) + 2) % 10}e{exponent}"
        planted = text[: found.start(group)] + other + text[found.end(group) :]
        assert list(claim.wrong(planted)), f"{other} for {said} was not noticed"


@pytest.mark.parametrize("page", PAGES)
def test_planted_sentence_without_a_source_is_found(page: str) -> None:
    text = text_of(page)
    middle = text.index(" ", len(text) // 2)
    planted = text[:middle] + " HRDIS gains 91.7 dB there." + text[middle:]
    assert len(left(planted)) > len(left(text))


@pytest.mark.parametrize("page", PAGES)
def test_planted_change_of_any_figure_is_found(page: str) -> None:
    """Every figure in turn becomes 91.7: a claim finds it wrong, or nothing covers it."""
    text = text_of(page)
    for figure in FIGURE.finditer(text):
        planted = text[: figure.start()] + "91.7" + text[figure.end() :]
        words = text[max(0, figure.start() - 30) : figure.end() + 30]
        assert left(planted) or wrong(planted), words


def test_new_figure_without_a_source_is_found() -> None:
    text = prose("It gains 3.7 dB, in **12 of 12** pictures and 5 % less time. See `x = 1.5`.")
    left = unsourced(text, [r"in 12 of 12 pictures"])
    assert left == ["It gains 3.7 dB, in", "pictures and 5 % less"]


def test_blocks_that_studies_write_are_no_text() -> None:
    assert prose("a <!-- run -->\n3.5 dB\n<!-- /run --> b ![4.5 dB](p.png)") == "a b"


# ---- what studies write --------------------------------------------------------------------------


def test_page_of_fix_is_what_its_rows_say() -> None:
    fix = loaded("fix")
    options = fix.Options(photos=Path(), rows=ROOT / "docs/data/fix.csv")
    assert fix.page(options) == (ROOT / WHOLE).read_text(encoding="utf-8")


def test_other_row_of_fix_makes_another_page(tmp_path: Path) -> None:
    fix, rows = loaded("fix"), tmp_path / "fix.csv"
    with (ROOT / "docs/data/fix.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    lines[1][lines[0].index("gain")] = "1.23"
    with rows.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    page = fix.page(fix.Options(photos=Path(), rows=rows))
    assert page != (ROOT / WHOLE).read_text(encoding="utf-8")


def test_tables_of_the_paper_are_those_of_their_files(tmp_path: Path) -> None:
    page = ROOT / "docs/measurements/paper.md"
    again = shutil.copy(page, tmp_path)
    loaded("results").main(Path(again))
    assert Path(again).read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


# ---- changes of the code -------------------------------------------------------------------------


def test_changes_that_no_test_notices_are_those_with_a_reason() -> None:
    """Of the study of changes (studies/mutations.py): one without effect cannot be noticed."""
    data = ROOT / "docs" / "data"
    with (data / "mutations.csv").open(newline="", encoding="utf-8") as file:
        unnoticed = {
            (row["file"], row["after"])
            for row in csv.DictReader(file)
            if row["outcome"] == "survived"
        }
    table = tomllib.loads((data / "mutations.toml").read_text(encoding="utf-8"))
    assert unnoticed == {(entry["file"], entry["after"]) for entry in table["change"]}
    assert all(entry["why"] for entry in table["change"])
