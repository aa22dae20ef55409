"""``hrdis restore`` on a folder: each picture as if alone, going on after failures and kills."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from hrdis import images
from hrdis.cli.before_after import INDEX, MARK
from hrdis.restoration import Restoration
from tests.cli.test_cli import photo, run
from tests.cli.test_cli import prior as prior
from tests.common.photographs import noisy, photograph, stored

NAMES = ("a.png", "sub/b.jpg", "sub/deep/ü & <c>.webp")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three pictures of three kinds, two in sub-folders."""
    folder = tmp_path / "album"
    for k, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(path, size=(20 + 2 * k, 24))
    return folder


@pytest.fixture
def words(prior: str) -> tuple[str, ...]:
    return ("--task", "upscale", "--scale", "2", "--solver", "ddnm", "--steps", "2",
            "--model", prior)  # fmt: skip


def pictures(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).is_file()}


def test_every_picture_is_restored_as_alone(
    album: Path, words: tuple[str, ...], tmp_path: Path
) -> None:
    assert run("restore", album, "-o", tmp_path / "out", *words) == 0
    for name in NAMES:
        alone = tmp_path / "alone" / name
        assert run("restore", album / name, "-o", alone, *words) == 0
    assert len(pictures(tmp_path / "out")) == 3
    assert pictures(tmp_path / "out") == pictures(tmp_path / "alone")


def test_several_pictures_go_into_a_folder(
    album: Path, words: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = (album / "a.png", album / "sub/b.jpg")
    assert run("restore", *given, "-o", tmp_path / "out", *words) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.png", "a.json", "b.jpg", "b.json", INDEX,
    }  # fmt: skip
    assert run("restore", *given, "-o", tmp_path / "out.png", *words) == 2
    assert "a folder for the results is expected" in capfd.readouterr().err


def test_picture_that_fails_is_named_and_the_others_go_on(
    album: Path, words: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (album / "a.png").write_bytes(b"no picture")
    assert run("restore", album, "-o", tmp_path / "out", *words) == 1
    assert set(pictures(tmp_path / "out")) == {*NAMES[1:]}
    said = capfd.readouterr().err
    assert "[1/3] " in said and "a.png" in said and "2 done, 0 finished before, 1 failed" in said


def test_finished_pictures_are_not_made_again(
    album: Path, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert run("restore", album, "-o", out, *words) == 0
    saved: list[str] = []
    real = Restoration.save

    def save(self: Restoration, path: Path, **options: bool) -> list[Path]:
        saved.append(path.name)
        return real(self, path, **options)

    monkeypatch.setattr(Restoration, "save", save)
    assert run("restore", album, "-o", out, *words) == 0
    assert saved == []
    photo(album / "a.png", size=(30, 24))  # another picture
    (out / NAMES[1]).unlink()  # a result that is gone
    record = out / "sub/deep/ü & <c>.json"  # a run that was killed between record and picture
    record.write_text(json.dumps({**json.loads(record.read_text()), "unfinished": True}))
    assert run("restore", album, "-o", out, *words) == 0
    assert saved == [Path(name).name for name in NAMES]
    saved.clear()
    assert run("restore", album, "-o", out, *words, "--seed", "1") == 0  # other options
    assert len(saved) == 3


def test_each_picture_gets_its_mask_from_a_folder_of_masks(
    album: Path, prior: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    masks = tmp_path / "masks"
    for k, name in enumerate(NAMES[:2]):
        path = (masks / name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        hole = np.zeros((24, 20 + 2 * k), np.uint8)
        hole[4 + 8 * k : 8 + 8 * k] = 255
        Image.fromarray(hole).save(path)
    words = ["--task", "inpaint", "--mask", masks, "--solver", "ddnm", "--steps", "2"]
    assert run("restore", album, "-o", tmp_path / "out", *words, "--model", prior) == 1
    assert "The folder of masks has none for it" in capfd.readouterr().err
    change = images.read(tmp_path / "out/a.png").x - images.read(album / "a.png").x
    rows = change.abs().amax((0, 1, 3)) > 0
    assert rows[4:8].any() and not rows[:4].any() and not rows[8:].any()
    record = json.loads((tmp_path / "out/sub/b.json").read_text())
    assert record["mask"] == str(masks / "sub/b.png")


def test_noise_is_found_in_each_picture(tmp_path: Path) -> None:
    album = tmp_path / "album"
    album.mkdir()
    for name, level in (("weak.png", 10.0), ("strong.png", 25.0)):
        images.save(album / name, stored(noisy(photograph(side=112), level)))
    words = ("--task", "denoise", "--noise", "auto")
    assert run("restore", album, "-o", tmp_path / "out", *words) == 0
    for name, level in (("weak", 10.0), ("strong", 25.0)):
        record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert 255 * record["noise"]["[0,1]"] == pytest.approx(level, rel=0.15)


def stranger(name: str) -> Callable[[Path, Path], None]:
    def write(album: Path, out: Path) -> None:
        out.mkdir()
        (out / name).write_bytes(b"a stranger's")

    return write


def twins(album: Path, out: Path) -> None:
    photo(album / "a.jpg")


@pytest.mark.parametrize(
    ("prepare", "output", "said"),
    [
        (stranger("a.png"), "out", "a.png exists, and no record"),
        (stranger(INDEX), "out", "exists, and hrdis did not write it"),
        (twins, "out", r"would both become .*a\.json"),
        (lambda album, out: None, "out.png", "names a picture. For several pictures"),
        (lambda album, out: None, "album", "is the folder of the pictures themselves"),
    ],
    ids=["result", "index", "twins", "picture", "itself"],
)
def test_what_is_in_the_way_is_refused_before_any_work(
    album: Path, words: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str],
    prepare: Callable[[Path, Path], None], output: str, said: str,
) -> None:  # fmt: skip
    prepare(album, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert run("restore", album, "-o", tmp_path / output, *words) == 2
    message = capfd.readouterr().err
    assert message.count("\n") == 1 and re.search(said, message)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


class Pictures(HTMLParser):
    """The addresses of the pictures of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.sources.append(dict(attrs)["src"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("command", ["restore", "fix"])
def test_index_shows_every_picture_before_and_after(
    album: Path, words: tuple[str, ...], prior: str, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "out"
    options = words if command == "restore" else ("--model", prior)
    assert run(command, album, "-o", out, *options) == 0
    page = (out / INDEX).read_text()
    shown = Pictures()
    shown.feed(page)
    there = [(out / unquote(source)).resolve() for source in shown.sources]
    expected = {path.resolve() for name in NAMES for path in (album / name, out / name)}
    assert set(there) == expected and len(there) == 6
    assert all(name in shown.text for name in NAMES) and MARK in page
    assert run(command, album, "-o", out, *options) == 0  # its own page is in nobody's way
