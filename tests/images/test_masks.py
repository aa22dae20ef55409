"""Masks and kernels in files: painted pictures, arrays, and Palette's packed file."""

import re
import warnings
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from hrdis import images
from hrdis.operators import Blur, kernels, masks
from tests.common.toys import MILD

BANDS = [(0.1, 0.2), (0.2, 0.3), (0.3, 0.4)]

# ---- from a file --------------------------------------------------------------------------------

PAINTED = np.zeros((6, 8), dtype=bool)
PAINTED[1:4, 2:7] = True
KEPT = torch.from_numpy(~PAINTED).float()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("hole", ["white", "black"])
def test_painted_picture_of_any_mode_is_read(tmp_path, mode, hole):
    bright = PAINTED if hole == "white" else ~PAINTED
    Image.fromarray((bright * 255).astype(np.uint8)).convert(mode).save(tmp_path / "mask.png")
    assert torch.equal(images.read_mask(tmp_path / "mask.png", hole), KEPT)


def test_painted_picture_of_sixteen_bits_is_split_at_its_own_middle(tmp_path):
    Image.fromarray(np.where(PAINTED, 50000, 10000).astype(np.uint16)).save(tmp_path / "mask.png")
    assert torch.equal(images.read_mask(tmp_path / "mask.png"), KEPT)


def test_painted_picture_is_split_at_mid_grey(tmp_path):
    Image.fromarray(np.where(PAINTED, 128, 127).astype(np.uint8)).save(tmp_path / "mask.png")
    assert torch.equal(images.read_mask(tmp_path / "mask.png"), KEPT)


def test_transparent_pixels_are_holes(tmp_path):
    picture = np.full((6, 8, 4), 255, dtype=np.uint8)
    picture[PAINTED, 3] = 0
    Image.fromarray(picture).save(tmp_path / "mask.png")
    assert torch.equal(images.read_mask(tmp_path / "mask.png", "alpha"), KEPT)


@pytest.mark.parametrize(
    ("hole", "paint", "hidden"), [("white", 255, 255), ("white", 255, 0), ("black", 0, 0)]
)
def test_transparent_pixels_of_a_painted_layer_were_not_painted(tmp_path, hole, paint, hidden):
    picture = np.full(
        (6, 8, 4), hidden, dtype=np.uint8
    )  # editors keep any colour under full transparency
    picture[..., 3] = 0
    picture[PAINTED] = (paint, paint, paint, 255)
    Image.fromarray(picture).save(tmp_path / "mask.png")
    assert torch.equal(images.read_mask(tmp_path / "mask.png", hole), KEPT)


