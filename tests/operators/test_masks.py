"""`hrdis.operators.masks`: what is drawn, and that a mask is a function of its seed and number."""

import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hrdis.operators import masks

BANDS = [(0.1, 0.2), (0.2, 0.3), (0.3, 0.4)]


def coverage(mask: torch.Tensor) -> float:
    return 1 - float(mask.mean())


# ---- free-form ----------------------------------------------------------------------------------


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("size", [(256, 256), (64, 96)])
def test_freeform_hides_a_share_within_its_band(band, size):
    for index in range(5):
        mask = masks.freeform(*size, band, index=index)
        assert tuple(mask.shape) == size
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert band[0] <= coverage(mask) < band[1]


def test_freeform_mask_does_not_depend_on_how_many_were_drawn_before():
    alone = masks.freeform(64, 64, index=7)
    assert torch.equal([masks.freeform(64, 64, index=k) for k in range(8)][7], alone)


def test_freeform_masks_of_other_seeds_and_numbers_differ():
    drawn = [masks.freeform(64, 64, seed=seed, index=index) for seed in (0, 1) for index in (0, 1)]
    assert len({mask.numpy().tobytes() for mask in drawn}) == 4


def test_freeform_masks_are_scaled_copies_across_sizes():
    """Strokes scale with the image: the same number of strokes hides about the same share at half
    the size.
    """
    large = [
        coverage(torch.from_numpy(1 - masks._strokes(256, 256, masks.stream(k, "test"), True)))
        for k in range(60)
    ]
    small = [
        coverage(torch.from_numpy(1 - masks._strokes(128, 128, masks.stream(k, "test"), True)))
        for k in range(60)
    ]
    assert np.mean(small) == pytest.approx(
        np.mean(large), abs=0.02
    )  # the standard error of one mean is 0.011


def test_freeform_coverage_has_the_reference_distribution():
    """4000 draws gave a mean of 0.151, 31 % below 0.1 and 41 % in [0.1, 0.2); 400 draws find that
    to 4 errors.
    """
    drawn = [
        float(masks._strokes(256, 256, masks.stream(k, "test"), True).mean()) for k in range(400)
    ]
    assert np.mean(drawn) == pytest.approx(0.151, abs=4 * 0.085 / 20)
    assert np.mean([c < 0.1 for c in drawn]) == pytest.approx(0.31, abs=4 * 0.023)
    assert np.mean([0.1 <= c < 0.2 for c in drawn]) == pytest.approx(0.41, abs=4 * 0.025)


def quarters(flip: bool) -> np.ndarray:
    drawn = np.mean(
        [masks._strokes(64, 64, masks.stream(k, "test"), flip) for k in range(300)], axis=0
    )
    return np.array([part.mean() for part in np.array_split(drawn, 4, axis=1)])


def test_freeform_is_balanced_where_it_is_flipped_and_lopsided_where_not():
    """Unflipped strokes run to the right: 6, 14, 18 and 21 % of the quarters from left to right are
    hidden.
    """
    flipped, plain = quarters(True), quarters(False)
    assert plain == pytest.approx([0.06, 0.14, 0.18, 0.21], abs=0.03)
    assert flipped[0] == pytest.approx(flipped[3], abs=0.03)


@pytest.mark.parametrize("band", [(0.2, 0.1), (0.1, 0.1), (-0.1, 0.2), (0.5, 1.1)])
def test_freeform_refuses_an_empty_band(band):
    with pytest.raises(
        ValueError, match=r"^band is .*\. Two hole fractions 0 <= low < high <= 1 are expected"
    ):
        masks.freeform(64, 64, band)


def test_freeform_refuses_a_band_out_of_reach():
    with pytest.raises(
        ValueError, match=r"^A hole fraction of 70% or more is out of reach of free-form strokes"
    ):
        masks.freeform(64, 64, (0.7, 0.8))


def test_freeform_gives_up_with_the_closest_it_saw():
    drawn = [
        float(masks._strokes(64, 64, masks.stream(0, "freeform", 0, k), True).mean())
        for k in range(3)
    ]
    closest = min(drawn, key=lambda c: max(0.4 - c, c - 0.401))
    message = (
        r"^No mask with a hole fraction in \[0.4, 0.401\) in 3 attempts at 64 x 64; the closest "
        rf"had {closest:.3f}\."
    )
    with pytest.raises(ValueError, match=message):
        masks.freeform(64, 64, (0.4, 0.401), attempts=3)


