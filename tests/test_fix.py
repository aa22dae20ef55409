"""`hrdis.fix`: what is mended, what is left, what is told."""

import io
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from PIL import Image

import hrdis
from hrdis import images, rng
from hrdis.diagnosis import windows
from hrdis.files import write_atomically
from hrdis.fixing import NOTHING, many, record_of
from hrdis.fixing.enlarged import resizer
from hrdis.fixing.filling import fill
from hrdis.fixing.network import agreed_level, estimate, implied_level
from hrdis.fixing.picture import KERNEL, LEFT
from hrdis.fixing.restorations import deblur, kernel_of, nearest_alike, share_alike
from hrdis.operators import Blur, kernels
from hrdis.priors import Gaussian as GaussianPrior
from hrdis.rng import stream
from tests.common.photographs import noisy, photograph, stored
from tests.diagnosis.test_specks import marked

SIDE = 112
MOTION = hrdis.diagnosis.Blurring("yes", 3, 3, 3, "", "motion", 11.0, 30.0)


@pytest.fixture(scope="module")
def prior() -> hrdis.Prior:
    return hrdis.load_prior("default")


def psnr(x: torch.Tensor, truth: torch.Tensor) -> float:
    return float(10 * torch.log10(4 / (x.clamp(-1, 1) - truth).square().mean()))


