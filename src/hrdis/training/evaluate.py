"""What a run shows of itself: denoising of held-out photographs, sheets of them, and curves."""

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
        height, width = (min(CROP, side) // multiple * multiple for side in picture.shape[:2])
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
    noisy, denoised = ((0.5 * (image[0] + 1)).permute(1, 2, 0).numpy() for image in (y, x0_hat))
    return noisy, denoised.clip(0, 1)


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
            values.append(-10 * math.log10(max(error, 1e-10)))
            pictures[i] += [noisy, denoised]
        psnr[str(level)] = round(sum(values) / len(values), 3)
    return psnr, pictures


def save_sheet(
    path: Path, crops: Sequence[np.ndarray], pictures: Sequence[Sequence[np.ndarray]]
) -> None:
    """Save one row per crop: the photograph, then noisy and denoised at each level."""
    gap, most = 4, 6
    rows = [[crop / np.float32(255), *row] for crop, row in zip(crops, pictures, strict=True)][
        :most
    ]
    height, width = (max(crop.shape[axis] for crop in crops) + gap for axis in (0, 1))
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
    losses = [line for line in log if "loss" in line]
    seen = [line["pixels"] / 1e6 for line in losses]
    values = [line["loss"] for line in losses]
    left.plot(seen, values, color="0.75", lw=0.8)
    left.plot(seen, _smoothed(values), color="C0")
    left.set(xlabel="million pixels seen", ylabel="loss (mean squared error of v)", xlim=(0, None))
    if values:
        left.set_ylim(
            0.8 * min(values), min(1.0, 3 * float(np.median(values)))
        )  # the first steps are off the scale
    measured = [line for line in log if "psnr" in line]
    for level in LEVELS:
        psnr = [line["psnr"][str(level)] for line in measured]
        right.plot(
            [line["pixels"] / 1e6 for line in measured],
            psnr,
            marker=".",
            label=f"noise {level}/255",
        )
    right.set(
        xlabel="million pixels seen", ylabel="PSNR on held-out photographs (dB)", xlim=(0, None)
    )
    right.legend(loc="upper left", bbox_to_anchor=(1, 1))
    write_atomically(path, lambda file: figure.savefig(file, dpi=100, format="png"))


def _smoothed(values: Sequence[float]) -> list[float]:
    """Return centred means over a fifteenth of the values."""
    reach = max(1, len(values) // 30)
    return [float(np.mean(values[max(0, i - reach) : i + reach + 1])) for i in range(len(values))]
