"""How this project writes docstrings, for Sphinx: formulas are indented blocks, names stand in
single backticks.
"""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

#: A section of the Google style, or one of ours: a word or more, a colon, and an indented line
#: right below.
HEADER = re.compile(r"[A-Z][\w' ]*( \(.*\))?:")


def split(doc: str) -> dict[str, list[str]]:
    """The lines of a docstring by section, dedented by one level; "" is what stands before the
    first.
    """
    lines = doc.splitlines()
    parts: dict[str, list[str]] = {"": []}
    name = ""
    for i, line in enumerate(lines):
        below = lines[i + 1] if i + 1 < len(lines) else ""
        if HEADER.fullmatch(line) and below.startswith("    "):
            name = line[:-1]
            parts[name] = []
        else:
            parts[name].append(line.removeprefix("    ") if name else line)
    return parts


def literal(lines: list[str]) -> list[str]:
    """The same lines, with ``::`` before every indented block that follows a paragraph: a formula
    or a file.
    """
    out: list[str] = []
    above = ""
    for line in lines:
        opens = (
            line.startswith("    ") and not (out and out[-1].strip()) and not above.startswith(" ")
        )
        if opens and not above.endswith("::"):
            out += ["::", ""]
        out.append(line)
        if line.strip():
            above = line
    return out


def process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Mark formulas, before napoleon reads the sections."""
    lines[:] = literal(lines)
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # or napoleon takes what stands before a colon for the type


def find(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """Follow a name to where it is documented: `Prior` and hrdis.priors.base.Prior are one thing,
    hrdis.Prior.
    """
    target, domain = node.get("reftarget", ""), env.domains.python_domain
    if node.get("refdomain") != "py":
        return None
    if not re.fullmatch(r"[\w.]+", target):
        return contnode  # `hrdis train`: code, and no name
    own = target.startswith("hrdis.")
    last = f".{target.rpartition('.')[2]}" if own else f".{target}"
    whole = {
        "class",
        "exception",
        "function",
        "data",
        "module",
    }  # steps is no name for the steps of some class
    names = [
        n
        for n, entry in domain.objects.items()
        if n.endswith(last) and ("." in target or entry.objtype in whole)
    ]
    for full in sorted(
        names, key=lambda n: (n.rpartition(".")[0] != node.get("py:module"), n.count("."), n)
    )[:1]:
        return make_refnode(
            app.builder, node["refdoc"], domain.objects[full].docname, full, contnode, full
        )
    return contnode if own and node["reftype"] == "class" else None  # a private base in a signature


def link(app: Sphinx, doctree: nodes.document) -> None:
    """Make ``hrdis.solve`` and ``hrdis.noise.Gaussian(0.05)`` lead to where they are documented."""
    for node in list(doctree.findall(nodes.literal)):
        name = re.fullmatch(r"(hrdis(\.\w+)+)(\(.*\))?", node.astext())
        taken = isinstance(node.parent, nodes.reference | nodes.title | pending_xref)
        if name and not name[1].endswith(".py") and not taken:
            xref = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=name[1], refdoc=app.env.docname
            )
            node.replace_self(xref)
            xref += node


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process, priority=100)  # napoleon has 500
    app.connect("missing-reference", find)
    app.connect("doctree-read", link)
    return {"parallel_read_safe": True}
