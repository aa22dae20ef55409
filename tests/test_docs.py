"""The pages: every link leads somewhere, every page is on the site, and the site builds without a
warning, offline.
"""

import csv
import html
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import hrdis

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {"_build", "about", "api", "solvers"}  # by the build of the site
pytestmark = pytest.mark.skipif(
    not DOCS.exists(), reason="no docs/ here: not a clone of the repository"
)

PAGES = [path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).parts[0] not in MADE]
ELSEWHERE = [path for room in ("src", "studies", ".github") for path in (ROOT / room).rglob("*.md")]
TEXTS = [*PAGES, *sorted(ROOT.glob("*.md")), *sorted(ELSEWHERE)]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)


def targets(text: str) -> list[str]:
    """The relative links of a Markdown text with their anchors, pictures too; what stands in code
    is none.
    """
    text = re.sub(r"`[^`\n]*`", "code", prose(text))
    found = re.findall(r"\]\(<?([^)\s>]+)", text)
    found += re.findall(r"^ *\[[^\]]+\]: *(\S+)", text, re.MULTILINE)
    found += re.findall(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"]+)", text)
    return [path for path in found if not re.match(r"\w+:", path)]


def links(text: str) -> list[str]:
    """The files to which a text links."""
    found = [path.partition("#")[0] for path in targets(text)]
    return [path for path in found if path]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a text."""
    found: dict[str, int] = {}
    names = set(re.findall(r"<a (?:name|id)=\"([^\"]+)\"", text))
    for title in re.findall(r"^#{1,6} +(.*?)#* *$", prose(text), re.MULTILINE):
        title = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title)  # the words of a link
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def kept_by_git() -> set[Path]:
    """The files that GitHub has, and their folders; all that are here without git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        return set(ROOT.rglob("*"))
    files = {ROOT / file for file in listed.stdout.split("\0") if file}
    return files.union(*[file.parents for file in files])


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    broken = [
        link
        for link in links(path.read_text(encoding="utf-8"))
        if not (path.parent / link).exists()
    ]
    assert not broken


def test_links_are_found() -> None:
    text = """\
[a](b.md#c) ![d](e.png "a title") [f](https://g.h) [i](#j) `[k](l.md)` <img src="m.png">
- item
  ```
  [k](l.md)
  ```

[n]: o.md
"""
    assert links(text) == ["b.md", "e.png", "o.md", "m.png"]
    assert "#j" in targets(text)


def test_links_lead_to_files_that_github_has() -> None:
    """Not to what a build left here: the site's own pages, a report."""
    kept = kept_by_git()
    absent = []
    for path in TEXTS:
        for link in links(path.read_text(encoding="utf-8")):
            if (path.parent / link).resolve() not in kept:
                absent.append((name(path), link))
    assert not absent


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_every_anchor_is_a_heading(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    broken = []
    for target in targets(text):
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        if not anchor or page.suffix != ".md":
            continue
        if anchor not in anchors(page.read_text(encoding="utf-8")):
            broken.append(target)
    assert not broken


def test_anchors_are_githubs() -> None:
    text = (
        "# `hrdis fix`: a *word*\n## [A link](b.md) of 2.5 %\n## Same\n## Same\n```\n# code\n```\n"
    )
    assert anchors(text) == {"hrdis-fix-a-word", "a-link-of-25-", "same", "same-1"}


def contents() -> list[str]:
    """Every page of the site's toctrees, in order."""
    found = runpy.run_path(str(DOCS / "_site" / "contents.py"))["CONTENTS"]
    return [entry.rpartition("<")[2].rstrip(">") for entries in found.values() for entry in entries]


def test_every_page_is_in_a_toctree_once() -> None:
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in PAGES} - {"index"}
    entries = [entry for entry in contents() if entry.split("/")[0] not in MADE]
    assert sorted(entries) == sorted(pages)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_page_names_its_kind_and_leads_back(path: Path) -> None:
    """The line below the title: [Documentation](../index.md) · How-to."""
    if path == DOCS / "index.md":
        return
    kinds = {
        "tutorials": "Tutorial",
        "how-to": "How-to",
        "reference": "Reference",
        "explanation": "Explanation",
        "measurements": "",  # the name of its study
        ".": "Start",
    }
    room = path.relative_to(DOCS).parts[0] if path.parent != DOCS else "."
    line = path.read_text(encoding="utf-8").splitlines()[2]
    assert re.match(r"\[(Documentation|Measurements)\]\((\.\./)*index\.md\) · ", line)
    assert line.split(" · ")[1].startswith(kinds[room])