def coded(x: torch.Tensor, quality: int) -> bytes:
    buffer = io.BytesIO()
    images.to_pil(images.Picture(x)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


# ---- noise


def test_noise_of_colour_pictures_is_removed(prior: hrdis.Prior) -> None:
    x, y = stored(photograph(side=SIDE)), stored(noisy(photograph(side=SIDE), 15.0))
    fixed = hrdis.fix(y, prior=prior)
    assert fixed.diagnosis.noise.value == pytest.approx(15, rel=0.1)
    assert psnr(fixed.x, x) > psnr(y, x) + 5


def test_noise_of_grey_pictures_is_removed(prior: hrdis.Prior) -> None:
    """Three equal channels with equal noise would gain 1 dB; see `estimate`."""
    grey = photograph(side=SIDE).mean(0, keepdims=True)
    x, y = stored(grey), stored(noisy(grey, 15.0))
    fixed = hrdis.fix(y, prior=prior)
    assert fixed.x.shape == y.shape
    assert psnr(fixed.x, x) > psnr(y, x) + 4


def test_grey_picture_stored_as_colour_stays_grey(prior: hrdis.Prior) -> None:
    y = stored(noisy(photograph(side=SIDE).mean(0, keepdims=True), 15.0)).expand(1, 3, SIDE, SIDE)
    fixed = hrdis.fix(y, prior=prior)
    assert fixed.changed
    assert torch.equal(fixed.x[:, 0], fixed.x[:, 2])


def test_level_that_is_given_is_taken(prior: hrdis.Prior) -> None:
    y = stored(noisy(photograph(side=SIDE), 15.0))
    fixed = hrdis.fix(y, prior=prior, noise=12.0)
    assert "12.0 levels" in fixed.steps[0]


def test_strength_blends_with_the_picture(prior: hrdis.Prior) -> None:
    y = stored(noisy(photograph(side=SIDE), 15.0))
    whole = hrdis.fix(y, prior=prior, noise=15.0).x
    half = hrdis.fix(y, prior=prior, noise=15.0, strength=0.5).x
    assert torch.allclose(half, (y + whole) / 2, atol=1e-5)


@pytest.mark.parametrize("levels", [3.0, 20.0])
def test_prior_agrees_on_the_level(prior: hrdis.Prior, levels: float) -> None:
    y = stored(noisy(photograph(side=SIDE), levels))
    assert agreed_level(prior, y, 1.2 * levels) == pytest.approx(levels, rel=0.1)


def test_level_implied_by_an_exact_prior_is_that_of_the_data() -> None:
    """Stein's formula; 12 288 values, and one probe of the divergence, leave 2 %."""
    exact = hrdis.priors.Gaussian(torch.zeros(3, 64, 64), 0.25)
    z = torch.from_numpy(noisy(np.zeros((2, 3, 64, 64)), 1.0))
    y = (0.5 * z[:1] + 2 * 20 / 255 * z[1:]).float()
    assert implied_level(exact, y, 20.0) == pytest.approx(20, rel=0.04)


# ---- no harm


@pytest.mark.parametrize("name", ["astronaut.jpg", "coffee.jpg", "rocket.jpg"])
def test_nothing_to_mend_is_left_as_it_is(prior: hrdis.Prior, name: str) -> None:
    y = stored(photograph(name, side=SIDE))
    fixed = hrdis.fix(y, prior=prior)
    assert not fixed.changed
    assert torch.equal(fixed.x, y)
    assert NOTHING in fixed.steps


def test_nothing_to_mend_copies_the_file(prior: hrdis.Prior, tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    source.write_bytes(coded(stored(photograph(side=SIDE)), 96))
    fixed = hrdis.fix(source, prior=prior)
    fixed.save(tmp_path / "b.jpg", source)
    assert (tmp_path / "b.jpg").read_bytes() == source.read_bytes()


def test_dry_run_changes_nothing(prior: hrdis.Prior) -> None:
    y = stored(noisy(photograph(side=SIDE), 15.0))
    fixed = hrdis.fix(y, prior=prior, dry_run=True)
    assert fixed.diagnosis.noise.found == "yes"
    assert torch.equal(fixed.x, y)


def test_only_leaves_the_others_alone(prior: hrdis.Prior) -> None:
    y = stored(noisy(photograph(side=SIDE), 15.0))
    assert not hrdis.fix(y, prior=prior, only=["jpeg"]).changed


# ---- JPEG


def test_jpeg_is_diagnosed_from_the_file_and_mended(prior: hrdis.Prior, tmp_path: Path) -> None:
    x = stored(photograph(side=SIDE))
    (tmp_path / "a.jpg").write_bytes(coded(x, 40))
    fixed = hrdis.fix(tmp_path / "a.jpg", prior=prior)
    assert fixed.diagnosis.jpeg.source == "file"
    assert fixed.diagnosis.jpeg.value == 40
    given = images.read(tmp_path / "a.jpg").x
    assert psnr(fixed.x, x) > psnr(given, x) + 0.1


@pytest.mark.parametrize("quality", [95, 85])
def test_noise_that_a_jpeg_keeps_in_the_brightness_is_removed(
    prior: hrdis.Prior, quality: int
) -> None:
    """It keeps the colours at half the size, so that the noise is the same in all of them."""
    with Image.open(Path(hrdis.__file__).parent / "pictures" / "coffee.jpg") as photo:
        clean = np.asarray(photo.convert("RGB").crop((64, 64, 192, 192)))
    noisy = clean + 25 * rng.stream(0, "jpeg").standard_normal(clean.shape)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).round().astype("uint8")).save(
        file, "JPEG", quality=quality, subsampling=2
    )
    fixed = hrdis.fix(Image.open(file), prior=prior)
    assert fixed.diagnosis.noise.found == "yes" and fixed.diagnosis.noise.alike
    x = images.from_pil(Image.fromarray(clean)).x
    given = images.from_pil(Image.open(file)).x
    assert psnr(fixed.x, x) > psnr(given, x) + 4


def test_projection_keeps_every_coefficient_in_its_interval(prior: hrdis.Prior) -> None:
    y = images.from_pil(Image.open(io.BytesIO(coded(stored(photograph(side=SIDE)), 30)))).x
    found = hrdis.fix(y, prior=prior, dry_run=True).diagnosis.jpeg
    steps = torch.tensor(found.steps, dtype=torch.float64).reshape(8, 8)
    other = estimate(prior, y, 25.0)
    projected = nearest_alike(other, y, found, steps, wide=-0.01)
    assert share_alike(other, y, found, steps) < 0.99
    assert share_alike(projected, y, found, steps) > 0.999


# ---- blur, and what was enlarged