@pytest.mark.parametrize(
    ("value", "hole", "said"),
    [
        (76, "white", "no pixel as a hole: from 0% to 30% of white"),
        (76, "black", "every pixel as a hole: from 0% to 30% of white"),
    ],
)
def test_picture_without_contrast_is_refused(tmp_path, value, hole, said):
    Image.fromarray((PAINTED * value).astype(np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=rf"mask\.png marks {re.escape(said)}"):
        images.read_mask(tmp_path / "mask.png", hole)


def test_mask_of_0_and_1_in_a_picture_is_refused_with_what_to_write(tmp_path):
    Image.fromarray(PAINTED.astype(np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(
        ValueError, match=r"mask\.png holds 0 and 1 of 255, .* write it with 255 \* mask\.$"
    ):
        images.read_mask(tmp_path / "mask.png")


def test_array_of_complex_numbers_is_no_mask(tmp_path):
    """Its imaginary part would be dropped without a word."""
    np.save(tmp_path / "mask.npy", np.eye(4) * (1 + 0j))
    with pytest.raises(ValueError, match=r"\(4, 4\). A \(h, w\) array of 0 and 1 is expected"):
        images.read_mask(tmp_path / "mask.npy")


@pytest.mark.parametrize("hole", ["white", "black"])
def test_soft_edges_of_a_stroke_belong_to_the_hole(tmp_path, hole):
    """They mix the damage into the picture; what is as grey far from any stroke is noise of the
    file.
    """
    white = np.zeros((30, 40))
    white[10:20, 10:20] = 1
    white[10:20, 8:10] = (0.06, 0.3)
    white[25, 35] = 0.3
    picture = white if hole == "white" else 1 - white
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(tmp_path / "mask.png")
    expected = np.ones((30, 40), np.float32)
    expected[10:20, 8:20] = 0
    assert torch.equal(images.read_mask(tmp_path / "mask.png", hole), torch.from_numpy(expected))


@pytest.mark.parametrize("width", [1, 3, 6])
@pytest.mark.parametrize("hole", ["white", "black", "alpha"])
def test_wide_soft_edges_belong_to_the_hole(tmp_path, hole, width):
    """However wide a brush fades: what it covers by more than 5 % would stay as a halo."""
    away = np.hypot(*(np.mgrid[:48, :48] - 23.5)) - 8
    cover = np.clip(1 - away / (3 * width), 0, 1)
    light = ((cover if hole == "white" else 1 - cover) * 255).round().astype(np.uint8)
    picture = np.dstack([np.full((48, 48, 3), 90, np.uint8), light]) if hole == "alpha" else light
    Image.fromarray(picture).save(tmp_path / "mask.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mask that is soft all over is doubted, too
        mask = images.read_mask(tmp_path / "mask.png", hole)
    assert torch.equal(mask, torch.from_numpy(((cover * 255).round() <= 12).astype(np.float32)))


def test_lines_thinner_than_a_pixel_are_told(tmp_path):
    white = np.zeros((40, 40))
    white[4:12, 4:12] = 1
    white[30, 2:38] = 0.4
    Image.fromarray((white * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    with pytest.warns(
        UserWarning,
        match=r"36 pixels of .*mask\.png are between 25% and 50% white and touch no hole",
    ):
        images.read_mask(tmp_path / "mask.png")


#: Files in the place of a mask, and what is said of them.
OTHER = {
    "missing.png": "does not exist",
    "missing.npy": "does not exist",
    "words.png": "is no picture that can be read",
    "empty.png": "is empty",
    "zip.npy": "cannot be read as an array",
    "huge.npy": "cannot be read as an array",
    "nan.tif": "holds 1 values that are no numbers",
    "percent.tif": "holds values from 0 to 100",
    "labels.png": "marks no pixel as a hole: from 0% to 2% of white",
}


@pytest.mark.parametrize("name", OTHER)
def test_file_that_is_no_mask_is_told_in_one_line(tmp_path, name):
    (tmp_path / "words.png").write_text("words")
    (tmp_path / "empty.png").touch()
    np.savez(tmp_path / "zip.npz", PAINTED)
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000), }\n"
    (tmp_path / "huge.npy").write_bytes(
        b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    )
    nan = PAINTED.astype(np.float32)
    nan[0, 0] = np.nan
    Image.fromarray(nan).save(tmp_path / "nan.tif")
    Image.fromarray(PAINTED.astype(np.float32) * 100).save(tmp_path / "percent.tif")
    Image.fromarray(PAINTED.astype(np.uint8) * 4).save(tmp_path / "labels.png")
    with pytest.raises(ValueError, match=rf"^\S*{name} {OTHER[name]}.*$"):
        images.read_mask(tmp_path / name)


def test_photograph_in_the_place_of_the_mask_is_doubted(tmp_path):
    Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (16, 1))).save(tmp_path / "photo.png")
    with pytest.warns(
        UserWarning, match=r"photo\.png is grey in 50% of its pixels, as a photograph is\."
    ):
        images.read_mask(tmp_path / "photo.png")


def test_painted_mask_with_soft_edges_is_not_doubted(tmp_path, recwarn):
    big = Image.fromarray((np.kron(PAINTED, np.ones((80, 80))) * 255).astype(np.uint8))
    big.resize((80, 60)).save(tmp_path / "mask.jpg", quality=70)
    images.read_mask(tmp_path / "mask.jpg")
    assert not recwarn.list


def test_picture_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    stored = np.rot90(PAINTED)  # counterclockwise, so that it is shown as painted
    Image.fromarray((stored * 255).astype(np.uint8)).save(tmp_path / "mask.png", exif=exif)
    assert torch.equal(images.read_mask(tmp_path / "mask.png"), KEPT)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float64])
