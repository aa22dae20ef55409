"""The evaluation of a run: denoising of held-out photographs, sheets of them, and curves."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..files import write_atomically
from ..rng import stream
from ..schedule import Schedule
from .network import clean, predict

LEVELS = (10, 25, 50)  # noise of the measurement, of 255
CROP = 192


def centre_crops(pictures: Sequence[np.ndarray], multiple: int) -> list[np.ndarray]:
    """Cut the centre of each picture, at most `CROP` wide and high, with sides that are multiples
    of ``multiple``.
    """
    crops = []
    for picture in pictures:
        height = min(CROP, picture.shape[0]) // multiple * multiple
        width = min(CROP, picture.shape[1]) // multiple * multiple
        if height and width:
            y, x = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
            crops.append(picture[y : y + height, x : x + width].copy())
    return crops


def to_tensor(images: np.ndarray) -> Tensor:
    """Return uint8 ``(b, h, w, 3)`` as float32 ``(b, 3, h, w)`` in [-1, 1], in channels-last
    memory.
    """
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def denoise(net: Any, crop: np.ndarray, level: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Add noise to a picture and take it away in one call of the network.

    Args:
        net: predicts v.
        crop: uint8 ``(h, w, 3)``.
        level: standard deviation of the noise, of 255.
        seed: of the noise, together with the level.

    Returns:
        the noisy and the denoised picture, float32 ``(h, w, 3)`` in [0, 1]; only the second is
        clipped.
    """
    schedule = Schedule.linear()
    x0 = to_tensor(crop[None])
    sigma = 2 * level / 255  # [-1, 1]
    z = stream(seed, "evaluate", str(level)).standard_normal(tuple(x0.shape), dtype=np.float32)
    y = x0 + sigma * torch.from_numpy(z)
    t = torch.tensor([schedule.nearest(sigma)])
    device = next(net.parameters()).device
    x_t = (schedule.signal(int(t)) * y).to(device, memory_format=torch.channels_last)
    x0_hat = clean(schedule, x_t, t, predict(net, x_t, t.to(device)).float()).cpu()
    return _pixels(y), _pixels(x0_hat).clip(0, 1)


def _pixels(x: Tensor) -> np.ndarray:
    """Return one image ``(1, c, h, w)`` in [-1, 1] as ``(h, w, c)`` in [0, 1]."""
    return (0.5 * (x[0] + 1)).permute(1, 2, 0).numpy()


def measure(
    net: Any, crops: Sequence[np.ndarray]
) -> tuple[dict[str, float], list[list[np.ndarray]]]:
    """Denoise all crops at all `LEVELS`.

    Returns:
        mean PSNR in dB by level; and for each crop and level the noisy and the denoised picture.
    """
    psnr: dict[str, float] = {}
    pictures: list[list[np.ndarray]] = [[] for _ in crops]
    for level in LEVELS:
        values = []
        for i, crop in enumerate(crops):
            noisy, denoised = denoise(net, crop, level, seed=i)
            error = float(np.mean((denoised - crop / np.float32(255)) ** 2))
            # A perfect denoiser has 100 dB here instead of infinity, which JSON lacks.
            values.append(-10 * math.log10(max(error, 1e-10)))
            pictures[i] += [noisy, denoised]
        psnr[str(level)] = round(sum(values) / len(values), 3)
    return psnr, pictures


def save_sheet(
    path: Path, crops: Sequence[np.ndarray], pictures: Sequence[Sequence[np.ndarray]]
) -> None:
    """Save one row per crop, the photograph and then its noisy and denoised form at each level."""
    gap, most = 4, 6
    rows = []
    for crop, denoised in zip(crops[:most], pictures[:most], strict=True):
        rows.append([crop / np.float32(255), *denoised])
    height = max(crop.shape[0] for crop in crops) + gap
    width = max(crop.shape[1] for crop in crops) + gap
    sheet = np.ones((height * len(rows), width * len(rows[0]), 3), np.float32)
    for j, row in enumerate(rows):
        for i, picture in enumerate(row):
            h, w = picture.shape[:2]
            sheet[j * height : j * height + h, i * width : i * width + w] = picture
    image = Image.fromarray(np.rint(255 * sheet.clip(0, 1)).astype(np.uint8))
    write_atomically(path, lambda file: image.save(file, format="PNG"))


def save_curves(path: Path, log: Sequence[dict[str, Any]]) -> None:
    """Plot the loss and the held-out PSNR of a run against the pixels seen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    seen, values, measured = [], [], []
    for entry in log:
        if "loss" in entry:
            seen.append(entry["pixels"] / 1e6)
            values.append(entry["loss"])
        if "psnr" in entry:
            measured.append(entry)
    left.plot(seen, values, color="0.75", lw=0.8)
    # Centred means over a fifteenth of the values: the loss of one batch says little.
    reach, means = max(1, len(values) // 30), []
    for i in range(len(values)):
        means.append(float(np.mean(values[max(0, i - reach) : i + reach + 1])))
    left.plot(seen, means, color="C0")
    left.set(xlabel="million pixels seen", ylabel="loss (mean squared error of v)", xlim=(0, None))
    if values:  # the first steps are off the scale, or nothing else could be seen
        left.set_ylim(0.8 * min(values), min(1.0, 3 * float(np.median(values))))
    measured_at = [entry["pixels"] / 1e6 for entry in measured]
    for level in LEVELS:
        psnr = [entry["psnr"][str(level)] for entry in measured]
        right.plot(measured_at, psnr, marker=".", label=f"noise {level}/255")
    right.set(
        xlabel="million pixels seen", ylabel="PSNR on held-out photographs (dB)", xlim=(0, None)
    )
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    write_atomically(path, lambda file: figure.savefig(file, dpi=100, format="png"))