# ---- scratches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hole", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("size", [(64, 64), (48, 96)])
def test_scratches_hide_the_share_and_little_more(hole, size):
    for index in range(5):
        mask = masks.scratches(*size, hole, index=index)
        assert tuple(mask.shape) == size
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert (
            hole <= coverage(mask) < hole + 0.02
        )  # the largest stroke: a speck of 10 % of the side, squared, or a line


def test_scratches_are_a_function_of_their_seed_and_number():
    drawn = {(s, k): masks.scratches(32, 32, seed=s, index=k) for s in (0, 1) for k in (0, 1)}
    assert len({mask.numpy().tobytes() for mask in drawn.values()}) == 4
    assert torch.equal(drawn[1, 1], masks.scratches(32, 32, seed=1, index=1))


@pytest.mark.parametrize("hole", [0, 0.9, -0.1, 1.5])
def test_scratches_refuse_a_share_they_cannot_reach(hole):
    with pytest.raises(
        ValueError, match=rf"^hole is {hole}\. A hole fraction between 0 and 0.9 is expected"
    ):
        masks.scratches(32, 32, hole)


# ---- boxes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("h", "w"), [(8, 8), (16, 12)])
def test_box_is_the_centred_half_by_default(h, w):
    expected = torch.ones(h, w)
    expected[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4] = 0
    assert torch.equal(masks.box(h, w), expected)


@given(st.integers(8, 40), st.integers(8, 40), st.data())
def test_box_is_one_rectangle_within_its_margin(h, w, data):
    margin = data.draw(st.integers(0, 3))
    size = data.draw(st.integers(1, h - 2 * margin)), data.draw(st.integers(1, w - 2 * margin))
    mask = masks.box(h, w, size, margin, seed=data.draw(st.integers(0, 99)))
    hidden = (mask == 0).nonzero()
    (top, left), (bottom, right) = hidden.min(0).values.tolist(), hidden.max(0).values.tolist()
    assert (bottom - top + 1, right - left + 1) == size
    assert len(hidden) == size[0] * size[1]
    assert top >= margin and left >= margin
    assert bottom < h - margin and right < w - margin


def test_box_reaches_both_ends_of_its_range():
    tops = {int((masks.box(8, 8, (4, 4), 1, index=k) == 0).nonzero()[0, 0]) for k in range(60)}
    assert tops == {1, 2, 3}


def test_box_is_a_function_of_its_seed_and_number():
    assert torch.equal(
        masks.box(32, 32, (8, 8), seed=1, index=5), masks.box(32, 32, (8, 8), seed=1, index=5)
    )
    assert len({masks.box(32, 32, (8, 8), index=k).numpy().tobytes() for k in range(5)}) > 1


@pytest.mark.parametrize(("size", "margin"), [((9, 4), 0), ((4, 7), 1), ((0, 4), 0)])
def test_box_that_does_not_fit_is_refused_with_the_largest(size, margin):
    most = rf"At most {8 - 2 * margin} x {8 - 2 * margin} is possible"
    with pytest.raises(
        ValueError,
        match=rf"^A hole of .* with a margin of {margin} does not fit into 8 x 8\. {most}",
    ):
        masks.box(8, 8, size, margin)


def test_box_draws_both_sides_from_a_range():
    drawn = [masks.box(32, 32, range(4, 8), index=k) == 0 for k in range(60)]
    heights, widths = ({int(hole.any(axis).sum()) for hole in drawn} for axis in (1, 0))
    assert heights == widths == {4, 5, 6, 7}
    assert {int(hole.sum()) for hole in drawn} > {4 * 5, 6 * 7}  # each on its own


@pytest.mark.parametrize("size", [range(30, 20), range(5, 5)])
def test_box_refuses_a_range_of_no_sides(size):
    with pytest.raises(
        ValueError,
        match=r"^size is range\(.*\), which is empty\. A side from low to high is expected",
    ):
        masks.box(64, 64, size)


