"""Means over images with bootstrap intervals, and the best values of a column."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from ...rng import stream

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean (or median) over images.

    Args:
        value: in the units of the metric.
        low, high: ends of the 95 % percentile interval of the bootstrap over images; None below 2
            images.
        n: number of images.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def estimate(values: Sequence[float], statistic: Literal["mean", "median"] = "mean") -> Estimate:
    """Return the mean over images and its 95 % interval: percentiles over 2000 resamples of the
    images.

    Every estimate over n images uses the same resamples, drawn from the stream (0, "bootstrap", n).
    So methods that are scored on the same images in the same order are resampled together.

    Args:
        values: one per image, finite.
        statistic: mean or median over the images.

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
    n = len(values)
    if not n:
        raise ValueError("No values to average. One per image is expected.")
    v = np.asarray(values, dtype=np.float64)
    value = float(v.mean() if statistic == "mean" else np.median(v))
    if n < 2:
        return Estimate(value, None, None, n)
    if statistic == "mean":
        # A product with counts is the mean of each resample, ten times as fast as indexing.
        resampled = _resample_counts(n) @ v / n
    else:
        resampled = np.median(v[_resample_indices(n)], axis=1)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), n)


@lru_cache(maxsize=8)
def _resample_indices(n: int) -> np.ndarray[Any, Any]:
    """Return (draws, n): the images of each resample."""
    return stream(0, "bootstrap", n).integers(0, n, size=(DRAWS, n))


@lru_cache(maxsize=8)
def _resample_counts(n: int) -> np.ndarray[Any, Any]:
    """Return the number of times each resample holds each image, of shape (draws, n)."""
    flat = _resample_indices(n) + n * np.arange(DRAWS)[:, None]
    return np.bincount(flat.ravel(), minlength=DRAWS * n).reshape(DRAWS, n).astype(np.float64)


Mark = Literal["best", "second", ""]


def marks(values: Sequence[str | None], lower: bool) -> list[Mark]:
    """Mark the best and second printed values of a column; equal ones share a mark.

    Values are compared as printed, because a reader sees no more. A column of one value, or of
    equal ones, has no best.

    Args:
        values: as printed; None for a value that is not ranked.
        lower: True if small values are good.

    Example:
        >>> marks(["0.12", "0.10", None, "0.10"], lower=True)
        ['second', 'best', '', 'best']
    """
    ranked = sorted({float(value) for value in values if value is not None}, reverse=not lower)
    found: list[Mark] = []
    for value in values:
        if value is None or len(ranked) < 2:
            found.append("")
        elif float(value) == ranked[0]:
            found.append("best")
        elif float(value) == ranked[1]:
            found.append("second")
        else:
            found.append("")
    return found
