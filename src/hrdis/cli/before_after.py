"""A page that shows the pictures of a folder before and after, with a slider between them."""

import html
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from hrdis.files import read_json, write_text
from hrdis.images import Errand

INDEX = "index.html"
#: By this a page of ours is known, and may be replaced.
MARK = '<meta name="generator" content="hrdis before and after">'

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{mark}
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 80rem; padding: 0 1rem }}
main {{ display: grid; gap: 2rem; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)) }}
figure {{ margin: 0; min-width: 0 }}
.both {{ display: grid; --at: 50% }}
.both > * {{ grid-area: 1 / 1; min-width: 0 }}
img {{ display: block; width: 100%; height: auto }}
.before {{ clip-path: inset(0 calc(100% - var(--at)) 0 0) }}
input {{ width: 100%; margin: .25rem 0 }}
figcaption {{ overflow-wrap: anywhere; font-size: .9rem }}
</style>
<h1>{title}</h1>
<p>{count} pictures. Left of the slider as they came, right of it as they are now.</p>
<main>
{figures}
</main>
<script>
for (const slider of document.querySelectorAll("input"))
  slider.addEventListener("input", () =>
    slider.previousElementSibling.style.setProperty("--at", slider.value + "%"));
</script>
</html>
"""
FIGURE = """\
<figure>
<div class="both">
<img src="{after}" loading="lazy" alt="{name}, after">
<img class="before" src="{before}" loading="lazy" alt="{name}, before">
</div>
<input type="range" value="50" aria-label="{name}: how much is shown as it came">
<figcaption>{name} (<a href="{before}">before</a>, <a href="{after}">after</a>): {about}
</figcaption>
</figure>"""


def check_index(folder: Path, *, overwrite: bool = False) -> None:
    """Raise if the page would replace one of somebody else.

    Raises:
        ValueError: naming the file.
    """
    path = folder / INDEX
    if path.exists() and not overwrite and MARK not in path.read_text("utf-8", errors="replace"):
        raise ValueError(
            f"{path} exists, and hrdis did not write it. Another folder is expected, -o FOLDER, or "
            "--overwrite to replace it."
        )


def write_index(
    folder: Path, title: str, errands: Sequence[Errand], record_of: Callable[[Path], Path]
) -> Path:
    """Write the page of the results that are there; return its path.

    Args:
        folder: of the results.
        title: of the page.
        errands: pictures and their results.
        record_of: returns the record of a result.
    """
    figures = []
    for errand in errands:
        if not errand.output.is_file():
            continue
        name = errand.output.relative_to(folder).as_posix()
        figures.append(
            FIGURE.format(
                before=_address(errand.source, folder), after=_address(errand.output, folder),
                name=html.escape(_text(name)),
                about=html.escape(_text(about(record_of(errand.output)))),
            )
        )  # fmt: skip
    path = folder / INDEX
    page = PAGE.format(
        mark=MARK, title=html.escape(_text(title)), count=len(figures), figures="\n".join(figures)
    )
    write_text(path, page)
    return path


def about(record: Path) -> str:
    """Return what a record says was done; nothing where there is none."""
    try:
        said = read_json(record)
    except ValueError:
        return ""
    if isinstance(said.get("steps"), list):
        return " ".join(map(str, said["steps"]))
    return f"{said.get('task') or said.get('operator')} with {said.get('solver')}"


def _text(name: str) -> str:
    """Return a name as text; bytes that are no UTF-8 are written as \\\\udcff."""
    return name.encode(errors="backslashreplace").decode()


def _address(path: Path, folder: Path) -> str:
    """Return the address of a file as seen from a page in a folder."""
    try:
        there = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return path.resolve().as_uri()
    return quote(os.fsencode(there))