@pytest.mark.parametrize("index", range(5))
def test_box_refuses_a_range_whose_largest_does_not_fit(index):
    with pytest.raises(
        ValueError, match=r"^A hole of 13 x 13 with a margin of 2 does not fit into 16 x 16\."
    ):
        masks.box(16, 16, range(1, 14), 2, index=index)


# ---- random pixels ------------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.01, 0.99), st.integers(0, 99))
def test_random_pixels_drops_exactly_the_share(h, w, hole, seed):
    mask = masks.random_pixels(h, w, hole, seed)
    assert int((mask == 0).sum()) == int(hole * h * w)
    assert int((mask == 1).sum()) == h * w - int(hole * h * w)


def test_random_pixels_is_a_function_of_its_seed_and_number():
    drawn = {(s, k): masks.random_pixels(16, 16, seed=s, index=k) for s in (0, 1) for k in (0, 1)}
    assert len({mask.numpy().tobytes() for mask in drawn.values()}) == 4
    assert torch.equal(drawn[1, 1], masks.random_pixels(16, 16, seed=1, index=1))


def test_random_pixels_drops_a_share_of_a_range():
    shares = [1 - float(masks.random_pixels(32, 32, (0.3, 0.7), index=k).mean()) for k in range(40)]
    assert 0.29 < min(shares) < 0.4 < 0.6 < max(shares) <= 0.7
    same = masks.random_pixels(32, 32, (0.4, 0.4), 3, 1)
    assert torch.equal(same, masks.random_pixels(32, 32, 0.4, 3, 1))


@pytest.mark.parametrize("hole", [0, 1, -0.5, 1.5, (0.7, 0.3), (0.5, 1)])
def test_random_pixels_refuses_a_share_outside_0_and_1(hole):
    with pytest.raises(
        ValueError, match=rf"^hole is {re.escape(str(hole))}\. A fraction of dropped pixels"
    ):
        masks.random_pixels(8, 8, hole)


# ---- from a file --------------------------------------------------------------------------------

Image = pytest.importorskip("PIL.Image")
PAINTED = np.zeros((6, 8), dtype=bool)
PAINTED[1:4, 2:7] = True
KEPT = torch.from_numpy(~PAINTED).float()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("hole", ["white", "black"])
def test_painted_picture_of_any_mode_is_read(tmp_path, mode, hole):
    bright = PAINTED if hole == "white" else ~PAINTED
    Image.fromarray((bright * 255).astype(np.uint8)).convert(mode).save(tmp_path / "mask.png")
    assert torch.equal(masks.from_file(tmp_path / "mask.png", hole), KEPT)


def test_painted_picture_of_sixteen_bits_is_split_at_its_own_middle(tmp_path):
    Image.fromarray(np.where(PAINTED, 50000, 10000).astype(np.uint16)).save(tmp_path / "mask.png")
    assert torch.equal(masks.from_file(tmp_path / "mask.png"), KEPT)


def test_painted_picture_is_split_at_mid_grey(tmp_path):
    Image.fromarray(np.where(PAINTED, 128, 127).astype(np.uint8)).save(tmp_path / "mask.png")
    assert torch.equal(masks.from_file(tmp_path / "mask.png"), KEPT)


def test_transparent_pixels_are_holes(tmp_path):
    picture = np.full((6, 8, 4), 255, dtype=np.uint8)
    picture[PAINTED, 3] = 0
    Image.fromarray(picture).save(tmp_path / "mask.png")
    assert torch.equal(masks.from_file(tmp_path / "mask.png", "alpha"), KEPT)


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
    assert torch.equal(masks.from_file(tmp_path / "mask.png", hole), KEPT)


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
        masks.from_file(tmp_path / "mask.png", hole)


def test_mask_of_0_and_1_in_a_picture_is_refused_with_what_to_write(tmp_path):
    Image.fromarray(PAINTED.astype(np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(
        ValueError, match=r"mask\.png holds 0 and 1 of 255, .* write it with 255 \* mask\.$"
    ):
        masks.from_file(tmp_path / "mask.png")


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
    assert torch.equal(masks.from_file(tmp_path / "mask.png", hole), torch.from_numpy(expected))


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
        mask = masks.from_file(tmp_path / "mask.png", hole)
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
        masks.from_file(tmp_path / "mask.png")


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
        masks.from_file(tmp_path / name)


def test_photograph_in_the_place_of_the_mask_is_doubted(tmp_path):
    Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (16, 1))).save(tmp_path / "photo.png")
    with pytest.warns(
        UserWarning, match=r"photo\.png is grey in 50% of its pixels, as a photograph is\."
    ):
        masks.from_file(tmp_path / "photo.png")


