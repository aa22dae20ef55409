"""The pages that the code itself holds, and those of files outside docs/. Written anew by every
build.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from api_pages import ROOMS, api_index, data, room_page, slug
from contents import toctrees
from solver_pages import solver_page, solvers_index
from sphinx.application import Sphinx

from hrdis.solvers import SOLVERS

#: What stands outside docs/, and where the site has it. Links written for the repository lead to
#: the same things here.
OUTSIDE = {
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "CODE_OF_CONDUCT.md": "about/conduct.md",
    "SECURITY.md": "about/security.md",
    "studies/README.md": "about/studies.md",
    "src/hrdis/weights/default/MODEL_CARD.md": "about/model-card.md",
    "src/hrdis/weights/default/CREDITS.md": "about/credits.md",
    "src/hrdis/pictures/CREDITS.md": "about/pictures.md",
    "src/hrdis": "api/index.rst",
    "src/hrdis/solvers": "solvers/index.rst",
    **{f"src/hrdis/solvers/{name}.py": f"solvers/{name}.rst" for name in SOLVERS},
}


def relinked(text: str, at: Path, page: Path, docs: Path) -> str:
    """Markdown from the file ``at`` for the page ``page``: relative links lead where they led."""

    def link(match: re.Match[str]) -> str:
        path, mark, anchor = match[1].partition("#")
        target = (at.parent / path).resolve()
        if not path or ":" in path or not target.exists():
            return match[0]
        known = (
            OUTSIDE.get(str(target.relative_to(docs.parent)))
            if target.is_relative_to(docs.parent)
            else None
        )
        there = os.path.relpath(docs / known if known else target, page.parent)
        return f"]({there}{mark}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", link, text)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn links out of docs/ into links to the pages of the site, and give the front page its
    toctrees.
    """
    path = Path(app.env.doc2path(docname))
    if path.suffix == ".md" and docname.split("/")[0] != "about":
        source[0] = relinked(source[0], path, path, Path(app.srcdir))
    if docname == "index":
        app.env.note_dependency(str(Path(__file__).with_name("contents.py")))
        source[0] += "\n" + toctrees()


def pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Every page that is made, by its path in docs/."""
    made = {"solvers/index": solvers_index(), "api/index": api_index()}
    made |= {
        f"solvers/{name}": solver_page(name, cls, presets)
        for name, (cls, presets) in SOLVERS.items()
    }
    made |= {
        f"api/{slug(title)}": room_page(title, rooms) + data().get(title, [])
        for title, rooms in ROOMS.items()
    }
    for name, lines in made.items():
        yield f"{name}.rst", "\n".join(lines) + "\n"
    for path, page in OUTSIDE.items():
        if page.startswith("about/"):
            at = docs.parent / path
            yield page, relinked(at.read_text(encoding="utf-8"), at, docs / page, docs)


def write(app: Sphinx) -> None:
    """Write what changed, and remove what no build makes any more."""
    docs = Path(app.srcdir)
    made = {docs / name: text for name, text in pages(docs)}
    for folder in {path.parent for path in made}:
        folder.mkdir(exist_ok=True)
        for old in {*folder.glob("*.rst"), *folder.glob("*.md")} - set(made):
            old.unlink()
    for path, text in made.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write)
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
