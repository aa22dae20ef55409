"""Options that are given and would change nothing are refused in one line, before any work."""

import json
import shlex
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import hrdis
from hrdis.cli.unused import given
from hrdis.restoration import FileOptions
from tests.cli.test_cli import photo, run

OPERATOR = "restore y.npy --operator my.py:make -o out.png"
#: A command line, the option of it that changes nothing, and what is said of it.
UNUSED = {
    f"{OPERATOR} --kernel gaussian:3": "--operator takes none",
    f"{OPERATOR} --kernel k.npy": "--operator takes none",
    f"{OPERATOR} --kernel auto": "--operator takes none",
    f"{OPERATOR} --scale 4": "--operator takes none",
    f"{OPERATOR} --quality 50": "--operator takes none",
    f"{OPERATOR} --bits 3": "--operator takes none",
    f"{OPERATOR} --mask in.png": "--operator takes none",
    f"{OPERATOR} --weights w.pt": "--operator takes none",
    f"{OPERATOR} --mask-marks white": "--operator takes no mask",
    f"{OPERATOR} --effort normal": "--operator gets one solver at any effort",
    f"{OPERATOR} --image-size 12 16": "knows its size, 20 x 24",
    "restore in.png --task sr2 -o out.png --image-size 40 48": "knows the size",
    "restore in.png --task sr2 -o out.png --mask in.png": "takes none",
    "restore in.png --task sr2 -o out.png --mask-marks black": "takes no mask",
    "restore in.png --task sr2 -o out.png --mask_marks=white": "takes no mask",
    "restore in.png --task sr2 -o out.png --hole alpha": "takes no mask",
    "restore in.png --task sr2 -o out.png --kernel box:3": "takes none",
    "restore in.png --task sr2 -o out.png --kernel k.npy": "takes none",
    "restore in.png --task sr2 -o out.png --weights w.pt": "has no network",
    "restore in.png --task sr2 -o out.png --scale 2": "takes none",
    "restore in.png --task sr2 -o out.png --solver ddnm --effort normal": "for the solver auto",
    "restore in.png --task brighten -o out.png --effort high": "one solver at any effort",
    "restore in.png --task denoise -o out.png --noise 25 --no-keep-known": "decides no pixel",
    "restore in.png --task sr2 -o out.png --noise 5 --no-keep-known": "decides no pixel",
    "degrade in.png -o out.npy --operator my.py:make --scale 2": "--operator takes none",
    "degrade in.png -o out.npy --operator my.py:make --quality 20": "--operator takes none",
    "degrade in.png -o out.npy --operator my.py:make --bits 3": "--operator takes none",
    "degrade in.png -o out.npy --operator my.py:make --kernel box:3": "--operator takes none",
    "degrade in.png -o out.npy --operator my.py:make --mask in.png": "--operator takes none",
    "degrade in.png -o out.npy --operator my.py:make --weights w.pt": "--operator takes none",
    "degrade in.png -o out.png --task inpaint --mask-index 3": "no file of many masks is",
    "degrade in.png -o out.png --task inpaint --mask in.png --mask-index 0": "no file of many",
    "degrade in.png -o out.png --task sr2 --noise-kind gaussian": "no noise is added",
    "degrade in.png -o out.png --task sr2 --mask in.png": "has no holes",
    "degrade in.png -o out.png --task sr2 --weights w.pt": "has no network",
    "degrade in.png -o out.png --task sr2 --kernel box:3": "takes none",
    "fix in.png --only jpeg --noise 8": "only jpeg may be mended",
    "fix in.png --only scratches,enlarged --noise 8": "only scratches and enlarged may be",
    "fix in.png --only blur --strength 0.5": "has no strength",
    "fix in.png --only blur --strength 1": "has no strength",
    "bench plan.yaml -o run --retries 3": "no worker to try again with",
    "bench plan.yaml -o run --engine local --workers 2": "takes no --workers",
    "bench --table 9 -o run --mask-offset 0": "no file of many masks is",
    "bench --table 9 -o run --mask-offset 3 --masks folder": "no file of many masks is",
    "bench plan.yaml -o run --list list.txt": "lists files of a folder that is not given",
    "bench plan.yaml -o run --bkse w.pt": "no task of this run has its network",
    "bench --table 2 -o run --bkse w.pt": "no task of this run has its network",
    "bench plan.yaml -o run --data pictures --masks folder": "no task of this run has holes",
    "bench report run --lpips-preset red-diff": "LPIPS has no weights",
    "bench report run --lpips w.pt --lpips-preset red-diff --lpips-net alex": "says it",
    "bench score run --lpips-net vgg": "LPIPS has no weights",
    "bench score run --lpips w.pt --distance my.py:make": "--distance takes its place",
    "bench score run --lpips-range [0,1] --distance my.py:make": "place of LPIPS",
    "bench score run --inception w.pt --features my.py:make": "--features takes its place",
    "bench score run --resnet w.pt --classifier my.py:make": "--classifier takes its place",
    "bench score run --classes list.txt": "nothing to classify with",
    "bench score run --crop": "it is for ResNet-50",
    "bench score run --crop --classifier my.py:make": "it is for ResNet-50",
    "tune default pictures -o out.toml --tasks denoise --noise 0": "all noise is 0",
}
#: Options of `hrdis restore` that belong to every restoration: what is read and written, how it
#: runs, bounds (of tiles and memory), and what is said of the picture.
EVERYWHERE = {
    "image", "output", "overwrite", "task", "operator", "noise", "solver", "prior", "label",
    "samples", "seed", "device", "precision", "tile", "overlap", "tile_memory",
}  # fmt: skip
MAKE = """
import hrdis
def make():
    return hrdis.operators.Blur(hrdis.operators.kernels.gaussian(3, 1.0))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small files for all options."""
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in.png")
    (tmp_path / "my.py").write_text(MAKE)
    np.save("y.npy", np.zeros((1, 3, 20, 24), np.float32))
    np.save("k.npy", np.full((3, 3), 1 / 9, np.float32))
    (tmp_path / "w.pt").write_bytes(b"weights")
    (tmp_path / "list.txt").write_text("0.png\n")
    (tmp_path / "plan.yaml").write_text("tasks: [sr4]\nsolvers: [ddrm]\nsize: 0\n")
    (tmp_path / "pictures").mkdir()
    photo(tmp_path / "pictures" / "0.png")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("words", UNUSED)
