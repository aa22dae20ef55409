"""``hrdis fix``: one picture, folders, going on, what is refused."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hrdis import cli, images
from tests.common.photographs import noisy, photograph, stored
from tests.diagnosis.test_stamp import dated

SIDE = 96


def picture(path: Path, levels: float = 15.0) -> Path:
    images.save(path, stored(noisy(photograph(side=SIDE), levels)))
    return path


def test_picture_is_mended_beside_itself(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    assert cli.main(["fix", str(tmp_path / "a.png")]) == 0
    record = json.loads((tmp_path / "a-fixed.png.json").read_text())
    assert record["changed"]
    assert record["diagnosis"]["noise"]["found"] == "yes"
    assert images.read(tmp_path / "a-fixed.png").size == (SIDE, SIDE)


def test_the_line_of_the_record_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(Path("a.png"))
    assert cli.main(["fix", "a.png"]) == 0
    line = json.loads(Path("a-fixed.png.json").read_text())["command"].split()
    assert line[:2] == ["hrdis", "fix"]
    assert cli.main([*line[1:-1], "again.png"]) == 0
    # the level in the line has two decimals: most pixels are the same, none differs by 2 levels
    first, again = images.read("a-fixed.png").x, images.read("again.png").x
    assert float((first - again).abs().max()) < 2.1 * 2 / 255


def test_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png")
    assert cli.main(["fix", str(tmp_path / "a.png"), "--dry-run"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert "noise: yes" in capsys.readouterr().out


def test_folder_keeps_names_goes_on_after_a_failure_and_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    album = tmp_path / "album"
    (album / "sub").mkdir(parents=True)
    picture(album / "a.png")
    picture(album / "sub" / "b.png", levels=0.0)
    (album / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert cli.main(["fix", str(album), "-o", str(out)]) == 1
    assert (out / "a.png").is_file()
    assert (out / "sub" / "b.png").read_bytes() == (album / "sub" / "b.png").read_bytes()
    assert capsys.readouterr().err.count("broken.png") >= 1

    # a kill in the middle leaves a record that says so: that one is done again, no other
    record = json.loads((out / "sub" / "b.png.json").read_text())
    (out / "sub" / "b.png.json").write_text(json.dumps(record | {"unfinished": True}))
    before = os.stat(out / "a.png").st_mtime_ns
    (album / "broken.png").unlink()
    assert cli.main(["fix", str(album), "-o", str(out)]) == 0
    assert os.stat(out / "a.png").st_mtime_ns == before
    assert json.loads((out / "sub" / "b.png.json").read_text()) == record | {
        "seconds": pytest.approx(record["seconds"], abs=60)
    }


@pytest.mark.parametrize("name", ["a-fixed.png", "a-fixed.png.json"])
def test_no_file_of_a_stranger_is_replaced(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / name).write_bytes(b"a stranger's")
    assert cli.main(["fix", str(tmp_path / "a.png")]) == 2
    assert f"{name} exists" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == b"a stranger's"


def test_enlarged_side_that_a_format_cannot_hold_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.save(tmp_path / "a.png", torch.zeros(3, 2, 8200))
    words = ["--upscale", "2", "-o", str(tmp_path / "a.webp")]
    assert cli.main(["fix", str(tmp_path / "a.png"), *words]) == 2
    assert "16400 x 4 pixels, but this format ends at 16383" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["absent.png"],
        ["a.png", "--only", "dust"],
        ["a.png", "--strength", "3"],
        ["a.png", "--noise", "0"],
        ["a.png", "--upscale", "3"],
        ["a.png", "-o", "a.png"],
        ["a.png", "-o", "a.xyz"],
        ["text.png"],
        ["a.png", "a.png"],
        ["empty"],
        ["a.png", "--only", ","],
        ["a.png", "--only="],
        ["a.png", "--strength", "0"],
    ],
)
def test_bad_input_is_refused_in_one_line_before_any_work(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    picture(Path("a.png"))
    Path("text.png").write_text("text")
    Path("empty").mkdir()
    there = sorted(path.name for path in tmp_path.iterdir())
    assert cli.main(["fix", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == there


# ---- a printed date -----------------------------------------------------------------------------


@pytest.fixture
def print_with_date(tmp_path: Path) -> tuple[Path, torch.Tensor, np.ndarray]:
    """A file with a date, the photograph without it, and where the strokes are."""
    pixels = photograph("chelsea.png", shrink=1, side=160)
    stamped, there = dated(pixels, height=9)
    images.save(tmp_path / "a.png", stored(stamped))
    return tmp_path / "a.png", stored(pixels), there


def test_date_is_said_and_left_unless_it_is_named(
    print_with_date: tuple[Path, torch.Tensor, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    given, _, there = print_with_date
    out = given.with_name("out.png")
    assert cli.main(["fix", str(given), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "A date stamp of 5 digits at the lower right" in said.out + said.err
    assert out.read_bytes() == given.read_bytes()
    mask = images.read_mask(given.with_name("out.mask.png"), "white") == 0
    assert mask[there].all()


def test_date_that_is_named_is_filled_and_nothing_else(
    print_with_date: tuple[Path, torch.Tensor, np.ndarray],
) -> None:
    given, whole, there = print_with_date
    out = given.with_name("out.png")
    assert cli.main(["fix", str(given), "--only", "stamp", "-o", str(out)]) == 0
    mask = images.read_mask(given.with_name("out.mask.png"), "white") == 0
    y, x = images.read(given).x, images.read(out).x
    assert torch.equal(x[..., ~mask], y[..., ~mask])
    strokes = torch.from_numpy(there)
    before, after = (float((z - whole)[..., strokes].square().mean()) for z in (y, x))
    assert after < before / 10  # 10 dB
    line = json.loads(out.with_name("out.png.json").read_text())["command"]
    assert line == f"hrdis fix {given} --only stamp -o OUT.png"


def test_mask_of_a_date_is_edited_and_passed_back(
    print_with_date: tuple[Path, torch.Tensor, np.ndarray],
) -> None:
    given, _, there = print_with_date
    out, hole = given.with_name("out.png"), given.with_name("out.mask.png")
    words = ["restore", str(given), "--task", "inpaint", "--solver", "ddnm", "--steps", "2"]
    assert cli.main([*words, "--mask", "auto", "-o", str(out)]) == 0
    mask = images.read_mask(hole, "white")
    assert (mask == 0)[there].all()
    mask[..., -40:] = 1  # by hand: the last digits stay
    edited = given.with_name("edited.png")
    images.save(edited, images.from_unit(1 - mask.float()[None]))
    again = given.with_name("again.png")
    assert cli.main([*words, "--mask", str(edited), "-o", str(again)]) == 0
    x, y = images.read(again).x, images.read(given).x
    assert torch.allclose(x[..., -40:], y[..., -40:], atol=1e-3)  # two readings of the same 8 bits
    assert not torch.allclose(x, y, atol=0.1)