@pytest.mark.parametrize("hole", ["white", "black"])
def test_array_of_zeros_and_ones_is_read(tmp_path, dtype, hole):
    np.save(tmp_path / "mask.npy", (PAINTED if hole == "white" else ~PAINTED).astype(dtype))
    assert torch.equal(images.read_mask(tmp_path / "mask.npy", hole), KEPT)


def test_picture_without_transparency_is_refused_where_alpha_was_asked_for(tmp_path):
    Image.fromarray(PAINTED).save(tmp_path / "mask.png")
    with pytest.raises(
        ValueError,
        match=r"mask.png has no transparency\. A picture with an alpha channel is expected",
    ):
        images.read_mask(tmp_path / "mask.png", "alpha")


def test_array_is_refused_where_alpha_was_asked_for(tmp_path):
    np.save(tmp_path / "mask.npy", PAINTED)
    with pytest.raises(ValueError, match=r"mask.npy has no transparency\."):
        images.read_mask(tmp_path / "mask.npy", "alpha")


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4)), np.full((3, 4), 255), np.full((3, 4), 0.5)])
def test_array_of_anything_else_is_refused(tmp_path, array):
    np.save(tmp_path / "mask.npy", array)
    said = (
        rf"mask.npy holds .* and values from {array.min():g} to {array.max():g}\. A \(h, w\) array "
        r"of 0 and 1"
    )
    with pytest.raises(ValueError, match=said):
        images.read_mask(tmp_path / "mask.npy")


def test_pickled_array_is_refused(tmp_path):
    np.save(tmp_path / "mask.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read as an array"):
        images.read_mask(tmp_path / "mask.npy")


# ---- Palette's file -----------------------------------------------------------------------------


def packed(path, band=(0.1, 0.2), n=3, size=16, **others):
    """A file in Palette's layout, with n free-form masks of its band; returns the holes."""
    holes = np.stack(
        [1 - masks.freeform(size, size, band, index=k).numpy() for k in range(n)]
    ).astype(np.uint8)
    key = f"{100 * band[0]:.0f}-{100 * band[1]:.0f}% freeform"
    np.savez(path, **{key: np.packbits(holes.reshape(-1))}, **others)
    return torch.from_numpy(holes).float()


@pytest.mark.parametrize("band", BANDS)
def test_palette_masks_are_the_complement_of_the_packed_bits(tmp_path, band):
    holes = packed(tmp_path / "m.npz", band)
    for k in range(3):
        assert torch.equal(
            images.read_palette_mask(tmp_path / "m.npz", band, k, size=16), 1 - holes[k]
        )


@pytest.mark.parametrize(("index", "offset", "mask"), [(0, 3, 0), (4, 0, 1), (1, 1, 2), (2, 3, 2)])
def test_palette_mask_number_wraps_around(tmp_path, index, offset, mask):
    holes = packed(tmp_path / "m.npz")
    assert torch.equal(
        images.read_palette_mask(tmp_path / "m.npz", index=index, offset=offset, size=16),
        1 - holes[mask],
    )


def test_palette_masks_are_of_256_pixels_by_default(tmp_path):
    holes = packed(tmp_path / "m.npz", n=1, size=256)
    assert torch.equal(images.read_palette_mask(tmp_path / "m.npz"), 1 - holes[0])


def test_palette_lists_the_bands_of_a_file_that_lacks_one(tmp_path):
    packed(tmp_path / "m.npz", others=np.zeros(1))
    with pytest.raises(
        ValueError, match=r"has no '20-30% freeform'\. It holds '10-20% freeform', 'others'\."
    ):
        images.read_palette_mask(tmp_path / "m.npz", (0.2, 0.3))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(31, np.uint8),
        np.zeros(33, np.uint8),
        np.zeros(0, np.uint8),
        np.zeros((1, 32), np.uint8),
        np.ones(32),
    ],
)
def test_palette_refuses_bits_that_make_no_mask(tmp_path, values):
    np.savez(tmp_path / "m.npz", **{"10-20% freeform": values})
    with pytest.raises(
        ValueError, match=r"A row of bytes is expected, 32 for each mask of 16 x 16 pixels\."
    ):
        images.read_palette_mask(tmp_path / "m.npz", size=16)


