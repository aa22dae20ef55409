"""Scores of several samples of one picture: their distances, and the scores of their mean."""

from collections.abc import Iterable, Iterator
from itertools import combinations

import torch

from ... import images
from ...linalg import rms
from ...metrics import psnr, ssim
from ..results import MethodResults, Results, digest
from .per_picture import SMALLEST_FOR_SSIM, Record, load_pictures


def sample_records(run: Results, methods: Iterable[MethodResults]) -> Iterator[Record]:
    """Yield a record for every picture of which a method has several samples.

    ``pairwise`` is the mean over pairs of seeds of the rms difference. ``std`` is the root of the
    mean over pixels of the variance over seeds (unbiased). Both are on [0, 1], for pictures rounded
    to 8 bits. For independent samples pairwise is about sqrt(2) std.
    """
    for method in methods:
        for image, rows in method.by_image.items():
            if len(rows) < 2:
                continue
            # In float64: the differences of similar samples are small.
            x = images.to_unit(load_pictures(run, rows, "picture").double())
            truth = load_pictures(run, rows[:1], "truth")
            differences = [rms((a - b)[None])[0] for a, b in combinations(x, 2)]
            mean = images.from_unit(x.mean(0, keepdim=True))
            large = min(mean.shape[-2:]) >= SMALLEST_FOR_SSIM
            keys = [row["key"] for row in rows]
            yield {
                "id": digest(keys),
                "variant": method.id,
                "image_sha256": image,
                "keys": keys,
                "samples": len(rows),
                "pairwise": float(torch.stack(differences).mean()),
                "std": float(x.var(0, unbiased=True).mean().sqrt()),
                "psnr_of_mean": float(psnr(mean, truth)),
                "ssim_of_mean": float(ssim(mean, truth)) if large else None,
            }
