"""Photographs for the studies: crops, scores, and classical baselines kept on disk."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import hrdis
from hrdis.metrics import psnr, ssim
from hrdis.problem import Problem
from hrdis.rng import stream
from hrdis.solvers import Solver

Picture = np.ndarray  # (h, w, 3) in [0, 1]


# ---- crops
# ------------------------------------------------------------------------------------------


def pictures(folder: Path, images: int = 0, exclude: Sequence[str] = ()) -> list[Path]:
    """Picture files of a folder in order of name, at most ``images`` of them (0: all), evenly
    spread.
    """
    files = sorted(
        f
        for f in folder.iterdir()
        if f.suffix.lower() in hrdis.images.SUFFIXES and f.stem not in exclude
    )
    if not files:
        raise ValueError(
            f"{folder} holds no pictures. A folder of photographs is expected: --photos FOLDER."
        )
    count = min(images or len(files), len(files))
    return [files[k * len(files) // count] for k in range(count)]


def centre_crops(files: Sequence[Path], side: int) -> Tensor:
    """The middle of each picture, (n, 3, side, side) in [-1, 1]."""
    out = []
    for file in files:
        x = hrdis.images.load(file)
        top, left = ((n - side) // 2 for n in x.shape[-2:])
        if min(top, left) < 0:
            raise ValueError(
                f"{file} is smaller than {side} x {side}. Larger photographs are expected."
            )
        out.append(x[..., top : top + side, left : left + side])
    return torch.cat(out)


def random_crops(files: Sequence[Path], side: int, seed: int) -> Tensor:
    """One crop of each picture at a random place, redrawn while it is flat; (n, 3, side, side) in
    [-1, 1].
    """
    out = []
    for k, file in enumerate(files):
        x, rng = hrdis.images.load(file), stream(seed, "crop", k)
        for _ in range(20):
            top, left = (int(rng.integers(n - side + 1)) for n in x.shape[-2:])
            crop = x[..., top : top + side, left : left + side]
            if crop.std() > 0.1:
                break
        out.append(crop)
    return torch.cat(out)


# ---- scores
# -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """Closeness to the truth: means over the pictures, and PSNR of the error pooled over them."""

    psnr: float
    pooled: float
    ssim: float


def score(x: Tensor, truth: Tensor) -> Score:
    """Compare images (n, 3, h, w) in [-1, 1] with the truth."""
    return _score([psnr(x, truth).tolist(), ssim(x, truth).tolist()])


def _score(per_picture: list[list[float]]) -> Score:
    p, s = (torch.tensor(v, dtype=torch.float64) for v in per_picture)
    return Score(float(p.mean()), float(-10 * (10 ** (-p / 10)).mean().log10()), float(s.mean()))


def restore(
    solver: Solver,
    prior: hrdis.Prior,
    problem: Problem,
    samples: int,
    batch: int = 4,
    first_seed: int = 0,
) -> Tensor:
    """Run a solver ``samples`` times per picture, in batches; (samples, n, 3, h, w). Picture i,
    sample k: seed 1000 k + i.
    """
    n, out = len(problem.y), []
    for k in range(samples):
        pieces = []
        for i in range(0, n, batch):
            part = range(i, min(i + batch, n))
            A = problem.A
            if isinstance(A, hrdis.operators.Inpainting):
                A = hrdis.operators.Inpainting(A.mask[part.start : part.stop])
            piece = Problem(problem.y[part.start : part.stop], A, problem.sigma_y)
            pieces.append(
                hrdis.solve(solver, prior, piece, seeds=[first_seed + 1000 * k + j for j in part]).x
            )
        out.append(torch.cat(pieces))
    return torch.stack(out)


def scratched(n: int, side: int) -> hrdis.operators.Inpainting:
    """A mask of small holes for each of n pictures: specks and scratches over 15 %."""
    masks = [hrdis.operators.masks.scratches(side, side, 0.15, index=i) for i in range(n)]
    return hrdis.operators.Inpainting(torch.stack(masks)[:, None])


# ---- classical baselines
# ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Baselines:
    """Scores of slow classical methods, kept in a JSON file under the SHA-256 of what they were
    given.
    """

    file: Path

    def score(
        self, name: str, method: Callable[[Picture, Picture], Picture], given: Tensor, truth: Tensor
    ) -> Score:
        """Run ``method(given, truth)`` on each picture, or look its PSNR and SSIM up."""
        known = json.loads(self.file.read_text()) if self.file.exists() else {}
        found = []
        for g, x in zip(given, truth, strict=True):
            key = f"{name} {hashlib.sha256(g.numpy().tobytes() + x.numpy().tobytes()).hexdigest()}"
            if key not in known:
                result = _tensor(method(_array(g), _array(x)))
                known[key] = [float(psnr(result, x[None])), float(ssim(result, x[None]))]
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self.file.write_text(json.dumps(known))
            found.append(known[key])
        return _score([list(v) for v in zip(*found, strict=True)])


def non_local_means(sigma: float) -> Callable[[Picture, Picture], Picture]:
    """Non-local means; its strength is chosen with the truth. sigma in [0, 1]."""
    from skimage.restoration import denoise_nl_means

    def method(noisy: Picture, truth: Picture) -> Picture:
        tried = [
            denoise_nl_means(
                noisy,
                h=h * sigma,
                sigma=sigma,
                patch_size=5,
                patch_distance=6,
                channel_axis=-1,
                fast_mode=True,
            )
            for h in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        ]
        return _best(tried, truth)

    return method


def bm3d_is_here() -> bool:
    """Whether the package bm3d is installed: pip install bm3d."""
    return find_spec("bm3d") is not None


def bm3d(sigma: float) -> Callable[[Picture, Picture], Picture]:
    """BM3D for colours; its strength is chosen with the truth. sigma in [0, 1]."""
    import bm3d as package

    def method(noisy: Picture, truth: Picture) -> Picture:
        return _best(
            [package.bm3d_rgb(noisy, strength * sigma) for strength in (0.9, 1.0, 1.1)], truth
        )

    return method


def total_variation(sigma: float) -> Callable[[Picture, Picture], Picture]:
    """Chambolle's total variation denoising; its weight is chosen with the truth. sigma in [0,
    1].
    """
    from skimage.restoration import denoise_tv_chambolle

    def method(noisy: Picture, truth: Picture) -> Picture:
        tried = [
            denoise_tv_chambolle(noisy, weight=w * sigma, channel_axis=-1)
            for w in (0.5, 0.7, 0.9, 1.1, 1.4, 1.7)
        ]
        return _best(tried, truth)

    return method


def biharmonic(given: Picture, truth: Picture) -> Picture:
    """scikit-image's biharmonic inpainting; holes are exactly mid-grey, which no 8-bit value is."""
    from skimage.restoration import inpaint_biharmonic

    return inpaint_biharmonic(given, (given == 0.5).all(-1), channel_axis=-1)