def test_painted_mask_with_soft_edges_is_not_doubted(tmp_path, recwarn):
    big = Image.fromarray((np.kron(PAINTED, np.ones((80, 80))) * 255).astype(np.uint8))
    big.resize((80, 60)).save(tmp_path / "mask.jpg", quality=70)
    masks.from_file(tmp_path / "mask.jpg")
    assert not recwarn.list


def test_picture_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    stored = np.rot90(PAINTED)  # counterclockwise, so that it is shown as painted
    Image.fromarray((stored * 255).astype(np.uint8)).save(tmp_path / "mask.png", exif=exif)
    assert torch.equal(masks.from_file(tmp_path / "mask.png"), KEPT)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float64])
@pytest.mark.parametrize("hole", ["white", "black"])
def test_array_of_zeros_and_ones_is_read(tmp_path, dtype, hole):
    np.save(tmp_path / "mask.npy", (PAINTED if hole == "white" else ~PAINTED).astype(dtype))
    assert torch.equal(masks.from_file(tmp_path / "mask.npy", hole), KEPT)


def test_picture_without_transparency_is_refused_where_alpha_was_asked_for(tmp_path):
    Image.fromarray(PAINTED).save(tmp_path / "mask.png")
    with pytest.raises(
        ValueError,
        match=r"mask.png has no transparency\. A picture with an alpha channel is expected",
    ):
        masks.from_file(tmp_path / "mask.png", "alpha")


def test_array_is_refused_where_alpha_was_asked_for(tmp_path):
    np.save(tmp_path / "mask.npy", PAINTED)
    with pytest.raises(ValueError, match=r"mask.npy has no transparency\."):
        masks.from_file(tmp_path / "mask.npy", "alpha")


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4)), np.full((3, 4), 255), np.full((3, 4), 0.5)])
def test_array_of_anything_else_is_refused(tmp_path, array):
    np.save(tmp_path / "mask.npy", array)
    said = (
        rf"mask.npy holds .* and values from {array.min():g} to {array.max():g}\. A \(h, w\) array "
        r"of 0 and 1"
    )
    with pytest.raises(ValueError, match=said):
        masks.from_file(tmp_path / "mask.npy")


def test_pickled_array_is_refused(tmp_path):
    np.save(tmp_path / "mask.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read as an array"):
        masks.from_file(tmp_path / "mask.npy")


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
        assert torch.equal(masks.palette(tmp_path / "m.npz", band, k, size=16), 1 - holes[k])


@pytest.mark.parametrize(("index", "offset", "mask"), [(0, 3, 0), (4, 0, 1), (1, 1, 2), (2, 3, 2)])
def test_palette_mask_number_wraps_around(tmp_path, index, offset, mask):
    holes = packed(tmp_path / "m.npz")
    assert torch.equal(
        masks.palette(tmp_path / "m.npz", index=index, offset=offset, size=16), 1 - holes[mask]
    )


def test_palette_masks_are_of_256_pixels_by_default(tmp_path):
    holes = packed(tmp_path / "m.npz", n=1, size=256)
    assert torch.equal(masks.palette(tmp_path / "m.npz"), 1 - holes[0])


def test_palette_lists_the_bands_of_a_file_that_lacks_one(tmp_path):
    packed(tmp_path / "m.npz", others=np.zeros(1))
    with pytest.raises(
        ValueError, match=r"has no '20-30% freeform'\. It holds '10-20% freeform', 'others'\."
    ):
        masks.palette(tmp_path / "m.npz", (0.2, 0.3))


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
        masks.palette(tmp_path / "m.npz", size=16)


def test_palette_refuses_a_mask_outside_its_band(tmp_path):
    np.savez(tmp_path / "m.npz", **{"10-20% freeform": np.full(32, 255, np.uint8)})
    with pytest.raises(
        ValueError,
        match=r"^Mask 0 of '10-20% freeform' in .* hides 100\.0% of the picture, outside",
    ):
        masks.palette(tmp_path / "m.npz", size=16)


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
        masks.palette(tmp_path / "m.npz")
