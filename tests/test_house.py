"""The counts of the package that tell how its code reads, and the ceilings they may not exceed."""

import ast
import io
import re
import tokenize
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

import hrdis

ROOT = Path(hrdis.__file__).parent
COLUMNS = 100
#: Openings that make a riddle of a sentence: the reader has to finish it to learn its subject.
RIDDLE = re.compile(r"(What|Whether|How|Of|As|Where|Which)\b")
BRANCHES = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

#: Rows that may not be higher, with the reason where the number is none of our choice.
CEILINGS = {
    "comprehensions and conditional expressions per 100 lines": 4.0,
    "lines over 100 columns": 0,
    "docstrings that open with a riddle": 0,
    "longest import chain": 12,
    "circles of imports": 0,
    "class names defined twice": 0,
    # The goal is 10; the number may only fall.
    "private helpers used once, % of functions": 10.0,
}
#: Rows that may not be lower.
FLOORS = {"comments per 100 lines": 4.0}


@dataclass(frozen=True)
class Package:
    """Sources of a package by the names of their modules, "a.b" or "a" for a/__init__.py."""

    name: str
    sources: dict[str, str]
    folders: frozenset[str]
    """Modules that are an __init__.py."""

    @classmethod
    def read(cls, root: Path) -> "Package":
        sources, folders = {}, set()
        for path in sorted(root.rglob("*.py")):
            parts = [root.name, *path.relative_to(root).with_suffix("").parts]
            if parts[-1] == "__init__":
                parts.pop()
                folders.add(".".join(parts))
            sources[".".join(parts)] = path.read_text(encoding="utf-8")
        return cls(root.name, sources, frozenset(folders))

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        return {module: ast.parse(source) for module, source in self.sources.items()}

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return [node for tree in self.trees.values() for node in ast.walk(tree)]

    @cached_property
    def code_and_comments(self) -> tuple[list[str], int]:
        """The lines of code, and the number of comments, those behind code among them."""
        code, comments = [], 0
        for module, source in self.sources.items():
            documentation = docstring_lines(self.trees[module])
            for number, line in enumerate(source.splitlines(), 1):
                bare = line.strip()
                if bare and number not in documentation and not bare.startswith("#"):
                    code.append(line)
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                comments += token.type == tokenize.COMMENT
        return code, comments


def package(**sources: str) -> Package:
    """Return a package "p" of modules without folders, to try the counts on."""
    return Package("p", {f"p.{name}": source for name, source in sources.items()}, frozenset())


# ---- lines --------------------------------------------------------------------------------------


def docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if has_docstring(node):
            first = node.body[0]
            lines.update(range(first.lineno, first.end_lineno + 1))
    return lines


def has_docstring(node: ast.AST) -> bool:
    return isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)) and bool(
        ast.get_docstring(node)
    )


def branches_per_100(found: Package) -> float:
    code, _ = found.code_and_comments
    return 100 * sum(isinstance(node, BRANCHES) for node in found.nodes) / len(code)


def comments_per_100(found: Package) -> float:
    code, comments = found.code_and_comments
    return 100 * comments / (len(code) + comments)


def long_lines(found: Package) -> list[str]:
    """Return the lines of code that are too long; an excuse for a type checker does not count, nor
    does a pattern, which cannot be broken without being taken apart.
    """
    code, _ = found.code_and_comments
    return [
        line
        for line in code
        if len(line.split("  # type: ")[0]) > COLUMNS and not line.lstrip().startswith('r"')
    ]


# ---- names and docstrings -----------------------------------------------------------------------


def riddles(found: Package) -> list[str]:
    """Return the first lines of docstrings that open with a word of `RIDDLE`."""
    openings = [ast.get_docstring(node) for node in found.nodes if has_docstring(node)]
    return [text.splitlines()[0] for text in openings if RIDDLE.match(text)]


def classes_twice(found: Package) -> list[str]:
    names = Counter(node.name for node in found.nodes if isinstance(node, ast.ClassDef))
    return sorted(name for name, count in names.items() if count > 1)


