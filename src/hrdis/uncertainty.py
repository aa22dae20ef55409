"""Several samples of one image: their mean, where they differ, and a sheet to look at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .images.base import Picture, to_pil, to_unit

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class SampleSummary:
    """Mean and deviation of K samples of one image.

    Args:
        mean: (1, c, h, w) in [-1, 1]: closer to the truth than any sample (in PSNR), and smoother.
        deviation: (h, w), standard deviation over samples on [0, 1], averaged over channels in
            quadrature.
    """

    mean: Tensor
    deviation: Tensor


def summarise(samples: Tensor) -> SampleSummary:
    """Return mean and deviation of samples (k, c, h, w) of one image, k >= 2.

    The deviation is sqrt(mean over channels of the variance over samples), on [0, 1].

    Args:
        samples: in [-1, 1].

    Raises:
        ValueError: for fewer than two samples.
    """
    if len(samples) < 2:
        raise ValueError(
            f"{len(samples)} sample was given. At least 2 are expected to see where they differ."
        )
    deviation = to_unit(samples).var(0).mean(0).sqrt()
    return SampleSummary(samples.mean(0, keepdim=True), deviation)


def deviation_map(deviation: Tensor, half_width: Tensor | None = None) -> "Image.Image":
    """Draw where samples differ, in grey levels of 255, with a scale that says what it shows.

    Args:
        deviation: (h, w), as ``SampleSummary.deviation``; dark where the samples agree.
        half_width: (h, w), on [0, 1], of calibrated intervals of 90 % around the mean. It is drawn
            instead of the deviation if it is known.
    """
    import io

    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    label = "deviation between samples, in grey levels (not calibrated)"
    shown_values = 255 * deviation
    if half_width is not None:
        label = "90 % lie within +- so many grey levels of the mean"
        shown_values = 255 * half_width
    h, w = shown_values.shape
    top = _end_of_scale(shown_values)
    tall = min(max(h / w, 0.3), 3)  # a strip of pixels still gets a legible chart
    figure = Figure(
        figsize=(6, 6 * tall * 0.85 + 0.1), dpi=min(max(100, w / 5), 400), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shown = axes.imshow(
        shown_values.cpu().numpy(), cmap=matplotlib.colormaps["magma"], vmin=0, vmax=top
    )
    axes.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.8, label=label)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def map_panel(deviation: Tensor, half_width: Tensor | None = None) -> tuple[Tensor, str]:
    """Return the map for a `sheet`: a grey image (1, 1, h, w) in [-1, 1], and its title.

    Black is 0 and white the number of grey levels that the title names.

    Args:
        deviation, half_width: as in `deviation_map`.
    """
    values = 255 * (deviation if half_width is None else half_width)
    top = _end_of_scale(values)
    end = f"{top:.0f}" if top >= 10 else f"{top:.1f}"
    title = f"samples differ by 0 to {end}"
    if half_width is not None:
        title = f"90 % within +- 0 to {end}"
    return (2 * (values / top).clamp(max=1) - 1)[None, None], title


def _end_of_scale(values: Tensor) -> float:
    """Return the 99th percentile of what is not 0, so that a few pixels do not darken all others.

    It is that of every n-th pixel, because torch.quantile takes no more than 16 million.
    """
    some = values[values > 0]  # what is known, as beside a hole, is 0
    some = some[:: max(1, some.numel() // 100_000)]
    return max(float(torch.quantile(some, 0.99)), 0.25) if some.numel() else 0.25


def sheet(
    images: Sequence[Tensor], titles: Sequence[str], columns: int | None = None
) -> "Image.Image":
    """Draw images (1, c, h, w) in [-1, 1] side by side under their titles.

    All are shown at the size of the largest, enlarged to about 256 pixels if that is smaller.

    Args:
        images: in the order of ``titles``.
        titles: one line each.
        columns: images in a row; by default all.
    """
    from PIL import Image, ImageDraw, ImageFont

    pictures = [to_pil(Picture(x.detach())).convert("RGB") for x in images]
    w, h = max(p.width for p in pictures), max(p.height for p in pictures)
    zoom = max(1, round(256 / max(w, h)))
    w, h = w * zoom, h * zoom
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    text = max(13, min(w, h) // 20)
    gap, band = text // 2, 2 * text
    out = Image.new("RGB", (columns * (w + gap) + gap, rows * (h + band + gap) + gap), "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(size=text)
    for k, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left, top = gap + k % columns * (w + gap), gap + k // columns * (h + band + gap)
        draw.text((left + w / 2, top + band / 2), title, fill="black", font=font, anchor="mm")
        out.paste(picture.resize((w, h), Image.Resampling.NEAREST), (left, top + band))
    return out