def test_palette_refuses_a_mask_outside_its_band(tmp_path):
    np.savez(tmp_path / "m.npz", **{"10-20% freeform": np.full(32, 255, np.uint8)})
    with pytest.raises(
        ValueError,
        match=r"^Mask 0 of '10-20% freeform' in .* hides 100\.0% of the picture, outside",
    ):
        images.read_palette_mask(tmp_path / "m.npz", size=16)


@pytest.mark.parametrize("content", [None, b"", b"words", b"array"])
def test_palette_refuses_what_is_no_such_file(tmp_path, content):
    if content == b"array":
        np.save(tmp_path / "m.npy", np.zeros(3))
        content = (tmp_path / "m.npy").read_bytes()
    if content is not None:
        (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"cannot be read\. Palette's imagenet_freeform_masks\.npz is expected\."
    ):
        images.read_palette_mask(tmp_path / "m.npz")


# ---- kernels ------------------------------------------------------------------------------------


def test_kernel_is_read_from_an_array(tmp_path):
    np.save(tmp_path / "k.npy", 2 * MILD.numpy())
    torch.testing.assert_close(
        images.read_kernel(tmp_path / "k.npy"), (MILD / MILD.sum()).double(), rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_kernel_is_read_from_a_picture(tmp_path, mode):
    Image = pytest.importorskip("PIL.Image")
    values = (kernels.motion(15).numpy() / float(kernels.motion(15).max()) * 255).round()
    deep = mode == "I;16"
    image = (
        Image.fromarray((values * 200).astype(np.uint16))
        if deep
        else Image.fromarray(values.astype(np.uint8))
    )
    (image if deep else image.convert(mode)).save(tmp_path / "k.png")
    expected = torch.from_numpy(values / values.sum())
    torch.testing.assert_close(images.read_kernel(tmp_path / "k.png"), expected, rtol=0, atol=1e-12)


BAD = {
    "missing.npy": r"missing\.npy does not exist\.",
    "text.png": r"text\.png is no picture that can be read\.",
    "text.npy": r"text\.npy cannot be read as an array\.",
    "even.npy": r"even\.npy holds a kernel of 4 x 3\. Two odd sides",
    "line.npy": r"line\.npy holds a kernel of 3\. Two odd sides",
    "zero.npy": r"zero\.npy holds a kernel whose sum is 0\.",
    "nan.npy": r"nan\.npy holds a kernel whose sum is nan\.",
}


@pytest.mark.parametrize("name", BAD)
def test_file_that_is_no_kernel_is_refused(tmp_path, name):
    arrays = {
        "even": np.ones((4, 3)),
        "line": np.ones(3),
        "zero": np.zeros((3, 3)),
        "nan": np.full((3, 3), np.nan),
    }
    for stem, values in arrays.items():
        np.save(tmp_path / f"{stem}.npy", values)
    for text in ("text.png", "text.npy"):
        (tmp_path / text).write_text("words")
    with pytest.raises(ValueError, match=BAD[name]):
        images.read_kernel(tmp_path / name)


# ---- files that are not what their names say ----------------------------------------------------

TERABYTES = b"{'descr': '|u1', 'fortran_order': False, 'shape': (40000000000000,), }\n"
TERABYTES = b"\x93NUMPY\1\0" + len(TERABYTES).to_bytes(2, "little") + TERABYTES


def write_bad_array(path, name):
    """Write a file of a kind that np.load fails on in its own way."""
    if name == "zip":  # np.savez appends .npz to any other name
        with path.open("wb") as file:
            np.savez(file, np.ones((3, 3)))
    elif name == "header of terabytes":
        path.write_bytes(TERABYTES)
    elif name == "truncated":
        np.save(path, np.ones((101, 101)))
        path.write_bytes(path.read_bytes()[:-1])
    elif name == "objects":
        np.save(path, np.array([[{}]], dtype=object), allow_pickle=True)
    elif name == "complex":
        np.save(path, np.full((3, 3), 1j))
    elif name == "too large":
        np.save(path, np.ones((8001, 8001), bool))


@pytest.mark.parametrize("read", [images.read_mask, images.read_kernel])
@pytest.mark.parametrize(
    "name", ["zip", "header of terabytes", "truncated", "objects", "complex", "too large"]
)
def test_array_that_cannot_be_used_is_refused_in_one_line(tmp_path, read, name):
    write_bad_array(tmp_path / "a.npy", name)
    with pytest.raises(ValueError, match=r"^\S*a\.npy .* expected.*\.$") as caught:
        read(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["header of terabytes", "damaged"])
def test_palette_refuses_a_zip_whose_array_cannot_be_read(tmp_path, kind):
    content = TERABYTES
    if kind == "damaged":
        np.save(tmp_path / "a.npy", np.arange(4096) % 251)
        content = (tmp_path / "a.npy").read_bytes()
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("10-20% freeform.npy", content)
    if kind == "damaged":  # 0xff starts a block of a type that deflate does not have
        packed = bytearray((tmp_path / "m.npz").read_bytes())
        packed[49] = 0xFF
        (tmp_path / "m.npz").write_bytes(packed)
    with pytest.raises(ValueError, match=r"^\S*m\.npz cannot be read\. Palette's"):
        images.read_palette_mask(tmp_path / "m.npz")


def test_readers_have_their_old_names_for_one_version(tmp_path):
    np.save(tmp_path / "k.npy", MILD.numpy())
    np.save(tmp_path / "mask.npy", PAINTED)
    packed(tmp_path / "m.npz")
    with pytest.warns(DeprecationWarning, match=r"Write hrdis\.images\.read_kernel\(path\)\."):
        kernel = kernels.from_file(tmp_path / "k.npy")
    with pytest.warns(DeprecationWarning, match=r"Write hrdis\.images\.read_mask\(path, hole\)"):
        mask = masks.from_file(tmp_path / "mask.npy")
    with pytest.warns(DeprecationWarning, match=r"Write hrdis\.images\.read_palette_mask\("):
        palette = masks.palette(tmp_path / "m.npz", size=16)
    assert torch.equal(kernel, images.read_kernel(tmp_path / "k.npy"))
    assert torch.equal(mask, images.read_mask(tmp_path / "mask.npy"))
    assert torch.equal(palette, images.read_palette_mask(tmp_path / "m.npz", size=16))


def test_kernel_off_its_centre_is_told(tmp_path):
    """The blur moves the picture, and restoring moves it back; maybe it is the kernel that was cut
    out badly.
    """
    spot = np.zeros((9, 11))
    spot[1:4, 6:9] = 1
    np.save(tmp_path / "k.npy", spot)
    said = (
        r"k\.npy lies 2\.0 pixels above and 2\.0 pixels right of its centre\. .* centre the "
        r"kernel\."
    )
    with pytest.warns(UserWarning, match=said):
        images.read_kernel(tmp_path / "k.npy")


def test_kernel_of_a_file_is_the_picture_of_a_point_of_light(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    spot = np.zeros((5, 5), np.uint8)
    spot[2, 1:5] = (10, 200, 30, 15)
    spot[3, 2] = 100
    Image.fromarray(spot).save(tmp_path / "k.png")
    x = torch.zeros(1, 1, 15, 15).double()
    x[..., 7, 7] = 1
    seen = Blur(images.read_kernel(tmp_path / "k.png"))(x)[0, 0, 5:10, 5:10]
    torch.testing.assert_close(seen, torch.from_numpy(spot / spot.sum()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["0 and 1", "float", "10 bits", "transparent"])
def test_kernel_is_read_from_numbers_of_any_range(tmp_path, kind):
    """It is divided by its sum, and what hides under transparent pixels is no part of it."""
    Image = pytest.importorskip("PIL.Image")
    box = np.zeros((5, 5))
    box[1:4, 1:4] = 1
    clear = np.full((5, 5, 4), 255, np.uint8) * np.dstack([np.ones((5, 5, 3)), box]).astype(
        np.uint8
    )
    pixels = {
        "0 and 1": box.astype(np.uint8),
        "float": (3000 * box).astype(np.float32),
        "10 bits": (1023 * box).astype(np.uint16),
        "transparent": clear,
    }[kind]
    Image.fromarray(pixels).save(tmp_path / "k.tif")
    torch.testing.assert_close(
        images.read_kernel(tmp_path / "k.tif"), torch.from_numpy(box / 9), rtol=0, atol=1e-12
    )