def test_option_that_changes_nothing_is_refused_in_one_line(
    folder: Path, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    there = sorted(folder.rglob("*"))
    assert run(*shlex.split(words)) == 2
    said = capfd.readouterr().err.strip()
    *renamed, line = said.splitlines()
    assert UNUSED[words] in line
    assert all("is now" in other for other in renamed)
    assert [path for path in sorted(folder.rglob("*")) if "__pycache__" not in str(path)] == there


def test_every_option_of_restore_is_refused_somewhere_or_belongs_everywhere() -> None:
    named = {
        "size": "image-size", "hole": "mask-marks", "redraw": "no-keep-known",
    }  # fmt: skip
    for field in fields(FileOptions):
        if field.name not in EVERYWHERE:
            flag = "--" + named.get(field.name, field.name)
            assert any(line.startswith("restore") and flag in line.split() for line in UNUSED), flag


def test_options_count_with_their_value_of_default_and_in_either_spelling() -> None:
    words = ["a.png", "--mask_marks", "white", "--kernel=box:3", "-o", "b.png"]
    assert given(words) == {"mask-marks", "kernel"}


@pytest.mark.parametrize("options", [{"noise": 8.0}, {"strength": 0.5}])
def test_fix_refuses_the_same_from_python(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="only enlarged may be mended"):
        hrdis.fix(np.zeros((8, 8), np.uint8), only=["enlarged"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"operator": lambda x: x, "kernel": "box:3"}, "kernel is given, but operator takes none"),
        ({"operator": lambda x: x, "kernel": np.ones((3, 3))}, "kernel is given, but operator"),
        ({"task": "denoise", "noise": 25, "redraw": True}, "decides no pixel"),
    ],
)
def test_restore_refuses_the_same_from_python(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        hrdis.restore(np.zeros((20, 24, 3), np.uint8), **options)  # type: ignore[arg-type]


def test_dry_run_takes_the_line_as_it_would_be_run(folder: Path) -> None:
    words = ["fix", "in.png", "--dry-run", "--only", "noise", "--strength", "0.5", "-o", "x.png"]
    assert run(*words, "--upscale", "2", "--seed", "3") == 0
    assert not (folder / "x.png").exists()


def test_line_of_a_record_has_no_option_that_is_refused(folder: Path) -> None:
    """An enlargement that was sharpened has no strength, whatever was asked for."""
    record = hrdis.fix("in.png", strength=0.5, upscale=2).record
    line = json.loads(json.dumps(record))["command"]
    assert "--strength" not in line or "noise" in line or "jpeg" in line
