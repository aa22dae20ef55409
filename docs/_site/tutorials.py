"""Write the tutorials from their sources: ``python docs/_site/tutorials.py``.

A tutorial is a script in examples/tutorials/. It becomes a page of docs/tutorials/ and a notebook
beside the script. With ``--record`` its cells run first, in an empty folder, and what they print
replaces the expected output in the script. With ``--check`` they run too, nothing is written, and
the status is 1 if they print something else. Names of tutorials may follow.

A script consists of cells, each below a line that begins with ``# %%``, as editors know them:

    # %% [markdown]         text, in comments; links are those of the page
    # %%                    Python
    # %% file="camera.py"   Python that is also written to a file
    # %% command            commands, in comments, for a terminal
    # %% command norun      commands that take hours, or do not end

Lines at the end of a cell that begin with ``# >`` are what it prints.
"""

import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrdis import cli

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "examples" / "tutorials"
PAGES = ROOT / "docs" / "tutorials"
#: What the head of a script says, each in a comment.
FACTS = ("tutorial", "takes", "downloads", "needs")
OUTPUT = "# >"


@dataclass
class Cell:
    """A piece of a tutorial."""

    kind: str
    """text, code, file or command."""
    lines: list[str]
    """The lines as they are shown, without the marks of comments."""
    printed: list[str] = field(default_factory=list)
    """The output that is expected."""
    file: str = ""
    run: bool = True

    @property
    def source(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


@dataclass
class Tutorial:
    """A script, read."""

    path: Path
    facts: dict[str, str]
    cells: list[Cell]

    @property
    def name(self) -> str:
        """The name of script, notebook and page."""
        return self.path.stem.replace("_", "-")


def read(path: Path) -> Tutorial:
    """Read a script."""
    head, *parts = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    facts = dict(re.findall(r"^# (\w+): (.*)$", head, re.MULTILINE))
    missing = [fact for fact in FACTS if fact not in facts]
    assert not missing, f"{path} does not say {missing}"
    return Tutorial(path, facts, [_cell(part) for part in parts])


def _cell(text: str) -> Cell:
    mark, _, body = text.partition("\n")
    lines = body.strip("\n").splitlines()
    printed = [line.removeprefix(OUTPUT).removeprefix(" ") for line in lines if _prints(line)]
    lines = [line for line in lines if not _prints(line)]
    file = re.search(r'file="(.*)"', mark)
    if "[markdown]" in mark or "command" in mark:
        kind = "text" if "[markdown]" in mark else "command"
        lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
    else:
        kind = "file" if file else "code"
    return Cell(kind, lines, printed, file[1] if file else "", "norun" not in mark)


def _prints(line: str) -> bool:
    return line.startswith(OUTPUT)


# ---- pages and notebooks ------------------------------------------------------------------------


def page(tutorial: Tutorial) -> str:
    """Return the page of a tutorial."""
    title, *cells = tutorial.cells
    there = f"../../examples/tutorials/{tutorial.path.stem}"
    facts = tutorial.facts
    blocks = [
        title.lines[0],
        f"[Documentation](../index.md) · Tutorial {facts['tutorial']} · "
        f"[script]({there}.py) · [notebook]({there}.ipynb)",
        "| takes | downloads | needs |\n| --- | --- | --- |\n"
        f"| {facts['takes']} | {facts['downloads']} | {facts['needs']} |",
        "\n".join(title.lines[1:]).strip(),
    ]
    for cell in cells:
        if cell.kind == "text":
            blocks.append(cell.source)
        elif cell.kind == "command":
            commands = "\n".join(f"$ {line}" for line in cell.lines)
            blocks.append(f"```console\n{commands}\n```")
        else:
            blocks.append(f"```python\n{cell.source.strip()}\n```")
        if cell.printed:
            blocks.append("It prints:\n\n```text\n" + "\n".join(cell.printed) + "\n```")
    return "\n\n".join(block for block in blocks if block) + "\n"


def notebook(tutorial: Tutorial) -> str:
    """Return the notebook of a tutorial, in Jupyter's format 4.5."""
    facts = tutorial.facts
    head = [f"This takes {facts['takes']}. Downloads: {facts['downloads']}. Needed: "
            f"{facts['needs']}."]  # fmt: skip
    cells = [_markdown([*tutorial.cells[0].lines, "", *head])]
    for cell in tutorial.cells[1:]:
        if cell.kind == "text":
            cells.append(_markdown(cell.lines))
        elif cell.kind == "command":
            start = "!" if cell.run else "# In a terminal: "
            cells.append(_code([f"{start}{line}" for line in cell.lines], cell.printed))
        elif cell.kind == "file":
            cells.append(_code([f"%%writefile {cell.file}", *cell.lines], cell.printed))
        else:
            cells.append(_code(cell.lines, cell.printed))
    for number, made in enumerate(cells, 1):
        made["id"] = f"cell-{number}"
    content = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _markdown(lines: Sequence[str]) -> dict[str, Any]:
    """Return a cell of text; its links lead from the notebook to where they lead from the page."""
    text = re.sub(r"\]\(\.\./\.\./examples/tutorials/", "](", "\n".join(lines))
    text = re.sub(r"\]\(\.\./\.\./", "](../../", text)
    text = re.sub(r"\]\(\.\./(?!\.\./)", "](../../docs/", text)
    text = re.sub(r"\]\(([\w-]+\.md)", r"](../../docs/tutorials/\1", text)
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(text)}