def test_blur_under_noise_is_found_once_the_noise_is_gone(prior: hrdis.Prior) -> None:
    clean = photograph(side=SIDE, shrink=1)
    soft = Blur(kernels.gaussian(17, 2.0))(torch.from_numpy(clean)[None])[0].numpy()
    x, y = stored(clean), stored(noisy(soft, 5.0))
    fixed = hrdis.fix(y, prior=prior)
    assert fixed.diagnosis.blur.found == "yes"
    assert fixed.diagnosis.blur.value == pytest.approx(2.0, rel=0.25)
    denoised = hrdis.fix(y, prior=prior, only=["noise"])
    assert psnr(fixed.x, x) > psnr(denoised.x, x) + 0.5


def test_enlarged_picture_is_sharpened(prior: hrdis.Prior) -> None:
    clean = Image.fromarray(photograph(side=128).astype(np.uint8).transpose(1, 2, 0))
    small = clean.resize((64, 64), Image.Resampling.BILINEAR)
    y = images.from_pil(small.resize(clean.size, Image.Resampling.BILINEAR)).x
    x = images.from_pil(clean).x
    fixed = hrdis.fix(y, prior=prior)
    assert fixed.diagnosis.enlarged.found == "yes"
    assert psnr(fixed.x, x) > psnr(y, x) + 0.5
    assert fixed.record["residual_levels"]["enlarged"] < 1


@pytest.mark.parametrize(
    ("support", "kernel"),
    [(1, Image.Resampling.BILINEAR), (2, Image.Resampling.BICUBIC), (3, Image.Resampling.LANCZOS)],
)
@pytest.mark.parametrize(("n", "m"), [(40, 24), (24, 40)])
def test_resizer_is_pillows(n: int, m: int, support: int, kernel: Image.Resampling) -> None:
    """Pillow computes pictures of floats in double precision, and stores single."""
    x = stream(0, "resize").standard_normal((n, n)).astype(np.float32)
    theirs = np.asarray(Image.fromarray(x).resize((m, m), kernel))
    K = resizer(n, m, support)
    np.testing.assert_allclose(K @ x @ K.T, theirs, atol=2e-6)


# ---- what is told


def test_stages_are_told_in_their_order(prior: hrdis.Prior) -> None:
    told: list[str] = []
    hrdis.fix(stored(noisy(photograph(side=SIDE), 15.0)), prior=prior, on_progress=told.append)
    assert told == [
        "looking for traces of JPEG", "looking for an enlargement", "measuring the noise",
        "looking for blur", "looking for specks and scratches", "looking for a date stamp",
        "removing noise",
    ]  # fmt: skip


def test_tiles_of_a_large_picture_are_told(prior: hrdis.Prior) -> None:
    told: list[str] = []
    wide = np.tile(photograph(side=SIDE), (1, 1, 5))
    hrdis.fix(stored(noisy(wide, 15.0)), prior=prior, on_progress=told.append)
    assert [what for what in told if "tile" in what][-2:] == [
        "removing noise, tile 1 of 2", "removing noise, tile 2 of 2",
    ]  # fmt: skip


def test_who_is_told_can_end_a_repair(prior: hrdis.Prior) -> None:
    def stop(what: str) -> None:
        if what == "looking for blur":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hrdis.fix(stored(noisy(photograph(side=SIDE), 15.0)), prior=prior, on_progress=stop)


def test_record_is_json_with_everything_that_was_found(prior: hrdis.Prior) -> None:
    fixed = hrdis.fix(stored(noisy(photograph(side=SIDE), 15.0)), prior=prior)
    record = json.loads(json.dumps(fixed.record, allow_nan=False))
    assert set(record["diagnosis"]) == {
        "noise", "jpeg", "enlarged", "blur", "scratches", "stamp",
    }  # fmt: skip
    assert record["residual_levels"]["noise"] > 10


def test_a_picture_with_specks_and_noise_is_saved_with_its_record(
    prior: hrdis.Prior, tmp_path: Path
) -> None:
    picture, _ = marked(20.0, specks=8, scratch=True)
    fixed = hrdis.fix(stored(noisy(picture, 10.0)), prior=prior)
    fixed.save(tmp_path / "x.png")
    record = json.loads(record_of(tmp_path / "x.png").read_text())
    assert record["diagnosis"]["scratches"]["count"] > 0


