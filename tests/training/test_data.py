"""What training is fed with: photographs, crops, procedural images, noise levels, batches."""

import tracemalloc
import weakref
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hrdis.rng import stream
from hrdis.schedule import Schedule
from hrdis.training import photographs as folder_of
from hrdis.training.batches import (
    BatchMaker,
    ProceduralPool,
    checksum,
    draw_times,
    time_probabilities,
)
from hrdis.training.crops import Cropper, Pyramid, at_all_scales, random_colours, random_flip
from hrdis.training.model_card import command, licence_counts, weights_licence, write_card
from hrdis.training.procedural import paint
from hrdis.training.settings import TrainSettings

PALETTE = stream(0, "palette").integers(0, 256, (64, 3), dtype=np.uint8)
TINY = TrainSettings(
    steps=10,
    pixels=2048,
    patches=(16, 32),
    channels=(8, 16),
    procedural_pool=4,
    procedural=0.5,
    seed=3,
)


def noise(name, height, width):
    return stream(0, "test", name).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        Image.fromarray(noise(name, 40, 48)).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path / "photos"


def manifest(folder, rows):
    lines = ["file,author,licence", *(f"{name},somebody,{licence}" for name, licence in rows)]
    (folder.parent / "manifest.csv").write_text("\n".join(lines))


# ---- procedural images --------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(12))
def test_procedural_image_is_a_function_of_its_stream(i):
    first, second = (paint(stream(7, i), 24, PALETTE) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (24, 24, 3)
    assert np.array_equal(first, second)


def test_procedural_images_differ_from_each_other():
    assert len({paint(stream(7, i), 16, PALETTE).tobytes() for i in range(20)}) == 20


def test_procedural_images_of_one_colour_palette_stay_near_it():
    grey = np.full((4, 3), 128, np.uint8)
    means = [paint(stream(1, i), 16, grey).mean() for i in range(20)]
    assert np.mean(means) == pytest.approx(128, abs=25)


# ---- a folder of photographs --------------------------------------------------------------------


def test_folder_is_searched_with_subfolders_and_some_are_held_out(folder):
    photos = folder_of.load(folder)
    assert [path.name for path in photos.files] == ["a.png", "b.png", "c.png"]
    assert len(photos.held_out) == 1
    trained = {photos.training.pixels[s : s + 3].tobytes() for s in photos.training.starts[::3]}
    assert photos.held_out[0].reshape(-1)[:3].tobytes() not in trained


def test_unreadable_files_are_named_in_one_warning(folder):
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "empty.png").touch()
    with pytest.warns(UserWarning, match=r"broken\.jpg.*empty\.png"):
        assert len(folder_of.load(folder).files) == 3


def test_more_photographs_than_are_read_is_said(folder):
    with pytest.warns(UserWarning, match="Of 3 images 2 are read"):
        assert len(folder_of.load(folder, most=2).files) == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_folder_without_a_readable_image_is_refused(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"0 of 1 images .* Not readable: broken\.jpg"):
        folder_of.load(tmp_path)


def test_memory_is_that_of_the_photographs_and_little_more(tmp_path):
    """A folder of thousands would else be held three times over."""
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (150, 200, 3), np.uint8)
    for i in range(40):
        Image.fromarray(noise).save(tmp_path / f"{i:02d}.bmp")
    folder_of.load(tmp_path)  # imports and caches are no photographs
    tracemalloc.start()
    photographs = folder_of.load(tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = photographs.training.pixels.nbytes
    assert held > 5_000_000
    # Until it is written the array is address space, which tracemalloc counts all the same: the
    # photographs once as they are read and once as that array.
    assert most < 2.1 * held + 2_000_000


def test_each_photograph_is_let_go_when_it_has_been_copied():
    levels = [at_all_scales(np.full((30, 40, 3), i, np.uint8)) for i in range(3)]
    alive = [weakref.ref(level) for photograph in levels for level in photograph]
    queue = deque(levels)
    levels.clear()
    pyramid = Pyramid.gather(queue)
    assert not queue and not any(reference() is not None for reference in alive)
    assert pyramid.pixels.nbytes == 3 * (30 * 40 + 21 * 28 + 15 * 20) * 3


def test_reading_ends_before_there_is_more_than_memory_allows(folder):
    one = folder_of.load(folder).training.pixels.nbytes / 2  # of three, one is held out
    with pytest.warns(UserWarning, match=r"Of 3 images the first 2 are read: .*long_side than 960"):
        assert len(folder_of.load(folder, memory=2.5 * one).files) == 2


def test_a_picture_that_needs_too_much_memory_does_not_end_the_others(folder, monkeypatch):
    read = folder_of.read_image

    def short_of_memory(path, long_side):
        if path.name == "b.png":
            raise MemoryError
        return read(path, long_side)

    monkeypatch.setattr(folder_of, "read_image", short_of_memory)
    with pytest.warns(UserWarning, match=r"b\.png \(it needs more memory than there is\)"):
        assert len(folder_of.load(folder).files) == 2


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="holds no images"):
        folder_of.load(tmp_path)


