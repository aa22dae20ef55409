"""Which pictures of files and folders are worked on, and where the result of each goes."""

import os
import re
from pathlib import Path

import pytest

from hrdis.bench.plan.pictures import find_pictures
from hrdis.fixing import many
from hrdis.images import into_folder, pictures_in
from hrdis.training.photographs import find_images
from tests.cli.test_cli import photo

#: Files of a folder, and which of them are pictures to work on.
FOLDERS: dict[str, tuple[list[str], list[str]]] = {
    "upper case": (["b.PNG", "a.JPeG"], ["a.JPeG", "b.PNG"]),
    "sub-folders": (["x/y/z/a.png", "a.png"], ["a.png", "x/y/z/a.png"]),
    "hidden file": (["a.jpg", "._a.jpg", ".b.png"], ["a.jpg"]),
    "hidden folder": (["a.jpg", ".thumbnails/a.jpg", "x/.trash/b.png"], ["a.jpg"]),
    "other files": (["a.png", "notes.txt", "png", ".png", "a.png.json"], ["a.png"]),
    "odd names": (["a b.png", "ü☃.png", "-d.png", "..x/a.png", "%s[x].png"],
                  ["%s[x].png", "-d.png", "a b.png", "ü☃.png"]),
}  # fmt: skip


def make(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(("names", "expected"), FOLDERS.values(), ids=FOLDERS)
def test_folder_gives_its_pictures_but_no_hidden_ones(
    names: list[str], expected: list[str], tmp_path: Path
) -> None:
    make(tmp_path, names)
    assert [str(path.relative_to(tmp_path)) for path in pictures_in(tmp_path)] == expected


def test_folder_whose_own_name_is_hidden_gives_its_pictures(tmp_path: Path) -> None:
    make(tmp_path, [".cache/a.png"])
    assert pictures_in(tmp_path / ".cache") == [tmp_path / ".cache/a.png"]


@pytest.mark.parametrize(
    "listed",
    [
        lambda folder: many.errands([folder], folder.parent / "out"),
        find_images,
        lambda folder: find_pictures(folder),
    ],
    ids=["fix and restore", "train and tune", "bench"],
)
def test_sub_folder_that_cannot_be_listed_is_named(
    listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pictures would be missing among the results, without a word."""
    (tmp_path / "in" / "shut").mkdir(parents=True)
    photo(tmp_path / "in" / "a.png")
    scandir = os.scandir

    def refuse(place):
        if str(place).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"shut cannot be listed \(Permission denied\)"):
        listed(tmp_path / "in")


@pytest.mark.parametrize(
    "sources", [["a.png", "a.png"], ["a.png", "./x/../a.png"], ["x", "x"], ["x", "x/b.png"]]
)
def test_picture_that_is_given_twice_is_worked_on_once(
    sources: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, ["a.png", "x/b.png"])
    monkeypatch.chdir(tmp_path)
    assert len(into_folder([Path(source) for source in sources], Path("out"))) == 1


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (".", "album-fixed"),
        ("..", "../tree-fixed"),
        ("sub", "sub-fixed"),
        ("./sub/..", "album-fixed"),
    ],
)
def test_default_folder_of_results_lies_beside_the_folder_of_pictures(
    folder: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, ["tree/album/sub/a.png"])
    monkeypatch.chdir(tmp_path / "tree" / "album")
    found = many.folder_of([Path(folder)], None)
    beside = tmp_path / "tree" / "album" / (expected if folder == "sub" else f"../{expected}")
    assert found.resolve() == beside.resolve()


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["x/a.png", "y/a.png"], "the folder they lie in"),
        (["x/a.heic", "x/a.png"], "Rename one"),
        (["x/a.cr2", "x/a.heic"], "Rename one"),
    ],
)
def test_pictures_that_would_become_one_are_named_with_a_way_out(
    sources: list[str], said: str, tmp_path: Path
) -> None:
    make(tmp_path, sources)
    first, second = (re.escape(str(tmp_path / source)) for source in sources)
    with pytest.raises(ValueError, match=f"{first} and {second} would both become .*{said}"):
        into_folder([tmp_path / source for source in sources], tmp_path / "out")


def test_folder_of_results_that_is_named_like_a_picture_is_refused(tmp_path: Path) -> None:
    make(tmp_path, ["x/a.png"])
    with pytest.raises(ValueError, match="names a picture"):
        many.errands([tmp_path / "x"], tmp_path / "out.png")
    (tmp_path / "out.png").mkdir()
    assert many.errands([tmp_path / "x"], tmp_path / "out.png")