@pytest.mark.parametrize(
    "path", sorted((DOCS / "measurements").glob("*.md")), ids=lambda path: path.stem
)
def test_measurement_answers_first(path: Path) -> None:
    """Question, answer, caveat and data stand in this order, before the first heading."""
    if path.stem == "index":
        return
    text = path.read_text(encoding="utf-8")
    top = text.partition("\n## ")[0]
    marks = [top.find(f"**{word}.**") for word in ("Question", "Answer", "Caveat", "Data")]
    assert min(marks) > 0 and marks == sorted(marks)


@pytest.mark.parametrize(
    "path", sorted((DOCS / "measurements").glob("*.md")), ids=lambda path: path.stem
)
def test_measurement_says_when_each_table_was_made(path: Path) -> None:
    """What a study writes has a row in the list, and the page shows the rows."""
    if path.stem == "index":
        return
    text = path.read_text(encoding="utf-8")
    with (DOCS / "data" / "measured.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["page"] == path.stem]
    written = set(re.findall(r"^<!-- (\w[\w/-]*) -->$", text, re.MULTILINE)) - REMARKS
    assert rows and written <= {row["table"] for row in rows}
    shown = text.partition("<!-- measured -->")[2]
    for row in rows:
        facts = [row[name] for name in ("date", "commit", "machine", "torch", "model")]
        assert all(facts) and " | ".join(facts) in shown, row


#: Blocks of a page that hold no table, or the table of dates itself.
REMARKS = {"answer", "checks", "machine", "measured", "run"}

#: What Sphinx, MyST or docutils read, and GitHub prints as raw text.
RAW = {
    "directive": r"^ *(?:```+|~~~+|:::+) *\{[\w:.-]+\}",
    "colon fence": r"^ *:::",
    "role": r"\{[a-z][\w:+-]*\}`",
    "reST directive": r"^ *\.\. [\w-]+::",
    "reST role": r"(?<!`):[a-z]+:`",
    "label": r"^\([\w-]+\)= *$",
    "comment": r"^% ",
    "block break": r"^\+\+\+",
    "substitution": r"\{\{",
    "front matter": r"\A---\n",
}


def raw(text: str) -> list[str]:
    """The kinds of marks in a text that GitHub does not know; code may hold any but directives."""
    found = []
    for kind, pattern in RAW.items():
        outside = re.sub(r"``.*?``|`[^`\n]*`(?!`)", lambda code: "`" + "`", prose(text))
        if re.search(pattern, text if kind == "directive" else outside, re.MULTILINE):
            found.append(kind)
    return found


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_github_shows_the_whole_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.relative_to(ROOT).parts[:2] == (".github", "ISSUE_TEMPLATE"):
        text = text.removeprefix("---\n")  # GitHub reads what stands there
    assert not raw(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("```{toctree}\n```\n", "directive"),
        ("  ```{literalinclude} a.py\n  ```\n", "directive"),
        (":::{note}\n:::\n", "colon fence"),
        ("See {doc}`index`.", "role"),
        (".. note:: x", "reST directive"),
        ("See :func:`f`.", "reST role"),
        ("(a-label)=\n# Title", "label"),
        ("{{ version }}", "substitution"),
        ("---\na: b\n---\n", "front matter"),
    ],
)
def test_marks_that_github_does_not_know_are_found(text: str, kind: str) -> None:
    assert kind in raw(text)


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_every_picture_says_what_it_shows(path: Path) -> None:
    for words in re.findall(r"!\[(.*?)\]\(", path.read_text(encoding="utf-8")):
        assert len(words.split()) >= 5


# ---- the faults


RELIABILITY = DOCS / "reference" / "reliability.md"


