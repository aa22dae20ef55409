"""Means over images with bootstrap intervals, and which values of a column are best."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean (or median) over images.

    Args:
        value: in the units of the metric.
        low, high: the 95 % percentile interval of the bootstrap over images; None below 2 images.
        n: images.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def estimate(values: Sequence[float], statistic: Literal["mean", "median"] = "mean") -> Estimate:
    """The mean over images and its 95 % interval: percentiles over 2000 resamples of the images.

    Every estimate over n images uses the same resamples, drawn from the stream (0, "bootstrap", n):
    methods scored on the same images in the same order are resampled together.

    Args:
        values: one per image, finite.
        statistic: what is taken over the images.

    Raises:
        ValueError: for no values.

    Reference:
        Efron, Better bootstrap confidence intervals, JASA 1987: the percentile interval.

    Example:
        >>> estimate([1.0, 2.0, 3.0]).value
        2.0
        >>> estimate([1.0]).low is None
        True
    """
    if not len(values):
        raise ValueError("No values to average. One per image is expected.")
    v = np.asarray(values, dtype=np.float64)
    value = float(v.mean() if statistic == "mean" else np.median(v))
    if len(v) < 2:
        return Estimate(value, None, None, len(v))
    resampled = (
        _counts(len(v)) @ v / len(v)
        if statistic == "mean"
        else np.median(v[_indices(len(v))], axis=1)
    )
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), len(v))


@lru_cache(maxsize=8)
def _indices(n: int) -> np.ndarray[Any, Any]:
    """(draws, n): which images each resample takes."""
    from ...rng import stream

    return stream(0, "bootstrap", n).integers(0, n, size=(DRAWS, n))


@lru_cache(maxsize=8)
def _counts(n: int) -> np.ndarray[Any, Any]:
    """(draws, n): how often each resample takes each image."""
    flat = _indices(n) + n * np.arange(DRAWS)[:, None]
    return np.bincount(flat.ravel(), minlength=DRAWS * n).reshape(DRAWS, n).astype(np.float64)


Mark = Literal["best", "second", ""]


def marks(values: Sequence[str | None], lower: bool) -> list[Mark]:
    """Which printed values of a column are best and second; equal ones share a mark.

    Values are compared as printed: a reader sees no more. A column of one value, or of equal ones,
    has no best.

    Args:
        values: as printed; None for what is not ranked.
        lower: whether small values are good.

    Example:
        >>> marks(["0.12", "0.10", None, "0.10"], lower=True)
        ['second', 'best', '', 'best']
    """
    numbers = [None if v is None else float(v) for v in values]
    ranked = sorted({n for n in numbers if n is not None}, reverse=not lower)
    if len(ranked) < 2:
        return [""] * len(numbers)
    names: dict[float, Mark] = dict(zip(ranked, ("best", "second"), strict=False))
    return ["" if n is None else names.get(n, "") for n in numbers]
