"""Every measured figure in the text of the documentation has a source, and agrees with it.

``docs/data/figures.toml`` ties sentences to files; ``tests/common/figures.py`` reads both.
"""

import re

import pytest

from tests.common.figures import ROOT, Claim, load, prose, unsourced

pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").exists(), reason="no docs/ here: not a clone of the repository"
)

PAGES = (
    "README.md",
    "docs/index.md",
    "docs/measurements/index.md",
    "docs/measurements/looks.md",
    "docs/measurements/posterior.md",
    "docs/measurements/reliability.md",
    "docs/measurements/repairs.md",
    "docs/measurements/solvers.md",
    "docs/measurements/speed.md",
)

#: Pages whose claims are compared too, while other figures on them have no source yet.
OTHERS = (
    "docs/measurements/effort.md",
    "docs/measurements/few-calls.md",
    "docs/measurements/model.md",
    "docs/measurements/overrelaxed.md",
    "docs/measurements/tasks.md",
    "docs/measurements/uncertainty.md",
)

#: Figures without a source, with two words before and after; the list may only shrink.
UNSOURCED: dict[str, set[str]] = {
    "README.md": {
        "with the 4 MB model",
        "noise within 1e-5 . In",
        "not learned: 95 % of",
    },
    "docs/measurements/index.md": {"step, within 4 % of"},
    "docs/measurements/posterior.md": {
        "step, to 1e-11 ) draw",
        "formulas to 1e-8 , weights",
    },
    "docs/measurements/reliability.md": {
        "ended within 3 s, in",
        "agents within 63 s. Ray",
    },
    "docs/measurements/speed.md": {
        "at most 0.025 rms and",
        "rms and 0.09 anywhere (range",
        "at most 0.007 and 0.04.",
        "0.007 and 0.04 . The",
        "random weights, 2.21 GB, the",
        "CODE | 1.085 | |",
        "CODE | 1.086 | ##",
    },
}

CLAIMS, SETTINGS = load() if (ROOT / "docs").exists() else ([], [])


def text_of(page: str) -> str:
    return prose((ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES + OTHERS)
def test_figures_agree_with_their_sources(page: str) -> None:
    text = text_of(page)
    wrong = [message for claim in CLAIMS for message in claim.wrong(text)]
    assert not wrong


@pytest.mark.parametrize("page", PAGES)
def test_figures_have_sources(page: str) -> None:
    patterns = [*SETTINGS, *(claim.pattern for claim in CLAIMS)]
    new = set(unsourced(text_of(page), patterns)) - UNSOURCED.get(page, set())
    assert not new, "give each a [[claim]] in docs/data/figures.toml, or leave it out"


@pytest.mark.parametrize("page", UNSOURCED)
def test_list_of_figures_without_a_source_holds_no_others(page: str) -> None:
    patterns = [*SETTINGS, *(claim.pattern for claim in CLAIMS)]
    gone = UNSOURCED[page] - set(unsourced(text_of(page), patterns))
    assert not gone, "take these off the list"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.pattern[:40])
def test_claim_is_made_on_a_page(claim: Claim) -> None:
    assert any(re.search(claim.pattern, text_of(page)) for page in PAGES + OTHERS)


# ---- the court itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.pattern[:40])
def test_planted_wrong_figure_is_found(claim: Claim) -> None:
    """Each figure of each claim in turn is moved by its last two digits."""
    texts = [text_of(page) for page in PAGES + OTHERS]
    (text, found) = next((t, f) for t in texts for f in re.finditer(claim.pattern, t))
    for group, source in enumerate(claim.sources, start=1):
        said = found[group]
        if said is None:
            continue
        places = len(said.partition(".")[2])
        wrong = f"{float(said) + 2 * source.get('step', 10.0**-places):.{places}f}"
        planted = text[: found.start(group)] + wrong + text[found.end(group) :]
        assert list(claim.wrong(planted)), f"{wrong} for {said} was not noticed"


def test_new_figure_without_a_source_is_found() -> None:
    text = prose("It gains 3.7 dB, in **12 of 12** pictures and 5 % less time. See `x = 1.5`.")
    left = unsourced(text, [r"in 12 of 12 pictures"])
    assert left == ["It gains 3.7 dB, in", "pictures and 5 % less"]


def test_blocks_that_studies_write_are_no_text() -> None:
    assert prose("a <!-- run -->\n3.5 dB\n<!-- /run --> b ![4.5 dB](p.png)") == "a b"
