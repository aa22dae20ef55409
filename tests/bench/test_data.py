"""The pictures of a benchmark: found, hashed, and brought to size as the papers do."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hrdis import images
from hrdis.bench.plan import find_pictures, read_sized
from hrdis.bench.plan.pictures import PACKAGE_PICTURES, package_folder


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def columns(h: int, w: int) -> np.ndarray:
    """A picture whose pixels say which column they are in."""
    return np.broadcast_to(np.arange(w)[None, :, None], (h, w, 3))


def levels(x: torch.Tensor) -> np.ndarray:
    """(1, 3, h, w) in [-1, 1] as (h, w, 3) in 0..255; every value must lie on a level."""
    values = ((x[0].permute(1, 2, 0).double() + 1) / 2 * 255).numpy()
    assert np.abs(values - values.round()).max() < 1e-4
    return values.round().astype(int)


# ---- preprocessing: tasks.md 3.1
# ------------------------------------------------------------------------


def test_picture_of_the_right_size_is_unchanged(tmp_path):
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (32, 32, 3))
    assert np.array_equal(levels(read_sized(save(tmp_path / "a.png", pixels), 32, 0)), pixels)


@pytest.mark.parametrize(("width", "first"), [(10, 0), (14, 2), (15, 2), (16, 3)])
def test_crop_to_the_square_takes_half_of_the_surplus_rounded_down(tmp_path, width, first):
    found = levels(read_sized(save(tmp_path / "a.png", columns(10, width)), 10, 0))
    assert found[0, :, 0].tolist() == list(range(first, first + 10))


def test_crop_takes_the_centre(tmp_path):
    found = levels(read_sized(save(tmp_path / "a.png", columns(20, 20)), 20, 6))
    assert found.shape == (6, 6, 3)
    assert found[0, :, 0].tolist() == [7, 8, 9, 10, 11, 12]


def test_twice_the_size_is_halved_by_means_of_four(tmp_path):
    pixels = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (32, 32, 3))
    means = pixels.reshape(16, 2, 16, 2, 3).mean((1, 3))
    found = levels(read_sized(save(tmp_path / "a.png", pixels), 16, 0))
    assert (
        np.abs(found - means).max() <= 1
    )  # rounded to a level along each axis; bicubic would differ by tens


def test_below_twice_the_size_nothing_is_halved(tmp_path):
    pixels = np.random.Generator(np.random.PCG64(2)).integers(0, 256, (31, 31, 3))
    path = save(tmp_path / "a.png", pixels)
    expected = np.asarray(Image.open(path).resize((16, 16), Image.Resampling.BICUBIC))
    assert np.array_equal(levels(read_sized(path, 16, 0)), expected)


def test_the_longer_side_is_rounded(tmp_path):
    path = save(
        tmp_path / "a.png", np.random.Generator(np.random.PCG64(3)).integers(0, 256, (30, 41, 3))
    )
    expected = np.asarray(
        Image.open(path).resize((round(41 * 20 / 30), 20), Image.Resampling.BICUBIC)
    )[:, 3:23]
    assert np.array_equal(levels(read_sized(path, 20, 0)), expected)


def test_size_zero_takes_the_picture_as_it_is(tmp_path):
    pixels = np.random.Generator(np.random.PCG64(4)).integers(0, 256, (20, 30, 3))
    assert np.array_equal(levels(read_sized(save(tmp_path / "a.png", pixels), 0, 0)), pixels)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_pictures_of_other_modes_become_colour(tmp_path, mode):
    Image.fromarray(columns(12, 12).astype(np.uint8)).convert(mode).save(tmp_path / "a.png")
    assert read_sized(tmp_path / "a.png", 12, 0).shape == (1, 3, 12, 12)


def test_deep_grey_is_not_cut_off_at_eight_bits(tmp_path):
    Image.fromarray(np.full((12, 12), 32768, np.uint16)).save(tmp_path / "a.png")
    assert levels(read_sized(tmp_path / "a.png", 12, 0))[0, 0].tolist() == [128, 128, 128]


def test_rotation_in_exif_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(columns(12, 12).astype(np.uint8)).save(tmp_path / "a.png", exif=exif)
    assert levels(read_sized(tmp_path / "a.png", 12, 0))[0, :, 0].tolist() == list(range(12))


def test_crop_larger_than_the_picture_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"has 10 x 10 pixels, less than the crop of 11\. .*--crop 10"
    ):
        read_sized(save(tmp_path / "a.png", columns(10, 10)), 10, 11)


# ---- which pictures
# --------------------------------------------------------------------------------------


def test_folder_is_searched_with_subfolders_in_the_order_of_paths(tmp_path):
    for name in ("b.png", "a/2.png", "a/1.jpg", "a/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no picture") if name.endswith("txt") else save(path, columns(12, 12))
    found = find_pictures(tmp_path)
    assert [p.name for p in found] == ["a/1.jpg", "a/2.png", "b.png"]
    assert [p.index for p in found] == [0, 1, 2]
    assert found[2].sha256 == sha256((tmp_path / "b.png").read_bytes()).hexdigest()


def test_limit_takes_the_first(tmp_path):
    for name in "cab":
        save(tmp_path / f"{name}.png", columns(12, 12))
    assert [p.name for p in find_pictures(tmp_path, limit=2)] == ["a.png", "b.png"]


def test_list_gives_order_and_labels(tmp_path):
    save(tmp_path / "n01" / "x.png", columns(12, 12))
    save(tmp_path / "y.png", columns(12, 13))  # ImageNet's validation set often lies in one folder
    listed = tmp_path / "list.txt"
    listed.write_text("n02/y.png 7\nn01/x.png 3\n")
    found = find_pictures(tmp_path, listed)
    assert [(p.name, p.label, p.index) for p in found] == [("n02/y.png", 7, 0), ("n01/x.png", 3, 1)]
    assert found[0].path == tmp_path / "y.png"


def test_list_without_labels(tmp_path):
    save(tmp_path / "x.png", columns(12, 12))
    (tmp_path / "list.txt").write_text("x.png")
    assert find_pictures(tmp_path, tmp_path / "list.txt")[0].label is None


def test_record_holds_no_path_of_this_machine(tmp_path):
    save(tmp_path / "x.png", columns(12, 12))
    assert str(tmp_path) not in str(find_pictures(tmp_path)[0].record())


def _empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def _damaged(tmp_path: Path) -> Path:
    save(tmp_path / "d" / "good.png", columns(12, 12))
    whole = save(
        tmp_path / "d" / "torn.png",
        np.random.Generator(np.random.PCG64(0)).integers(0, 256, (64, 64, 3)),
    )
    whole.write_bytes(whole.read_bytes()[:2000])
    return tmp_path / "d"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (
            lambda p: p / "absent",
            r"absent does not exist\. A folder of pictures is expected: --data FOLDER",
        ),
        (
            lambda p: save(p / "a.png", columns(9, 9)),
            r"a\.png is a file\. A folder of pictures is expected",
        ),
        (_empty, r"There is no picture in .*empty"),
        (_damaged, r"torn\.png cannot be decoded"),
    ],
)
def test_folder_is_refused(tmp_path, folder, message):
    with pytest.raises(ValueError, match=message):
        find_pictures(folder(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"The list .* cannot be read"),
        ("", r"The list .* is empty"),
        ("x.png 3\nz.png 4\n", r"z\.png, line 2 of .*, is not in"),
        ("x.png cat\n", r"Line 1 of .* is 'x\.png cat'\. 'wnid/file label' is expected"),
    ],
)
def test_list_is_refused(tmp_path, text, message):
    save(tmp_path / "x.png", columns(12, 12))
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_pictures(tmp_path, tmp_path / "list.txt")


def test_list_without_folder_is_refused():
    with pytest.raises(ValueError, match="A folder is expected: --data FOLDER"):
        find_pictures(None, Path("list.txt"))


def test_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"The limit is 0\."):
        find_pictures(limit=0)


# ---- the photographs of the package
# -----------------------------------------------------------------------


def test_shipped_photographs_are_those_of_the_folder_and_credited():
    files = {p.name for p in package_folder().iterdir() if p.suffix in images.SUFFIXES}
    credited = (package_folder() / "CREDITS.md").read_text(encoding="utf-8")
    assert files == set(PACKAGE_PICTURES)
    assert all(f"| {name} |" in credited for name in files)


@pytest.mark.parametrize("picture", find_pictures(), ids=lambda p: p.name)
def test_shipped_photograph_is_small_and_of_the_usual_size(picture):
    assert images.read(picture.path).size == (256, 256)
    assert picture.path.stat().st_size <= (130_000 if picture.name == "chelsea.png" else 60_000)