def test_rotation_by_exif_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(noise("exif", 20, 30)).save(tmp_path / "r.jpg", exif=exif)
    assert folder_of.read_image(tmp_path / "r.jpg").shape == (30, 20, 3)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16", "CMYK", "1"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.full((9, 8), 65535, np.uint16))
    else:
        image = Image.fromarray(np.full((9, 8, 3), 255, np.uint8)).convert(mode)
    suffix = "tif" if mode == "CMYK" else "png"
    image.save(tmp_path / f"x.{suffix}")
    read = folder_of.read_image(tmp_path / f"x.{suffix}")
    assert read.shape == (9, 8, 3) and read.dtype == np.uint8 and (read == 255).all()


def test_large_photographs_are_reduced_to_the_long_side(tmp_path):
    Image.fromarray(noise("large", 50, 100)).save(tmp_path / "x.png")
    assert folder_of.read_image(tmp_path / "x.png", long_side=40).shape == (20, 40, 3)


def test_licences_choose_by_the_manifest(folder):
    manifest(
        folder,
        [
            ("photos/a.png", "CC0-1.0"),
            ("photos/b.png", "CC-BY-4.0"),
            ("photos/sub/c.png", "CC0-1.0"),
        ],
    )
    chosen = folder_of.find_images(folder, ["cc0-1.0"])
    assert [path.name for path in chosen] == ["a.png", "c.png"]


def test_unknown_licence_is_refused_with_those_there_are(folder):
    manifest(folder, [("photos/a.png", "CC0-1.0")])
    with pytest.raises(ValueError, match=r"names no licence MIT. It has: CC0-1.0"):
        folder_of.find_images(folder, ["MIT"])


def test_licences_without_a_manifest_are_refused(folder):
    with pytest.raises(ValueError, match=r"no manifest\.csv"):
        folder_of.find_images(folder, ["CC0-1.0"])


# ---- crops --------------------------------------------------------------------------------------


def test_crops_are_never_enlarged():
    pyramid = Pyramid.build([noise("small", 20, 90), noise("large", 64, 64)])
    assert np.unique(Cropper(pyramid, 32)._sizes, axis=0).tolist() == [[32, 32], [45, 45], [64, 64]]
    with pytest.raises(ValueError, match=r"No photograph is as large as a patch of 128 x 128"):
        Cropper(pyramid, 128)


def test_crops_come_from_photographs_in_proportion_to_their_pixels():
    light, dark = np.full((60, 60, 3), 255, np.uint8), np.zeros((20, 60, 3), np.uint8)
    cropper, rng = Cropper(Pyramid.build([light, dark]), 8), stream(0, "proportion")
    share = np.mean([cropper(rng).mean() > 127 for _ in range(1000)])
    assert share == pytest.approx(0.75, abs=0.05)  # 3.6 standard deviations


def test_turning_gives_all_eight_orientations():
    crop, rng = noise("turn", 5, 5), stream(0, "turn")
    assert len({random_flip(rng, crop).tobytes() for _ in range(200)}) == 8


def test_recolouring_leaves_half_of_the_crops_alone_and_greys_some():
    crop, rng = noise("colour", 6, 6), stream(0, "colour")
    results = [random_colours(rng, crop) for _ in range(2000)]
    untouched = np.mean([np.array_equal(result, crop) for result in results])
    grey = np.mean([(np.ptp(result.astype(int), axis=2) == 0).all() for result in results])
    assert untouched == pytest.approx(0.7 * 0.85 * (0.95 + 0.05 / 6), abs=0.04)
    assert grey == pytest.approx(0.05, abs=0.02)


def test_every_kind_of_picture_is_read_as_restore_reads_it(tmp_path):
    """One reader: a float TIFF of values from 0 to 1 was black to the trainer alone."""
    ramp = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    Image.fromarray(ramp).save(tmp_path / "f.tif")
    Image.fromarray((ramp * 65535).astype(np.uint16)).save(tmp_path / "d.png")
    expected = np.rint(255 * ramp)[..., None].repeat(3, -1)
    for name in ("f.tif", "d.png"):
        assert np.abs(folder_of.read_image(tmp_path / name) - expected).max() <= 1


def test_places_of_photographs_are_counted_in_64_bits():
    """Sums of numpy's own integer wrap at 2 GiB of pixels on some systems (Windows, numpy 1)."""
    sizes = np.array([[40_000, 20_000], [10, 10], [1, 1]], dtype=np.int64)
    pyramid = Pyramid(np.empty(0, np.uint8), sizes, np.arange(3), np.ones(3))
    assert pyramid.starts.dtype == np.int64
    assert pyramid.starts.tolist() == [0, 2_400_000_000, 2_400_000_300]


