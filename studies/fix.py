"""How well `hrdis fix` finds and mends what is wrong with photographs that were damaged on purpose.

    python studies/fix.py --photos PHOTOS --count 6
    python studies/fix.py --photos PHOTOS --count 15 --turns 3 --rows docs/data/fix.csv
    python studies/fix.py --photos PHOTOS --count 16 --levels --rows docs/data/fix-noise.csv
    python studies/fix.py --photos TRAIN --count 16 --act --rows docs/data/fix-act.csv
    python studies/fix.py --photos PHOTOS --rows docs/data/fix.csv --page

Every photograph is reduced (its own noise and JPEG blocks with it), cropped, and damaged by a
seeded script in one way, in two ways, or not at all. Counted are: what was diagnosed, the gain in
PSNR over the damaged picture, what a restoration gains that is told the damage, and the worst
picture. With --page the page docs/measurements/fix.md is written.
"""

import csv
import io
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from common.stamps import shown, stamp
from PIL import Image
from torch import Tensor

import hrdis
from hrdis.checkpoints import weights_sha256
from hrdis.diagnosis import Blurring, NoiseLevel, Resolution, estimate_noise
from hrdis.diagnosis.noise import ACT
from hrdis.fixing import diagnose
from hrdis.fixing.diagnose import settled
from hrdis.fixing.enlarged import sharpen_enlarged
from hrdis.fixing.filling import fill
from hrdis.fixing.restorations import (
    Mended,
    clean_jpeg,
    deblur,
    denoise,
    denoise_means,
)
from hrdis.operators import Blur, kernels
from hrdis.rng import stream

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/measurements/fix.md"
LEVELS = (2.0, 3.0, 5.0, 10.0, 25.0, 50.0)


@dataclass(frozen=True)
class Options:
    """What is measured, on which photographs."""

    photos: Path
    """Folder of photographs."""
    count: int = 8
    """How many of them, evenly spread over their names."""
    side: int = 128
    """Side of the crops in pixels."""
    shrink: int = 2
    """How much the photographs are reduced before."""
    turns: int = 0
    """On how many photographs each kind of damage is tried, other ones for each; 0 for all."""
    only: str = ""
    """Kinds of damage whose names start so."""
    rows: Path | None = None
    """A CSV file for the rows, one after the other; what is there already is not measured again."""
    page: bool = False
    """Write docs/measurements/fix.md from --rows, and measure nothing."""
    levels: bool = False
    """Measure the estimator of noise over all levels, beside scikit-image's, and nothing else."""
    large: bool = False
    """Time the command on pictures of 1024 x 768 and 4000 x 3000, pieced together from photographs,
    and nothing else. Leave the machine to itself meanwhile."""
    act: bool = False
    """Search the level below which noise is left alone, on the photographs the model learnt from,
    and nothing else."""