def _code(lines: Sequence[str], printed: Sequence[str]) -> dict[str, Any]:
    outputs = []
    if printed:
        text = _lines("\n".join(printed) + "\n")
        outputs = [{"name": "stdout", "output_type": "stream", "text": text}]
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": outputs,
        "source": _lines("\n".join(lines).strip("\n")),
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


# ---- running ------------------------------------------------------------------------------------


def run(tutorial: Tutorial, folder: Path) -> Iterator[tuple[Cell, list[str]]]:
    """Run the cells in a folder, and yield each with the lines that it printed."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for cell in tutorial.cells:
            if cell.kind == "text" or not cell.run:
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                if cell.kind == "command":
                    _run_commands(cell)
                else:
                    exec(compile(cell.source, tutorial.path.name, "exec"), names)
            if cell.kind == "file":
                Path(cell.file).write_text(cell.source.strip() + "\n", encoding="utf-8")
            yield cell, printed.getvalue().splitlines()


def _run_commands(cell: Cell) -> None:
    for line in cell.lines:
        program, *words = shlex.split(line, comments=True)
        assert program == "hrdis", f"{line} is no command of hrdis"
        status = cli.main(words)
        assert status == 0, f"{line} ended with {status}"


NUMBER = r"-?\d+(?:\.\d+)?"


def same(printed: Sequence[str], expected: Sequence[str]) -> bool:
    """Return True if the output is the one that is expected.

    Numbers may differ by 2 %, as processors differ in the last digits; seconds and errors of
    rounding, which have an exponent, may differ at will.
    """
    text, other = ("\n".join(line.rstrip() for line in lines) for lines in (printed, expected))
    ignored = rf"{NUMBER}e-\d+|{NUMBER}(?= s\b| seconds)"
    text, other = (re.sub(ignored, "", lines) for lines in (text, other))
    if re.sub(NUMBER, "0", text) != re.sub(NUMBER, "0", other):
        return False
    for one, two in zip(re.findall(NUMBER, text), re.findall(NUMBER, other), strict=True):
        if abs(float(one) - float(two)) > max(0.02 * abs(float(two)), 0.011):
            return False
    return True


def record(path: Path) -> None:
    """Run a tutorial, and write what its cells print into its script."""
    tutorial = read(path)
    with tempfile.TemporaryDirectory() as folder:
        printed = iter([lines for _, lines in run(tutorial, Path(folder))])
    head, *parts = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    made = [head]
    for cell, part in zip(tutorial.cells, parts, strict=True):
        if cell.kind == "text" or not cell.run:
            made.append(part)
            continue
        kept = [line for line in part.rstrip("\n").splitlines() if not _prints(line)]
        shown = [f"{OUTPUT} {line}".rstrip() for line in next(printed)]
        made.append("\n".join([*kept, *shown]) + "\n\n")
    path.write_text("# %%".join(made).rstrip("\n") + "\n", encoding="utf-8")


def faults(path: Path, folder: Path) -> list[str]:
    """Run a tutorial in a folder, and return the cells that print something unexpected."""
    found = []
    for cell, printed in run(read(path), folder):
        if not same(printed, cell.printed):
            shown = "\n".join(printed)
            found.append(f"{path.name}:\n{cell.source}\nprints\n{shown}")
    return found


def sources(names: Sequence[str] = ()) -> list[Path]:
    """Return the scripts with these names, or all."""
    if names:
        return [SOURCES / f"{name}.py" for name in names]
    return sorted(SOURCES.glob("*.py"))


def made() -> dict[Path, str]:
    """Return every page and notebook, by its path."""
    files = {}
    for path in sources():
        tutorial = read(path)
        files[PAGES / f"{tutorial.name}.md"] = page(tutorial)
        files[path.with_suffix(".ipynb")] = notebook(tutorial)
    return files


def main() -> None:
    os.environ.setdefault("COLUMNS", "100")
    if "--check" in sys.argv:
        wrong = []
        for path in sources(sys.argv[2:]):
            with tempfile.TemporaryDirectory() as folder:
                sys.path.insert(0, folder)  # a tutorial imports the files that it writes
                wrong += faults(path, Path(folder))
        sys.exit("\n\n".join(wrong) or None)
    if "--record" in sys.argv:
        for path in sources(sys.argv[2:]):
            record(path)
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