def test_image_that_another_process_has_not_written_whole_is_painted_again():
    """Its mark may be seen before its pixels: processors may show writes in another order."""
    pyramid = Pyramid.build([noise("colours", 30, 40)])
    images, painted = np.zeros((2, 24, 24, 3), np.uint8), np.zeros(2, np.int64)
    pool = ProceduralPool(pyramid, 24, 3, images, painted)
    whole = pool[1].copy()
    assert painted.tolist() == [0, checksum(whole)] and whole.any()
    images[1, 5:] = 0  # the mark is there, the lower rows are not
    assert np.array_equal(pool[1], whole) and np.array_equal(images[1], whole)


# ---- noise levels and batches -------------------------------------------------------------------


def test_noise_levels_follow_their_law():
    """Mostly ln(sigma) ~ Normal(-1.2, 1.5), at the nearest time; one in twenty is drawn evenly from
    all.
    """
    schedule, rng = Schedule.linear(), stream(0, "direct")
    probabilities = time_probabilities(schedule)
    assert probabilities.sum() == pytest.approx(1) and probabilities.min() >= 0.05 / 1000
    draws = -1.2 + 1.5 * rng.standard_normal(5_000)
    sigma = np.log(((1 - schedule.alpha_bar) / schedule.alpha_bar).sqrt().numpy())
    nearest = np.abs(sigma[None] - draws[:, None]).argmin(axis=1)
    nearest[:250] = rng.integers(1000, size=250)
    observed = np.bincount(nearest, minlength=1000) / len(draws)
    blocks = (probabilities.reshape(20, 50).sum(axis=1), observed.reshape(20, 50).sum(axis=1))
    assert np.abs(blocks[0] - blocks[1]).max() < 0.025  # four standard deviations


def test_times_are_drawn_by_their_probabilities():
    probabilities = time_probabilities(Schedule.linear())
    drawn = (
        np.bincount(draw_times(stream(0, "times"), 20_000, probabilities), minlength=1000) / 20_000
    )
    assert np.abs(np.cumsum(drawn) - np.cumsum(probabilities)).max() < 1e-3  # stratified


def test_batch_depends_on_seed_and_step_only():
    pyramid = Pyramid.build([noise(i, 40, 48) for i in range(3)])
    forwards, backwards = BatchMaker(TINY, pyramid), BatchMaker(TINY, pyramid)
    there = [forwards(step, 16, 8) for step in range(10)]
    back = [backwards(step, 16, 8) for step in reversed(range(10))][::-1]
    for one, other in zip(there, back, strict=True):
        assert all(
            np.array_equal(getattr(one, name), getattr(other, name)) for name in ("x0", "t", "eps")
        )
    other_seed = BatchMaker(replace(TINY, seed=4), pyramid)(0, 16, 8)
    assert not np.array_equal(other_seed.eps, there[0].eps)
    assert not np.array_equal(there[0].eps, there[1].eps)


def test_batches_have_the_patches_asked_for():
    maker = BatchMaker(TINY, Pyramid.build([noise(i, 40, 48) for i in range(3)]))
    assert maker(0, 16, 8).x0.shape == (8, 16, 16, 3)
    assert maker(9, 32, 2).x0.shape == (2, 32, 32, 3)
    assert maker(9, 32, 2).eps.shape == (2, 3, 32, 32)


# ---- the card -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "licence"),
    [
        (["CC0-1.0", "Public domain"], "CC0 1.0"),
        (["CC0-1.0", "CC-BY-4.0"], "CC BY 4.0"),
        (["CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0"], "CC BY-SA 4.0"),
        (["CC-BY-NC-4.0"], "not determined"),
        (["CC-BY-4.0", "no licence known"], "not determined"),
        ([], "not determined"),
    ],
)
def test_weights_take_the_strictest_licence_of_the_photographs(names, licence):
    assert weights_licence(dict.fromkeys(names, 1)).startswith(licence)


def test_card_names_data_licence_digest_and_command(folder, tmp_path):
    manifest(folder, [(f"photos/{name}.png", "CC-BY-SA-4.0") for name in ("a", "b", "sub/c")])
    out = tmp_path / "out"
    out.mkdir()
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(10, np.float16)}, out / "diffusion_pytorch_model.safetensors")
    photos = folder_of.load(folder)
    assert licence_counts(folder, photos) == {"CC-BY-SA-4.0": 3}
    sections = {"Acceptance": "A table."}
    path = write_card(
        out, folder, photos, TINY, step=10, pixels=20480, seconds=7200, sections=sections
    )
    text = path.read_text()
    for part in (
        "3 CC-BY-SA-4.0",
        "**CC BY-SA 4.0**",
        "SHA-256",
        command(TINY),
        "2.00 hours",
        "## Acceptance\n\nA table.",
    ):
        assert part in text
    assert "unfinished" not in text and str(tmp_path) not in text
    assert "somebody" in (out / "CREDITS.md").read_text()