def test_residual_is_what_was_taken_away(prior: hrdis.Prior) -> None:
    y = stored(noisy(photograph(side=SIDE), 15.0))
    fixed = hrdis.fix(y, prior=prior)
    taken = 127.5 * float((fixed.x - y).square().mean().sqrt())
    assert fixed.record["residual_levels"]["noise"] == pytest.approx(taken, abs=0.01)


def test_kernel_of_a_motion_has_its_length_and_angle() -> None:
    """The variance of a strip is a twelfth of its length squared, and of its width squared."""
    kernel = kernel_of(MOTION)
    rows, columns = torch.meshgrid(*(torch.arange(n) - n // 2 for n in kernel.shape), indexing="ij")
    assert float(kernel.sum()) == pytest.approx(1)
    across = (kernel * columns**2).sum(), (kernel * rows**2).sum(), -(kernel * rows * columns).sum()
    angle = 0.5 * torch.atan2(2 * across[2], across[0] - across[1]).rad2deg()
    assert float(angle) == pytest.approx(30, abs=1)
    assert float(12 * (across[0] + across[1])) ** 0.5 == pytest.approx(11, rel=0.03)


def scratched(ground: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a photograph with a light scratch, and without; or one on an even ground."""
    pixels = photograph("chelsea.png", side=SIDE).copy()
    if ground is not None:
        pixels[:] = ground
    whole = stored(pixels)
    for column in range(8, SIDE - 8):
        pixels[:, 40 + column // 7, column : column + 2] = 235.0
    return stored(pixels), whole


@pytest.mark.parametrize(("ground", "said"), [(None, "yes"), (120.0, "unsure")])
def test_scratch_is_proposed_and_filled_if_it_is_named(
    prior: hrdis.Prior, ground: float | None, said: str
) -> None:
    """Also one beyond doubt, as the stars of a flag are; and one that may be a wire."""
    y, whole = scratched(ground)
    fixed = hrdis.fix(y, prior=prior)
    assert fixed.diagnosis.scratches.found == said
    assert fixed.mask is not None
    assert torch.equal(fixed.x, y) and fixed.steps == ((LEFT if said == "yes" else NOTHING),)
    filled = hrdis.fix(y, prior=prior, only=["scratches"])
    assert psnr(filled.x, whole) > psnr(y, whole) + 10
    assert torch.equal(filled.x[..., ~fixed.mask], y[..., ~fixed.mask])


def test_blur_whose_residual_is_large_is_left_alone(prior: hrdis.Prior) -> None:
    """A motion that is taken for a Gaussian leaves more than rounding."""
    x = Blur(kernel_of(MOTION))(stored(photograph(side=SIDE)))
    wrong = hrdis.diagnosis.Blurring("yes", 3.4, 3, 4, "Blurred by a Gaussian.")
    assert deblur(prior, x.float(), MOTION, 0.0).done
    assert not deblur(prior, x.float(), wrong, 0.0).done


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ["dust"]}, "only names 'dust'"),
        ({"only": "noise"}, r"only is 'noise'\. A list of kinds is expected: only=\['noise'\]"),
        ({"strength": 2.0}, "strength is 2.0"),
        ({"strength": 0}, "strength is 0.*To find only: dry_run=True"),
        ({"noise": -1.0}, "noise is -1.0"),
        ({"upscale": 3}, "upscale is 3"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        hrdis.fix(torch.zeros(1, 3, 64, 64), **options)


@pytest.mark.parametrize(
    "given",
    [
        3, np.full((4, 4), 2.0), np.zeros((3, 8, 80), np.uint8), np.zeros((0, 8, 3), np.uint8),
        torch.zeros(2, 8, 8), torch.zeros(1, 3, 8, 0), torch.full((1, 3, 8, 8), torch.nan),
        torch.full((1, 3, 8, 8), 255.0),
    ],
    ids=lambda given: str(getattr(given, "shape", given)),
)  # fmt: skip
def test_what_is_no_picture_is_refused(given: object) -> None:
    with pytest.raises((TypeError, ValueError), match=r"(is|are) expected"):
        hrdis.fix(given)


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_opened_picture_is_turned_as_its_file_says(
    turned: int, tmp_path: Path, prior: hrdis.Prior
) -> None:
    """One of Pillow's images gives what its file gives."""
    notes = Image.Exif()
    notes[0x0112] = turned
    values = np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)
    Image.fromarray(values).save(tmp_path / "a.png", exif=notes)
    of_file = hrdis.fix(tmp_path / "a.png", dry_run=True, prior=prior).x
    with Image.open(tmp_path / "a.png") as image:
        assert torch.equal(hrdis.fix(image, dry_run=True, prior=prior).x, of_file)


@pytest.mark.parametrize("size", [(1, 80), (60, 1), (1, 1), (2, 30)])
def test_picture_of_a_row_or_a_column_is_looked_at(
    size: tuple[int, int], prior: hrdis.Prior
) -> None:
    x = torch.linspace(-1, 1, size[0] * size[1]).reshape(1, 1, *size)
    assert hrdis.fix(x, prior=prior, noise=5.0).x.shape == x.shape


# ---- filling


def test_filling_far_specks_takes_windows_and_changes_nothing_else(prior: hrdis.Prior) -> None:
    """Of a picture of 12 megapixels with one speck a small part is restored."""
    mask = torch.zeros(640, 700, dtype=torch.bool)
    mask[5:8, 10:20] = mask[600:604, 650:652] = True
    found = list(windows(mask))
    assert [own.shape for own, _, _ in found] == [(128, 128), (128, 124)]
    joined = torch.zeros_like(mask)
    for own, rows, columns in found:
        joined[rows, columns] |= own
    assert torch.equal(joined, mask)
    y = stored(photograph(side=SIDE))
    hole = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    hole[40:43, 30:60] = True
    x = fill(prior, torch.where(hole, torch.ones(()), y), hole).x
    assert torch.equal(x[..., ~hole], y[..., ~hole])
    assert psnr(x, y) > 30


def test_window_is_the_picture_where_the_mask_is_everywhere() -> None:
    mask = torch.zeros(300, 200, dtype=torch.bool)
    mask[::50, ::50] = True
    ((own, rows, columns),) = windows(mask)
    assert torch.equal(own, mask) and mask[rows, columns].shape == mask.shape


def test_part_across_the_window_of_another_is_filled_once() -> None:
    """A window is a rectangle, and may hold a piece of another part, which is cut off there."""
    mask = torch.zeros(1280, 1280, dtype=torch.bool)
    mask[10, 10:1200] = mask[10:1200, 10] = True  # a corner, whose window is nearly everything
    mask[700, 700:720] = True
    joined = torch.zeros(mask.shape, dtype=torch.int64)
    for own, rows, columns in windows(mask):
        joined[rows, columns] += own
    assert torch.equal(joined, mask.long())


# ---- many files


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(b"")
    with pytest.raises(ValueError, match="both become"):
        many.errands([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"], tmp_path / "out")


def test_mended_picture_that_cannot_be_written_is_kept_beside_it(
    prior: hrdis.Prior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of work may be in it."""
    fixed = hrdis.fix(images.from_unit(torch.zeros(1, 3, 64, 64)), dry_run=True, prior=prior)
    real = images.write

    def full(path: Path, picture: images.Picture) -> None:
        if Path(path).name == "a.webp":
            raise OSError(28, "No space left on device")
        real(path, picture)

    monkeypatch.setattr(images, "write", full)
    with pytest.raises(OSError, match=r"a\.webp could not be written .*; it is kept as"):
        fixed.save(tmp_path / "a.webp")
    assert torch.equal(images.read(tmp_path / "a-rescued-1.png").x, fixed.x)
    assert not (tmp_path / "a.webp.json").exists()


@pytest.fixture
def proposing() -> hrdis.fixing.Fixed:
    """A repair with a mask and a kernel."""
    x = images.from_unit(torch.zeros(1, 3, 64, 64))
    fixed = hrdis.fix(x, dry_run=True, prior=GaussianPrior(torch.zeros(3, 64, 64), 1.0))
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[3:6, 10:40] = True
    return replace(fixed, mask=mask, kernel=torch.full((3, 3), 1 / 9))


@pytest.mark.parametrize("name", ["a.mask.png", "a.kernel.npy"])
def test_mask_and_kernel_that_cannot_be_written_are_kept(
    proposing: hrdis.fixing.Fixed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    proposing.save(tmp_path / "whole" / "a.png")
    from hrdis.images import writing

    def full(path: str | Path, write_to: Callable[[IO[bytes]], object], **options: str) -> None:
        if Path(path).name == name:
            raise OSError(28, "No space left on device")
        write_atomically(path, write_to, **options)

    for module in (images, writing):
        monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match=f"{name} could not be written .*; it is kept as"):
        proposing.save(tmp_path / "a.png")
    kept = tmp_path / f"{Path(name).stem}-rescued-1{Path(name).suffix}"
    assert kept.read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_command_of_a_saved_repair_names_the_kernel_that_was_written(
    proposing: hrdis.fixing.Fixed, tmp_path: Path
) -> None:
    line = f"hrdis restore photo.jpg --task deblur --kernel {KERNEL} -o OUT.png"
    replace(proposing, command=line).save(tmp_path / "a b.png")
    words = shlex.split(json.loads((tmp_path / "a b.png.json").read_text())["command"])
    assert words[words.index("--kernel") + 1] == str(tmp_path / "a b.kernel.npy")
    assert (tmp_path / "a b.kernel.npy").is_file()


@pytest.mark.parametrize("name", ["a.png", "a.png.json", "a.mask.png", "a.kernel.npy"])
def test_file_of_a_stranger_is_found_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    (tmp_path / name).write_bytes(b"a stranger's")
    with pytest.raises(ValueError, match=f"{name} exists"):
        many.errands([tmp_path / "x.png"], tmp_path / "a.png")
    assert many.errands([tmp_path / "x.png"], tmp_path / "a.png", overwrite=True)


@pytest.mark.parametrize("edited", [True, False])
def test_mask_that_was_edited_is_kept(
    proposing: hrdis.fixing.Fixed, tmp_path: Path, edited: bool
) -> None:
    """It is known before the work, and other files go on; a mask as it was written is replaced."""
    images.save(tmp_path / "x.png", proposing.x)
    errand = images.Errand(tmp_path / "x.png", tmp_path / "a.png")
    outcome = many.mended(errand, {}, lambda *_, **__: proposing)
    assert not outcome.error
    mask = tmp_path / "a.mask.png"
    if edited:
        images.save(mask, torch.ones(1, 1, 64, 64))
    before, calls = mask.read_bytes(), []

    def mend(*_: object, **__: object) -> hrdis.fixing.Fixed:
        calls.append(1)
        return replace(proposing, mask=~proposing.mask)

    outcome = many.mended(errand, {"seed": 1}, mend)
    assert bool(outcome.error) == edited == (not calls) == (mask.read_bytes() == before)
    if edited:
        assert f"--task inpaint-scratches --mask {mask}" in outcome.error
        outcome = many.mended(errand, {"seed": 1}, mend, overwrite=True)
        assert not outcome.error and mask.read_bytes() != before


def test_mask_of_a_run_that_was_killed_is_no_hindrance(
    proposing: hrdis.fixing.Fixed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(np, "save", killed)
        proposing.save(tmp_path / "a.png")
    assert (tmp_path / "a.mask.png").exists()
    proposing.save(tmp_path / "a.png")
    assert "unfinished" not in json.loads((tmp_path / "a.png.json").read_text())


def test_output_is_never_the_picture_itself(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(ValueError, match="picture itself"):
        many.errands([tmp_path / "x.png"], tmp_path / "x.png")


def test_picture_that_cannot_be_written_in_kind_becomes_png_under_its_whole_name(
    tmp_path: Path,
) -> None:
    """A phone's folder holds a.HEIC beside a.PNG."""
    for name in ("a.HEIC", "a.PNG"):
        (tmp_path / name).write_bytes(b"")
    todo = many.errands([tmp_path], tmp_path / "out")
    assert [errand.output.name for errand in todo] == ["a.HEIC.png", "a.PNG"]