def photograph(path: Path, side: int, shrink: int) -> np.ndarray:
    """Return the middle of a reduced photograph, (3, side, side) from 0 to 255."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize(
            (image.width // shrink, image.height // shrink), Image.Resampling.BOX
        )
    pixels = np.asarray(small).astype(np.float64).transpose(2, 0, 1)
    top, left = ((n - side) // 2 for n in pixels.shape[1:])
    return pixels[:, max(top, 0) : max(top, 0) + side, max(left, 0) : max(left, 0) + side]


def stored(pixels: np.ndarray) -> Tensor:
    """Return grey levels as a file of 8 bits holds them, (1, c, h, w) in [-1, 1]."""
    return torch.from_numpy(np.clip(np.round(pixels), 0, 255) / 127.5 - 1).float()[None]


def noisy(pixels: np.ndarray, seed: int, levels: float) -> np.ndarray:
    """Add white noise."""
    return pixels + levels * stream(seed, "fix noise").standard_normal(pixels.shape)


def camera(pixels: np.ndarray, seed: int, shot: float) -> np.ndarray:
    """Develop a raw picture with shot and read noise: mosaic, demosaicing, gamma and contrast.

    The chain and its ranges are those of Brooks et al., CVPR 2019, without white balance.
    """
    rng = stream(seed, "fix camera")
    curve = 0.5 - np.sin(np.arcsin(np.clip(1 - 2 * pixels / 255, -1, 1)) / 3)
    linear = np.clip(curve, 0, 1) ** 2.2
    read = np.exp(2.18 * np.log(shot) + 1.2)
    raw = linear + np.sqrt(shot * linear + read) * rng.standard_normal(pixels.shape)
    h, w = pixels.shape[1:]
    weights = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])
    cross = np.array([[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]])
    developed = np.empty_like(pixels)
    for c in range(3):
        seen = np.zeros((h, w))
        if c == 1:
            seen[0::2, 1::2] = seen[1::2, 0::2] = 1
        else:
            seen[c // 2 :: 2, c // 2 :: 2] = 1
        taps = cross if c == 1 else weights
        values, known = np.pad(raw[c] * seen, 1), np.pad(seen, 1)
        total, share = np.zeros((h, w)), np.zeros((h, w))
        for i in range(3):
            for j in range(3):
                total += taps[i, j] * values[i : i + h, j : j + w]
                share += taps[i, j] * known[i : i + h, j : j + w]
        developed[c] = total / share
    v = np.clip(developed, 0, 1) ** (1 / 2.2)
    return 255 * (3 * v**2 - 2 * v**3)


def coded(pixels: np.ndarray, quality: int, crop: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Save as a JPEG with 4:2:0 and read it again."""
    buffer = io.BytesIO()
    whole = np.clip(np.round(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(whole).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image).astype(np.float64).transpose(2, 0, 1)


def blurred(pixels: np.ndarray, kernel: Tensor) -> np.ndarray:
    """Convolve with a kernel."""
    return Blur(kernel)(torch.from_numpy(pixels)[None])[0].numpy()


def line(length: float, degrees: float) -> Tensor:
    """Return the kernel of a straight motion, drawn four times as large and averaged."""
    n = 4 * (2 * int(length / 2 + 2) + 1)
    rows, columns = np.mgrid[:n, :n] - (n - 1) / 2
    a = np.radians(degrees)
    along, across = columns * np.cos(a) - rows * np.sin(a), columns * np.sin(a) + rows * np.cos(a)
    inside = (np.abs(along) <= 2 * length) & (np.abs(across) <= 2)
    kernel = inside.reshape(n // 4, 4, n // 4, 4).mean((1, 3))
    return torch.from_numpy(kernel / kernel.sum())


def motion_of(k: int) -> tuple[float, float]:
    """Return the length in pixels and the angle in degrees of the motion of photograph k."""
    return 7.0 + 2 * (k % 4), 37.0 * k % 180


def covered(pixels: np.ndarray, share: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """Lay a colour over a picture, as much as a share (h, w) from 0 to 1 says."""
    return pixels * (1 - share) + ink[:, None, None] * share


def ink_of(rng: np.random.Generator) -> np.ndarray:
    """Draw the colour of dust or of a scratch, nearly white or nearly black."""
    light = rng.random() < 0.5
    grey = rng.uniform(225, 250) if light else rng.uniform(8, 30)
    return np.clip(grey + rng.uniform(-5, 5, 3), 0, 255)


def specks(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Lay dust over a picture: 6 to 14 ellipses of 2 to 6 pixels, all of one colour."""
    rng = stream(seed, "fix specks")
    h, w = pixels.shape[1:]
    rows, columns = np.mgrid[:h, :w]
    share = np.zeros((h, w))
    for _ in range(rng.integers(6, 15)):
        row, column = rng.uniform(4, h - 4), rng.uniform(4, w - 4)
        a, b, turn = rng.uniform(1, 3), rng.uniform(1, 2), rng.uniform(0, np.pi)
        dy, dx = rows - row, columns - column
        along = (dx * np.cos(turn) + dy * np.sin(turn)) / a
        across = (dy * np.cos(turn) - dx * np.sin(turn)) / b
        # its edge falls over one pixel
        share = np.maximum(share, np.clip((1 - np.hypot(along, across)) * min(a, b) + 0.5, 0, 1))
    return covered(pixels, share, ink_of(rng))


def scratches(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Draw 1 to 3 scratches of one colour over a picture, 1 to 2 pixels wide and a bit crooked."""
    rng = stream(seed, "fix scratches")
    h, w = pixels.shape[1:]
    rows, columns = np.mgrid[:h, :w]
    share = np.zeros((h, w))
    for _ in range(rng.integers(1, 4)):
        length, width = rng.uniform(0.5, 1.1) * min(h, w), rng.uniform(1, 2)
        turn = rng.uniform(0, np.pi)
        row, column = rng.uniform(0.3, 0.7, 2) * (h, w)
        row, column = row - np.sin(turn) * length / 2, column - np.cos(turn) * length / 2
        for _ in range(round(2 * length)):  # half a pixel at a time
            away = np.hypot(rows - row, columns - column)
            share = np.maximum(share, np.clip((width + 1) / 2 - away, 0, 1))
            turn += rng.normal(0, 0.02)
            row, column = row + np.sin(turn) / 2, column + np.cos(turn) / 2
    return covered(pixels, share, ink_of(rng))


def enlarged(pixels: np.ndarray, factor: float, kernel: Image.Resampling) -> np.ndarray:
    """Reduce and enlarge again to the size it had."""
    whole = Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8).transpose(1, 2, 0))
    small = whole.resize((round(whole.width / factor), round(whole.height / factor)), kernel)
    return np.asarray(small.resize(whole.size, kernel)).astype(np.float64).transpose(2, 0, 1)


SOFT = kernels.gaussian(25, 2.0)
Damage = Callable[[np.ndarray, int], np.ndarray]
#: Name, the kinds that are right to find, and what damages.
DAMAGES: tuple[tuple[str, tuple[str, ...], Damage], ...] = (
    ("nothing", (), lambda x, k: x),
    ("nothing, JPEG 95", (), lambda x, k: coded(x, 95)),
    ("nothing, grain of 1 level", (), lambda x, k: noisy(x, k, 1.0)),
    ("noise 4", ("noise",), lambda x, k: noisy(x, k, 4.0)),
    ("noise 10", ("noise",), lambda x, k: noisy(x, k, 10.0)),
    ("noise 25", ("noise",), lambda x, k: noisy(x, k, 25.0)),
    ("camera noise, low", ("noise",), lambda x, k: camera(x, k, 0.002)),
    ("camera noise, high", ("noise",), lambda x, k: camera(x, k, 0.008)),
    ("JPEG 30", ("jpeg",), lambda x, k: coded(x, 30)),
    ("JPEG 60", ("jpeg",), lambda x, k: coded(x, 60)),
    ("JPEG 75, cropped", ("jpeg",), lambda x, k: coded(x, 75)[:, 3:, 5:]),
    ("blur 1.8", ("blur",), lambda x, k: blurred(x, kernels.gaussian(25, 1.8))),
    ("blur 2.5", ("blur",), lambda x, k: blurred(x, kernels.gaussian(25, 2.5))),
    ("motion", ("blur",), lambda x, k: blurred(x, line(*motion_of(k)))),
    ("specks", ("scratches",), specks),
    ("scratches", ("scratches",), scratches),
    ("enlarged 1.5", ("enlarged",), lambda x, k: enlarged(x, 1.5, Image.Resampling.BICUBIC)),
    ("enlarged 2", ("enlarged",), lambda x, k: enlarged(x, 2, Image.Resampling.BILINEAR)),
    ("noise 10 and JPEG 80", ("noise", "jpeg"), lambda x, k: coded(noisy(x, k, 10.0), 80)),
    ("noise 20 and JPEG 60", ("noise", "jpeg"), lambda x, k: coded(noisy(x, k, 20.0), 60)),
    ("blur 2 and JPEG 75", ("jpeg", "blur"), lambda x, k: coded(blurred(x, SOFT), 75)),
    ("blur 2 and noise 5", ("noise", "blur"), lambda x, k: noisy(blurred(x, SOFT), k, 5.0)),
    ("noise 5 in JPEG 95", ("noise",), lambda x, k: coded(noisy(x, k, 5.0), 95)),
    ("noise 10 in JPEG 92", ("noise",), lambda x, k: coded(noisy(x, k, 10.0), 92)),
)  # fmt: skip


def psnr(x: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, 99 for equal pictures."""
    error = float((x.clamp(-1, 1) - truth).double().square().mean())
    return min(99.0, 10 * np.log10(4 / error)) if error > 0 else 99.0


def told(prior: Any, y: Tensor, truth: Tensor, name: str, k: int) -> Tensor | None:
    """Restore knowing the damage: the true level, quality or kernel; None where not tried."""
    difference = 127.5 * float((y - truth).square().mean().sqrt())
    known = NoiseLevel("yes", difference, difference, difference, "")
    if name.startswith("camera"):  # its level in means over 2 x 2 pixels
        h, w = (n // 2 * 2 for n in y.shape[-2:])
        means = F.avg_pool2d((y - truth)[..., :h, :w], 2)
        level = 127.5 * float(means.square().mean().sqrt())
        return denoise_means(prior, y, 2, level)
    if name.startswith("noise") and "JPEG" not in name:
        return denoise(prior, y, known).x
    if name.startswith("JPEG"):
        found = diagnose(y).jpeg
        quality = float(name.split()[1].strip(","))
        return clean_jpeg(prior, y, replace(found, value=quality, damage=difference)).x
    if name.startswith("noise"):  # a JPEG has left it in the mean of the channels
        level = 127.5 * float((y - truth).mean(1).square().mean().sqrt())
        return denoise(prior, y, replace(known, value=level, alike=True)).x
    if name == "motion":
        found = Blurring("yes", 0, 0, 0, "Known.", "motion")
        return deblur(prior, y, found, 0.5, kernel=line(*motion_of(k))).x
    if name in ("specks", "scratches"):
        return fill(prior, y, (y - truth).abs().amax((0, 1)) > 0).x
    if name.startswith("enlarged"):
        factor, support = (1.5, 2) if name.endswith("1.5") else (2.0, 1)
        native = tuple(round(n / factor) for n in y.shape[-2:])
        found = Resolution("yes", factor, factor, factor, "Known.", native, support)
        return sharpen_enlarged(y, found).x
    if name.startswith("blur"):
        width = float(name.split()[1])
        found = Blurring("yes", width, width, width, "Known.")
        if name.endswith("noise 5"):
            return deblur(prior, denoise(prior, y, replace(known, value=5.0)).x, found, 1.5).x
        if name.endswith("JPEG 75"):
            jpeg = diagnose(y).jpeg
            return deblur(prior, clean_jpeg(prior, y, jpeg).x, found, 0.6 * jpeg.damage).x
        return deblur(prior, y, found, 0.5).x
    return None


def measure(options: Options, prior: Any, paths: list[Path]) -> None:
    """Measure a row per photograph and kind of damage, but for those of earlier runs."""
    there = {(row["damage"], row["photograph"]) for row in read(options.rows)}
    # A photograph after the other: a measurement that is cut short has all kinds of damage.
    for k, path in enumerate(paths):
        for i, (name, right, damage) in enumerate(DAMAGES):
            if not name.startswith(options.only) or (name, path.stem) in there:
                continue
            # 3 turns of 15 photographs: the kinds 0, 5, 10 and 15 on the first, 1, 6, ... the next
            every = len(paths) // options.turns if options.turns else 1
            if (k - i) % every:
                continue
            truth = photograph(path, options.side, options.shrink)
            y = stored(damage(truth, k))
            x = stored(truth[:, -y.shape[-2] :, -y.shape[-1] :])
            started = time.perf_counter()
            fixed = hrdis.fix(y, prior=prior)
            seconds = time.perf_counter() - started
            said = set()
            for kind, finding in fixed.diagnosis.findings().items():
                if finding.found == "yes":
                    said.add(kind)
            before, after = psnr(y, x), psnr(fixed.x, x)
            best = told(prior, y, x, name, k)
            row = {
                "damage": name, "photograph": path.stem, "right": "+".join(right) or "nothing",
                "said": "+".join(sorted(said)) or "nothing", "correct": said == set(right),
                "before": round(before, 2), "after": round(after, 2),
                "gain": round(after - before, 2), "changed": fixed.changed,
                "from_input": round(psnr(fixed.x, y), 2),
                "told_gain": "" if best is None else round(psnr(best, x) - before, 2),
                "noise": round(fixed.diagnosis.noise.value, 2),
                "true_noise": round(127.5 * float((y - x).square().mean().sqrt()), 2),
                "seconds": round(seconds, 1), "steps": " ".join(fixed.steps),
            }  # fmt: skip
            keep(options.rows, row)
            print(
                name, path.stem, row["said"], row["gain"], row["told_gain"], row["noise"],
                row["steps"], flush=True,
            )  # fmt: skip


def levels(options: Options, paths: list[Path]) -> None:
    """Measure the estimators of noise, ours with and without the prior and scikit-image's."""
    from skimage.restoration import estimate_sigma

    prior = hrdis.load_prior("default")
    for level in (0.0, *LEVELS):  # 0 tells the noise that the photographs have of their own
        for k, path in enumerate(paths):
            truth = photograph(path, options.side, options.shrink)
            for grey in (False, True):
                clean = truth.mean(0, keepdims=True) if grey else truth
                y = stored(noisy(clean, k, level))
                found = estimate_noise(y)
                wavelets = 0.0
                try:
                    pixels = (y[0].double().numpy() + 1) * 127.5
                    wavelets = estimate_sigma(pixels, channel_axis=0, average_sigmas=True)
                except ImportError:  # it needs PyWavelets
                    wavelets = diagonal_details(pixels)
                row = {
                    "level": level, "photograph": path.stem, "grey": grey,
                    "patches": round(found.value, 3),
                    "with_prior": round(settled(prior, y, found).value, 3),
                    "wavelets": round(float(wavelets), 3),
                }  # fmt: skip
                keep(options.rows, row)
                print(row, flush=True)


def pieced(paths: list[Path], width: int, height: int) -> np.ndarray:
    """Return a picture of photographs side by side, (3, height, width) from 0 to 255."""
    whole = Image.new("RGB", (width, height))
    k = top = 0
    while top < height:
        left = 0
        row = []
        while left < width:
            with Image.open(paths[k % len(paths)]) as image:
                whole.paste(image.convert("RGB"), (left, top))
                left += image.width
                row.append(image.height)
            k += 1
        top += min(row)
    return np.asarray(whole).astype(np.float64).transpose(2, 0, 1)


def large(options: Options, paths: list[Path]) -> None:
    """Time `hrdis fix` from shell to file on noisy and on compressed pictures."""
    for width, height in ((1024, 768), (4000, 3000)):
        picture = pieced(paths, width, height)
        for name, given, quality in (
            ("noise 10, JPEG 95", noisy(picture, 0, 10.0), 95),
            ("JPEG 60", picture, 60),
        ):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "large.jpg"
                pixels = np.clip(np.round(given), 0, 255).astype(np.uint8).transpose(1, 2, 0)
                Image.fromarray(pixels).save(file, quality=quality)
                words = [sys.executable, "-m", "hrdis", "fix", str(file), "-o", f"{folder}/out.png"]
                started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(words, check=True, capture_output=True)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                row = {
                    "picture": f"{width} x {height}", "damage": name,
                    "seconds": round(time.perf_counter() - started, 1),
                    "processor_seconds": round(after.ru_utime - before.ru_utime, 1),
                    "MB": round(after.ru_maxrss / 1024),  # the largest child so far
                }  # fmt: skip
                keep(options.rows, row)
                print(row, flush=True)


def large_pictures() -> list[str]:
    """Return the lines about large pictures."""
    rows = read(ROOT / "docs/data/fix-large.csv")
    if not rows:
        return []
    lines = [
        "", "## Large pictures", "",
        "The command was timed from shell to file on two free cores, on pictures that are pieced "
        "together from photographs: `python studies/fix.py --photos FOLDER --count 60 --large "
        "--rows docs/data/fix-large.csv`. The memory is the largest up to that row.", "",
        "| picture | damage | seconds | of the processor | memory in MB |",
        "| --- | --- | ---: | ---: | ---: |",
    ]  # fmt: skip
    for r in rows:
        lines.append(
            f"| {r['picture']} | {r['damage']} | {r['seconds']} | {r['processor_seconds']} | "
            f"{r['MB']} |"
        )
    return lines


def search_act(options: Options, prior: Any, paths: list[Path]) -> None:
    """Print, for every level from which noise might be acted on, what is gained and what is harmed.

    Photographs as they are and with grain of 1 level are to stay as they are. Noise of 1.5 levels
    and more is damage.
    """
    for k, path in enumerate(paths):
        truth = photograph(path, options.side, options.shrink)
        for added in (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0):
            y, x = stored(noisy(truth, k, added)), stored(truth)
            found = settled(prior, y, estimate_noise(y))
            mended = Mended(y, False, "")
            if found.value > 0.5:
                mended = denoise(prior, y, replace(found, found="yes"))
            # from 45 dB on nothing counts as changed; the truth is 99 dB from itself
            before, after = psnr(y, x), psnr(mended.x, x if added >= 1.5 else y)
            sure = found.found != "unsure" and found.white is not False
            row = {
                "photograph": path.stem, "added": added, "found": round(found.low, 3),
                "level": round(found.value, 3), "sure": sure,
                "done": mended.done, "before": round(before, 2), "after": round(after, 2),
            }  # fmt: skip
            keep(options.rows, row)
            print(row, flush=True)
    print("\n".join(act_table(read(options.rows))))


def act_table(rows: list[dict[str, str]]) -> list[str]:
    """Return what is gained and harmed for every level from which noise might be acted on."""
    lines = [
        "| from level on | untouched changed | below 45 dB | worse by 0.1 dB | mean gain in dB |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    count = sum(float(row["added"]) >= 1.5 for row in rows)
    for least in np.arange(1.5, 4.6, 0.25):
        acted = []
        for row in rows:
            if row["sure"] == row["done"] == "True" and float(row["level"]) >= least:
                acted.append(row)
        whole = [row for row in acted if float(row["added"]) < 1.5]
        far = sum(float(row["after"]) < 45 for row in whole)
        gains = []
        for row in acted:
            if float(row["added"]) >= 1.5:
                gains.append(float(row["after"]) - float(row["before"]))
        worse = sum(gain < -0.1 for gain in gains)
        mean = sum(gains) / count
        lines.append(f"| {least:.2f} | {len(whole)} | {far} | {worse} | {mean:+.2f} |")
    return lines


def least_unharmed(rows: list[dict[str, str]]) -> str:
    """Return a sentence on the least level at which no untouched crop is changed."""
    for least in np.arange(1.5, 4.6, 0.25):
        whole = []
        for row in rows:
            if row["sure"] == row["done"] == "True" and float(row["added"]) < 1.5:
                whole.append(float(row["level"]))
        changed = sum(level >= least for level in whole)
        if changed == 0:
            return f"From {least:.2f} levels on no untouched crop is changed."
    return "Below 4.75 levels some untouched crop is changed."


def diagonal_details(pixels: np.ndarray) -> float:
    """Return the median of the diagonal details over 0.6745: Donoho and Johnstone's level.

    scikit-image's `estimate_sigma` takes Daubechies' second wavelet, and drops exact zeros.
    """
    low = np.array([1 + np.sqrt(3), 3 + np.sqrt(3), 3 - np.sqrt(3), 1 - np.sqrt(3)]) / np.sqrt(32)
    high = low[::-1] * np.array([1, -1, 1, -1])
    found = []
    for plane in pixels:
        rows = sum(high[k] * plane[k : len(plane) - 3 + k : 2] for k in range(4))
        both = sum(high[k] * rows[:, k : rows.shape[1] - 3 + k : 2] for k in range(4))
        found.append(float(np.median(np.abs(both[both != 0])) / 0.6745))
    return float(np.mean(found))


def page(options: Options) -> str:
    """Return the text of docs/measurements/fix.md, which follows from the rows."""
    rows = read(options.rows)
    damaged = [row for row in rows if row["right"] != "nothing"]
    whole = [row for row in rows if row["right"] == "nothing"]
    right = sum(row["correct"] == "True" for row in rows)
    near = sum(float(row["from_input"]) >= 45 for row in whole)
    harmed = [row for row in rows if float(row["gain"]) < -0.1]
    better = 0
    for row in damaged:
        told_gain, gain = float(row["told_gain"] or "nan"), float(row["gain"])
        better += gain >= 1 or (told_gain > 0 and gain >= 0.7 * told_gain)
    photographs = len({row["photograph"] for row in rows})
    lines = [
        "# Fixing photographs without saying what is wrong",
        "",
        "[Measurements](index.md) · Study: `python studies/fix.py --photos FOLDER --count 15 "
        "--turns 3 --rows docs/data/fix.csv`",
        "",
        "**Question.** Does [`hrdis fix`](../how-to/fix.md) find what is wrong with a photograph, "
        "mend it, and leave alone what is well?",
        "",
        f"**Answer.** The diagnosis names all kinds of damage and no more for {right} of "
        f"{len(rows)} crops ({100 * right / len(rows):.0f} %; 90 % were asked for).",
        f"Of crops with nothing to mend {near} of {len(whole)} stay within 45 dB of what came in, "
        f"and {len(harmed)} of all {len(rows)} get worse by more than 0.1 dB.",
        f"Of the damaged ones {better} of {len(damaged)} get better by 1 dB or by 70 % of what is "
        "gained when the damage is known (85 % were asked for).",
        "",
        f"**Caveat.** The crops are {options.side} pixels a side, of {photographs} photographs "
        "that were reduced by 2, and the damage is made by a program. "
        'An answer "unsure" counts as wrong where there is damage. All limits were chosen on '
        "photographs that the model was trained on. Earlier ones were changed after a look at "
        "three of the photographs of this page. The rule for noise that is the same in all "
        "colours was changed after a look at a fourth.",
        "",
        "**Data.** [`fix.csv`](../data/fix.csv) has a row per crop, with what was said, the gain, "
        "and the level of the noise.",
        "",
        "## By kind of damage",
        "",
        "The gain is in PSNR over the damaged picture. The last column has the gain of the same "
        "restorations when they are given the true level, quality, kernel or mask.",
        "",
        "| damage | right | gain in dB, least / median / most | knowing the damage |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, _, _ in DAMAGES:
        mine = [row for row in rows if row["damage"] == name]
        if not mine:
            continue
        gains = sorted(float(row["gain"]) for row in mine)
        best = [float(row["told_gain"]) for row in mine if row["told_gain"]]
        count = sum(row["correct"] == "True" for row in mine)
        told_of = f"{statistics.median(best):+.2f}" if best else ""
        lines.append(
            f"| {name} | {count} of {len(mine)} | {gains[0]:+.2f} / "
            f"{statistics.median(gains):+.2f} / {gains[-1]:+.2f} | {told_of} |"
        )
    lines += noise_levels()
    lines += blind_blur()
    lines += found_options()
    lines += printed_dates()
    lines += large_pictures()
    searched = read(ROOT / "docs/data/fix-act.csv")
    if searched:
        lines += [
            "", "## From which level noise is removed", "",
            "`python studies/fix.py --photos TRAIN --count 16 --act --rows docs/data/fix-act.csv`, "
            "on photographs that the model was trained on. Untouched are those as they are and "
            "with grain of 1 level. The others have noise of 1.5 to 4 levels. "
            f"It is {ACT:.0f} levels in `hrdis fix`. {least_unharmed(searched)} The network is the "
            f"embedded one (SHA-256 {weights_sha256('default')[:8]}).", "",
            *act_table(searched),
        ]  # fmt: skip
    if harmed:
        lines += ["", "## Worse than they came", ""]
        lines += ["| damage | photograph | gain in dB | done |", "| --- | --- | ---: | --- |"]
        for row in harmed:
            lines.append(
                f"| {row['damage']} | {row['photograph']} | {row['gain']} | {row['steps']} |"
            )
    wrong = [row for row in rows if row["correct"] != "True"]
    if wrong:
        lines += ["", "## Diagnosed wrongly", ""]
        lines += ["| damage | photograph | said |", "| --- | --- | --- |"]
        for row in wrong:
            lines.append(f"| {row['damage']} | {row['photograph']} | {row['said']} |")
    lines += [
        "",
        "## When this was measured",
        "",
        "[What the columns say](index.md#when-and-where).",
    ]
    lines += ["", "<!-- measured -->", "", shown(PAGE), "", "<!-- /measured -->"]
    return "\n".join([*lines, ""])


def noise_levels() -> list[str]:
    """Return the lines that compare the estimates of the level of white noise."""
    rows = read(ROOT / "docs/data/fix-noise.csv")
    if not rows:
        return []
    count = len({row["photograph"] for row in rows})
    lines = [
        "", "## The level of white noise", "",
        "`python studies/fix.py --photos FOLDER --count 16 --levels --rows "
        f"docs/data/fix-noise.csv` on crops of {count} photographs, with noise added and stored in "
        "8 bits. An error is |found / added - 1|. Ours is what `hrdis fix` takes. It looks at the "
        "smoothest patches, and then for the level at which the picture is most likely under the "
        "model. Noise that was cut off at black or white is drawn again. The other is the median "
        "of the diagonal details of a wavelet, as in scikit-image's `estimate_sigma`.", "",
        "The photographs have some noise of their own, and noise adds in squares. In the column "
        "with their own noise the error is |found / sqrt(added^2 + own^2) - 1|. The own noise is "
        f"what ours finds in the same picture without noise added, {own_noise(rows)}. Of that much "
        "is texture, and the model was trained on photographs with their grain. What is found is "
        "nearer to what was added than to both together.", "",
        "| noise | pictures | ours within 10 % | median error | with their own noise "
        "| wavelet within 10 % | median error |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for level in LEVELS:
        for grey in ("False", "True"):
            cells = [f"{level:g}", "grey" if grey == "True" else "colour"]
            for column in ("with_prior", "wavelets"):
                errors = []
                for row in rows:
                    if float(row["level"]) == level and row["grey"] == grey:
                        errors.append(abs(float(row[column]) / level - 1))
                near = sum(error <= 0.1 for error in errors)
                median = f"{100 * statistics.median(errors):.1f} %"
                cells += [f"{near} of {len(errors)}", median]
            own = {}
            for row in rows:
                if float(row["level"]) == 0 and row["grey"] == grey:
                    own[row["photograph"]] = float(row["with_prior"])
            near = 0
            for row in rows:
                if float(row["level"]) == level and row["grey"] == grey:
                    whole = np.hypot(level, own[row["photograph"]])
                    near += abs(float(row["with_prior"]) / whole - 1) <= 0.1
            cells.insert(4, f"{near} of {len(own)}")
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def own_noise(rows: list[dict[str, str]]) -> str:
    """Return the own noise of the photographs in words: its median and its most."""
    own = [float(row["with_prior"]) for row in rows if float(row["level"]) == 0]
    return f"{statistics.median(own):.1f} levels in the median and {max(own):.1f} at most"


def blind_blur() -> list[str]:
    """Return the lines that compare the blur that is found with the true one."""
    rows = read(ROOT / "docs/data/fix-blur.csv")
    if not rows:
        return []
    lines = [
        "", "## A blur that nobody names", "",
        "`python studies/fix.py --photos FOLDER --count 15 --only KIND --rows "
        "docs/data/fix-blur.csv` measures it; KIND is motion, then blur 1.8. "
        "The share is that of all gains together over what the true kernels gain. Of a motion the "
        "true kernel is a strip of 7 to 13 pixels, one pixel wide. `hrdis fix` draws the motion "
        "that it has found as such a strip, too.", "",
        "| damage | photographs | right | gain in dB | with the true kernel | share |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for name in dict.fromkeys(row["damage"] for row in rows):
        mine = [row for row in rows if row["damage"] == name]
        gain = sum(float(row["gain"]) for row in mine) / len(mine)
        best = sum(float(row["told_gain"]) for row in mine) / len(mine)
        right = sum(row["correct"] == "True" for row in mine)
        lines.append(
            f"| {name} | {len(mine)} | {right} | {gain:+.2f} | {best:+.2f} | "
            f"{100 * gain / best:.0f} % |"
        )
    return lines


def found_options() -> list[str]:
    """Return the lines about the options that `hrdis restore` finds, by found_options.py."""
    rows = read(ROOT / "docs/data/fix-auto.csv")
    if not rows:
        return []
    count = len({row["photograph"] for row in rows})
    lines = [
        "", "## Options that `hrdis restore` finds", "",
        "`python studies/found_options.py --photos FOLDER --rows docs/data/fix-auto.csv` runs "
        "`hrdis restore` with `--quality auto` on JPEG files, and on one that was saved again as "
        f"PNG, and with `--kernel auto` on blurred pictures. The crops are of {count} photographs. "
        "The solver is the one that the command takes. Taken are those that it was sure of. For "
        "the others it says what it saw, and restores nothing. On crops without damage that is "
        "right. The gains are those of the crops taken, in PSNR over the damaged picture. The "
        "share is that of all their gains together over what the true option gains.", "",
        "| damage | option | taken | gain in dB, least / median / most | with the true one "
        "| share |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for name, option in dict.fromkeys((row["damage"], row["option"]) for row in rows):
        mine = [row for row in rows if (row["damage"], row["option"]) == (name, option)]
        gains, best = [], []
        for row in mine:
            if row["found"]:
                gains.append(float(row["after"]) - float(row["before"]))
                best.append(float(row["told"] or "nan") - float(row["before"]))
        cells = [name, option, f"{len(gains)} of {len(mine)}", "", "", ""]
        if gains:
            middle = statistics.median(gains)
            cells[3:] = [
                f"{min(gains):+.2f} / {middle:+.2f} / {max(gains):+.2f}",
                f"{statistics.median(best):+.2f}",
                f"{100 * sum(gains) / sum(best):.0f} %",
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def printed_dates() -> list[str]:
    """Return the lines about printed dates, by date_stamps.py."""
    rows = read(ROOT / "docs/data/fix-stamps.csv")
    if not rows:
        return []
    drawn = [row for row in rows if row["what"] == "date"]
    whole = [row for row in rows if row["what"] != "date"]
    count = len({row["photograph"] for row in rows})
    claimed = sum(row["found"] == "yes" for row in whole)
    lines = [
        "", "## Printed dates", "",
        "`python studies/date_stamps.py --photos FOLDER --seed 1 --fill --rows "
        "docs/data/fix-stamps.csv` "
        f"draws dates over {count} photographs at several sizes, and saves them as JPEG. The "
        "digits are 2.5 to 4.5 % of the shorter side high, and at least 9 pixels. They are red, "
        "orange or yellow, in Pillow's font, in three of DejaVu, as seven segments or as dots. "
        "They are plain, with a glow, with a dark outline, or laid over the picture as light on "
        "film is. Three of ten stand along the other side. The ground is not chosen, so that some "
        "dates hardly stand out. "
        f"On {claimed} of {len(whole)} pictures without a date one is claimed. These are the same "
        "photographs, as they are, saved again, and in quarters.", "",
        "Recall is the share of the pixels that the date has changed by more than 2 levels which "
        "the mask covers. Precision is the share of the mask that they make up. The mask also "
        "covers the colour that JPEG has carried away from the strokes.", "",
        "| shorter side | found | strokes covered, least | recall, median | precision, median |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for short in sorted({int(row["short"]) for row in drawn}):
        mine = [row for row in drawn if int(row["short"]) == short]
        found = [row for row in mine if row["found"] == "yes"]
        cells = [str(short), f"{len(found)} of {len(mine)}"]
        cells.append(f"{100 * min(float(row['strokes']) for row in found):.0f} %")
        for column in ("recall", "precision"):
            middle = statistics.median(float(row[column]) for row in found)
            cells.append(f"{100 * middle:.0f} %")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| drawn as | found |", "| --- | ---: |"]
    for column in ("font", "look", "colour", "quality"):
        for value in sorted({row[column] for row in drawn}):
            mine = [row for row in drawn if row[column] == value]
            found = [row for row in mine if row["found"] == "yes"]
            name = {"quality": f"JPEG {value}", "font": f"font: {value}"}.get(column, value)
            lines.append(f"| {name} | {len(found)} of {len(mine)} |")
    filled = [row for row in drawn if row["psnr_after"]]
    if filled:
        same = sum(row["outside"] == "True" for row in filled)
        lines += [
            "", f"Of those found at the smallest size, {len(filled)} were filled with "
            "`--only stamp`. The truth is the photograph without a date, saved in the same way. "
            f"Outside the mask {same} of {len(filled)} are bit for bit as they came.", "",
            "| filled | before, median | after, median | gain, least | gain, median |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]  # fmt: skip
        for name, column, digits in (
            ("PSNR in the mask, dB", "psnr_mask", 2), ("SSIM in the mask", "ssim_mask", 3),
            ("PSNR, dB", "psnr", 2), ("SSIM", "ssim", 3),
        ):  # fmt: skip
            before = [float(row[f"{column}_before"]) for row in filled]
            after = [float(row[f"{column}_after"]) for row in filled]
            gains = [b - a for a, b in zip(before, after, strict=True)]
            numbers = (
                statistics.median(before), statistics.median(after), min(gains),
                statistics.median(gains),
            )  # fmt: skip
            lines.append(f"| {name} | " + " | ".join(f"{n:.{digits}f}" for n in numbers) + " |")
    return lines


def read(path: Path | None) -> list[dict[str, str]]:
    """Return the rows of a CSV file, none if there is none."""
    if path is None or not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def keep(path: Path | None, row: dict[str, Any]) -> None:
    """Append a row to a CSV file; of one in docs/data, also when it was made."""
    if path is None:
        return
    if path.resolve().parent == ROOT / "docs" / "data":
        stamp(PAGE.stem, path.name)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    if options.page:
        PAGE.write_text(page(options), encoding="utf-8")
        return
    found = sorted(options.photos.glob("*.jpg"))
    paths = []
    for i in np.linspace(0, len(found) - 1, min(options.count, len(found))).astype(int):
        paths.append(found[i])
    if options.levels:
        levels(options, paths)
        return
    if options.large:
        large(options, paths)
        return
    prior = hrdis.load_prior("default")
    if options.act:
        search_act(options, prior, paths)
        return
    measure(options, prior, paths)


if __name__ == "__main__":
    main()