def helpers_used_once(found: Package) -> list[str]:
    """Return the private functions of a module that one place of it alone names.

    Methods count like functions; names of Python itself (``__init__``) do not. A use in another
    module is no use: nothing private is imported.
    """
    once = []
    for module, tree in found.trees.items():
        defined, used = [], Counter()
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS) and re.match(r"_(?!_)", node.name):
                defined.append(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used[node.id] += 1
            elif isinstance(node, ast.Attribute):
                used[node.attr] += 1
        for name in defined:
            if used[name] == 1:
                once.append(f"{module}.{name}")
    return once


def share_of_helpers(found: Package) -> float:
    functions = sum(isinstance(node, FUNCTIONS) for node in found.nodes)
    return 100 * len(helpers_used_once(found)) / functions


# ---- imports ------------------------------------------------------------------------------------


def imports(found: Package) -> dict[str, set[str]]:
    """Return for each module those of the package that it imports when it is imported itself.

    The root of the package is left out: it hands out names on use and stands above all.
    """
    edges: dict[str, set[str]] = {}
    for module, tree in found.trees.items():
        edges[module] = set()
        for node in tree.body:
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                target = existing(found, f"{origin(found, module, node)}.{alias.name}")
                if target not in ("", module, found.name):
                    edges[module].add(target)
    return edges


def origin(found: Package, module: str, node: ast.ImportFrom) -> str:
    """Return what stands between "from" and "import", absolute."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    # One dot is the folder itself where the module is its __init__.
    up = node.level - (module in found.folders)
    base = parts[: len(parts) - up]
    return ".".join([*base, node.module] if node.module else base)


def existing(found: Package, name: str) -> str:
    """Return the module that a dotted name lies in; "" if it is not of this package."""
    while name and name not in found.sources:
        name = name.rpartition(".")[0]
    return name


def longest_chain(edges: dict[str, set[str]]) -> list[str]:
    """Return the longest row of modules that import each the next; circles are left out."""

    @cache
    def chain(module: str) -> tuple[str, ...]:
        rows = [chain(target) for target in edges[module] if target not in reachable(edges, target)]
        return (module, *max(rows, key=len, default=()))

    return list(max(map(chain, edges), key=len))


def reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    """Return all modules that a module imports, directly or through others."""
    reached: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += edges[module]
    return reached


def circles(edges: dict[str, set[str]]) -> list[str]:
    """Return the modules that import themselves through others."""
    return [module for module in edges if module in reachable(edges, module)]


# ---- the package --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted() -> dict[str, float]:
    found = Package.read(ROOT)
    edges = imports(found)
    return {
        "comprehensions and conditional expressions per 100 lines": branches_per_100(found),
        "lines over 100 columns": len(long_lines(found)),
        "comments per 100 lines": comments_per_100(found),
        "docstrings that open with a riddle": len(riddles(found)),
        "longest import chain": len(longest_chain(edges)),
        "circles of imports": len(circles(edges)),
        "class names defined twice": len(classes_twice(found)),
        "private helpers used once, % of functions": share_of_helpers(found),
    }


@pytest.mark.parametrize("row", CEILINGS)
def test_row_is_not_over_its_ceiling(counted, row):
    print(f"{row}: {counted[row]:.2f}, at most {CEILINGS[row]}")
    assert counted[row] <= CEILINGS[row]


@pytest.mark.parametrize("row", FLOORS)
def test_row_is_not_under_its_floor(counted, row):
    print(f"{row}: {counted[row]:.2f}, at least {FLOORS[row]}")
    assert counted[row] >= FLOORS[row]


def test_every_row_has_a_bound(counted):
    assert set(counted) == {*CEILINGS, *FLOORS}


# ---- the counts count ---------------------------------------------------------------------------


def test_branches_are_comprehensions_and_conditional_expressions():
    found = package(a='"""Doc."""\nx = [i for i in y]\nz = 1 if x else 2\n\n# why\nw = 3\nv = 4\n')
    assert branches_per_100(found) == 100 * 2 / 4


def test_comments_count_alone_and_behind_code():
    found = package(a='"""Doc # none."""\n# why\nx = 1  # why\ny = "# none"\n')
    assert comments_per_100(found) == 100 * 2 / (2 + 2)


def test_long_lines_are_those_of_code():
    long = "x" * 101
    assert long_lines(package(a=f'"""{long}"""\n# {long}\n{long} = 1\n')) == [f"{long} = 1"]


def test_riddles_are_found_in_modules_classes_and_functions():
    source = '"""What it is."""\nclass A:\n    """Of all."""\ndef f():\n    """Whatever."""\n'
    assert riddles(package(a=source)) == ["What it is.", "Of all."]


def test_class_is_found_twice_in_two_modules():
    assert classes_twice(package(a="class A: ...\nclass B: ...", b="class A: ...")) == ["A"]


def test_helper_used_once_is_found():
    source = (
        "def _once(): ...\ndef _twice(): ...\ndef public(): _once(); _twice(); _twice()\n"
        "class A:\n    def __init__(self): self._method()\n    def _method(self): ...\n"
    )
    assert helpers_used_once(package(a=source)) == ["p.a._once", "p.a._method"]
    assert share_of_helpers(package(a=source)) == 100 * 2 / 5


def test_chain_follows_imports_at_the_top_level_alone():
    found = package(
        a="from .b import x", b="from . import c\nfrom os import d", c="",
        d="def f():\n    from .a import x",
    )  # fmt: skip
    assert longest_chain(imports(found)) == ["p.a", "p.b", "p.c"]


def test_chain_leaves_out_what_is_for_type_checkers():
    found = package(a="if TYPE_CHECKING:\n    from .b import x", b="")
    assert len(longest_chain(imports(found))) == 1


def test_one_dot_of_an_init_is_its_own_folder():
    sources = {"p": "", "p.a": "from .b import x\nfrom ..c import y", "p.a.b": "", "p.c": ""}
    found = Package("p", sources, frozenset({"p", "p.a"}))
    assert imports(found)["p.a"] == {"p.a.b", "p.c"}


def test_circle_is_found():
    edges = imports(package(a="from .b import x", b="from .c import x", c="from .b import x"))
    assert circles(edges) == ["p.b", "p.c"]