def bicubic(y: Tensor, scale: int) -> Tensor:
    """Plain bicubic enlargement."""
    return F.interpolate(y, scale_factor=scale, mode="bicubic", align_corners=False)


def _best(tried: list[Picture], truth: Picture) -> Picture:
    return min(tried, key=lambda x: float(((x.clip(0, 1) - truth) ** 2).mean()))


def _array(x: Tensor) -> Picture:
    return ((x.double() + 1) / 2).permute(1, 2, 0).numpy()  # noise is not clipped


def _tensor(x: Picture) -> Tensor:
    return torch.from_numpy(2 * x.transpose(2, 0, 1) - 1)[None]


def as_dict(value: Score) -> dict[str, float]:
    """For JSON."""
    return asdict(value)


def sheet(columns: dict[str, Tensor], file: Path, zoom: int = 1) -> None:
    """A picture of pictures: one row per image, a captioned column per method; each (n, 3, h, w) in
    [-1, 1].
    """
    from PIL import Image, ImageDraw

    strips = []
    for caption, x in columns.items():
        strip = hrdis.images.to_pil(hrdis.images.Picture(torch.cat(list(x), 1)[None]))
        strip = strip.resize((strip.width * zoom, strip.height * zoom), Image.Resampling.NEAREST)
        framed = Image.new("RGB", (strip.width + 4, strip.height + 18), "white")
        framed.paste(strip, (0, 18))
        ImageDraw.Draw(framed).text((2, 3), caption, fill="black")
        strips.append(np.asarray(framed))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(strips, 1)).save(file, optimize=True)