def named_tests(text: str) -> list[tuple[str, str]]:
    """The (file, test) pairs of links such as [`test_a`](../../tests/test_b.py)."""
    return [
        (path, test) for test, path in re.findall(r"\[`(test_\w+)`\]\(\.\./\.\./(\S+?)\)", text)
    ]


def functions(path: str) -> set[str]:
    """The names of the tests in a file."""
    return set(re.findall(r"^def (test_\w+)\(", (ROOT / path).read_text("utf-8"), re.MULTILINE))


def test_every_fault_of_the_table_names_tests_that_exist() -> None:
    lines = RELIABILITY.read_text(encoding="utf-8").splitlines()
    numbers = [int(found[1]) for line in lines if (found := re.match(r"\| (\d+) \|", line))]
    assert numbers == list(range(1, 43))
    for line in lines:
        if re.match(r"\| (\d+|[A-Za-z].*) \|", line) and "---" not in line:
            names = named_tests(line)
            assert names or line.startswith("| fault"), line
            missing = [test for path, test in names if test not in functions(path)]
            assert not missing


def test_named_tests_are_found() -> None:
    assert named_tests("[`test_a`](../../tests/b.py)<br>[`c`](../../tests/d.py)") == [
        ("tests/b.py", "test_a")
    ]
    assert "test_named_tests_are_found" in functions("tests/test_docs.py")


# ---- the site
# ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it, in another folder."""
    for package in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(
            package, reason=f"{package} is not installed: pip install 'hrdis[docs]'"
        )
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-E",
        "-W",
        "--keep-going",
        "-d",
        out / "trees",
        DOCS,
        out / "html",
    ]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return out / "html"


@pytest.mark.slow
def test_site_has_a_page_for_every_solver_with_its_code(site: Path) -> None:
    for key, (cls, presets) in hrdis.SOLVERS.items():
        page = html.unescape(
            re.sub(r"<[^>]+>", "", (site / "solvers" / f"{key}.html").read_text(encoding="utf-8"))
        )
        assert "def run(self, prior: Prior, problem: Problem" in page
        assert f"class hrdis.{cls.__name__}(" in page
        assert all(preset in page for preset in presets)


@pytest.mark.slow
def test_site_documents_every_public_name(site: Path) -> None:
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    documented = {
        full for kind, names in inventory.items() if kind.startswith("py:") for full in names
    }
    wanted = {f"hrdis.{public}" for public in hrdis.__all__}
    for room in (hrdis.operators, hrdis.priors):
        for public, found in vars(room).items():
            if not public.startswith("_") and str(getattr(found, "__module__", "")).startswith(
                f"{room.__name__}."
            ):
                short = f"hrdis.{public}"
                wanted.add(short if short in wanted else f"{room.__name__}.{public}")
    assert not wanted - documented


@pytest.mark.slow
def test_site_asks_no_other_machine_for_anything(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]+)"
    )
    asked = {
        path.name: loads.findall(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    assert len(asked) > 50
    assert not {page: urls for page, urls in asked.items() if urls}
    css = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", css)


@pytest.mark.slow
def test_links_of_the_site_lead_to_its_pages(site: Path) -> None:
    missing = set()
    for path in set(site.rglob("*.html")) - set((site / "_downloads").rglob("*.html")):
        for link in re.findall(r"href=\"([^\"#:?]+)[\"#?]", path.read_text(encoding="utf-8")):
            if not (path.parent / link).exists():
                missing.add((path.name, link))
    assert not missing


def test_version_of_torch_that_pages_install_is_the_pinned_one() -> None:
    """pip would replace any other, by the build for CUDA."""
    pinned = re.search(r"^torch==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    for name in ("README.md", "docs/install.md", "Containerfile"):
        named = re.findall(r"torch==([\d.]+)", (ROOT / name).read_text(encoding="utf-8"))
        assert named and set(named) == {pinned[1]}, name


def test_packages_with_hashes_have_the_pinned_versions() -> None:
    """Else what is checked is not what the tests ran with."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip())
    pins = set(re.findall(r"^(\S+==\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    for entry in entries:
        assert entry.split()[0] in pins and "--hash=sha256:" in entry, entry
    assert any(entry.startswith("gradio==") for entry in entries)
