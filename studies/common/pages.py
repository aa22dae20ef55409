"""Tables in Markdown, and the pages of docs/ whose tables a study rewrites."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from .stamps import shown, stamp

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def rewrite(page: Path, section: str, text: str) -> None:
    """Replace what stands between ``<!-- section -->`` and ``<!-- /section -->`` in a page.

    A page of measurements says in its section "measured" when and where each table was made.

    Raises:
        ValueError: if the page has no such pair of marks; nothing is written then.
    """
    _put(page, section, text)
    if page.parent == DOCS / "measurements":
        stamp(page.stem, section)
        _put(page, "measured", shown(page))


def _put(page: Path, section: str, text: str) -> None:
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    old = page.read_text()
    if old.count(begin) != 1 or old.count(end) != 1:
        raise ValueError(
            f"{page} lacks the marks of section {section!r}. Put {begin} and {end} where the table "
            "goes."
        )
    head, rest = old.split(begin)
    page.write_text(f"{head}{begin}\n\n{text.strip()}\n\n{end}{rest.split(end)[1]}")


def with_error(value: float, error: float, digits: int = 2) -> str:
    """A figure and its standard error: 1.02 ± 0.03."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"
