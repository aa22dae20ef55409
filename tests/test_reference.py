"""The reference is what the code says: `python docs/_site/reference.py` writes it anew."""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tyro
from PIL import Image

import hrdis
from hrdis import cli
from hrdis.cli import parsing
from hrdis.cli.help import options_of
from hrdis.fixing.record import FixRecord
from hrdis.restoration.record import DamageRecord, Record
from tests.common import messages

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "_site"
pytestmark = pytest.mark.skipif(
    not SITE.exists(), reason="no docs/ here: not a clone of the repository"
)


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that writes the reference, imported as it imports its neighbours."""
    monkeypatch.syspath_prepend(str(SITE))
    return importlib.import_module("reference")


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    monkeypatch.syspath_prepend(str(SITE))
    return importlib.import_module("variables").VARIABLES


def test_pages_are_what_the_program_writes(reference: ModuleType) -> None:
    stale = []
    for path, text in reference.pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
    assert not stale, "python docs/_site/reference.py writes them anew"


def test_no_page_of_a_command_is_left_over(reference: ModuleType) -> None:
    folder = SITE.parent / "reference" / "commands"
    assert {path.stem for path in folder.glob("*.md")} == set(cli.COMMANDS)


WORDS = [
    ["fix"], ["restore"], ["serve"], ["demo"], ["list", "solvers"], ["cite"], ["model"], ["train"],
    ["tune"], ["degrade"], ["check", "operator"], ["replay"], ["bench"], ["bench", "report"],
    ["bench", "score"],
]  # fmt: skip


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_page_has_the_options_that_the_parser_reads(
    reference: ModuleType, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The page and the help are made from the classes of the options; tyro shows what it reads."""
    _, cls, groups = reference.read_by(words)
    with pytest.raises(SystemExit):
        tyro.cli(parsing.combined(cls, groups), args=["--help"], config=parsing.CONFIG)
    option = r"^[│ ] ?(?:-\w[^,]*, )?(--[a-z][a-z0-9-]*)"  # meanings are further to the right
    parsed = set(re.findall(option, capsys.readouterr().out, re.M)) - {"--help"}
    shown: set[str] = set()
    for own, values in [(cls, None), *((type(values), values) for values in groups.values())]:
        for shown_as, *_ in reference.option_rows(options_of(own, values)):
            shown |= set(re.findall(r"--[a-z0-9-]+", shown_as))
    assert shown == parsed
    assert parsed or words == ["list", "solvers"]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_help_is_no_source_code(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No types, no name of a field or a class, and no line that is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    said = capsys.readouterr().out
    examples, options = said.partition("\nOptions:")[::2]
    assert not re.findall(
        r"\{None\}|\bSTR\b|\bINT\b|\bFLOAT\b|default: (?:None|True|'')|\[\[", said
    )
    assert not re.findall(
        r"[a-z]+_[a-z]+|``", re.sub(r"\S+\.(?:pth?|npz)\b|alpha_bar|x0_hat", "", options)
    )
    assert max(map(len, options.splitlines())) <= 80
    assert examples.startswith(f"usage: hrdis {' '.join(words)} ")


def sources(folder: Path) -> Iterator[ast.AST]:
    for path in folder.rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_every_variable_that_the_package_reads_is_listed(
    variables: dict[str, tuple[str, str]],
) -> None:
    """Names in capitals that stand in brackets, or first in a call, behind an environment."""
    read = set()
    for node in sources(Path(hrdis.__file__).parent):
        name: ast.AST | None = None
        if isinstance(node, ast.Subscript):
            of, name = ast.unparse(node.value), node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            of, name = ast.unparse(node.func.value), node.args[0]
        if isinstance(name, ast.Constant) and of.endswith(("environ", "environment")):
            read |= {name.value} if str(name.value).isupper() else set()
    assert read == {name for name, (reader, _) in variables.items() if reader == "hrdis"}


def test_every_exit_status_is_listed() -> None:
    """Whole numbers that a command returns or hands to `fail`; those of signals are 128 more."""
    found = {128 + number for number in (1, 15)}  # SIGHUP, SIGTERM
    for node in sources(Path(cli.__file__).parent):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "fail":
            if isinstance(node.args[2], ast.Constant):  # a signal's is computed
                found.add(ast.literal_eval(node.args[2]))
        elif isinstance(node, ast.Return) and type(getattr(node.value, "value", None)) is int:
            found.add(ast.literal_eval(node.value))
    assert found == set(cli.STATUS)


# ---- records ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small picture."""
    made = tmp_path_factory.mktemp("records")
    grey = np.linspace(0, 255, 32, dtype=np.uint8)
    Image.fromarray(np.stack([np.add.outer(grey // 2, grey // 2)] * 3, -1)).save(made / "good.png")
    return made


def written(path: Path) -> set[str]:
    """Names of the fields of a record; mypy compares their types with the class."""
    return set(json.loads(path.read_text(encoding="utf-8")))


def test_record_of_a_restoration_has_the_fields_of_its_class(folder: Path) -> None:
    words = ["restore", str(folder / "good.png"), "--task", "denoise", "--noise", "25"]
    words += ["--solver", "hrdis", "--steps", "1", "--start", "100"]
    assert cli.main([*words, "-o", str(folder / "restored.png")]) == 0
    assert written(folder / "restored.json") == Record.__required_keys__ | {"files"}


def test_record_of_a_damage_has_the_fields_of_its_class(folder: Path) -> None:
    words = ["degrade", str(folder / "good.png"), "--task", "denoise", "--noise", "25"]
    assert cli.main([*words, "-o", str(folder / "damaged.png")]) == 0
    assert written(folder / "damaged.json") == set(DamageRecord.__annotations__)


def test_record_of_a_fix_has_the_fields_of_its_class(folder: Path) -> None:
    assert cli.main(["fix", str(folder / "good.png"), "-o", str(folder / "fixed.png")]) == 0
    assert written(folder / "fixed.png.json") == set(FixRecord.__annotations__)


# ---- messages -----------------------------------------------------------------------------------


def test_every_trouble_is_a_message_that_the_tests_provoke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SITE))
    troubleshooting = importlib.import_module("troubleshooting")
    said = [entry["message"] for entry in messages.listed()]
    unknown = []
    for words, _, _ in troubleshooting.TROUBLES:
        if not any(troubleshooting.pattern(words).match(message) for message in said):
            unknown.append(words)
    assert not unknown


@pytest.mark.parametrize("words", [*WORDS, ["check", "model"]], ids=" ".join)
def test_help_says_what_a_value_is_and_not_that_it_is_text(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    assert not re.findall(r"^ +-.*\bTEXT\b", capsys.readouterr().out, re.MULTILINE)
