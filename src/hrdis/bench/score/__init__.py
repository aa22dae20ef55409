"""Scores of finished pictures, which are read from the run folder and never restored again.

They are kept beside the run folder in ``scores/``:

    scores/pixels.jsonl    PSNR, SSIM of every picture, and after alignment for phase retrieval
    scores/lpips.jsonl     LPIPS of every picture, with the network and its input range
    scores/classes.jsonl   CA: 100 for every picture, and its original, that is recognised
    scores/seeds.jsonl     distances between samples of one picture, scores of their mean
    scores/sets.json       FID and KID of sets, and every metric that is missing with its reason
"""

from .networks import MetricUnavailable, Scoring
from .write import score

__all__ = ["MetricUnavailable", "Scoring", "score"]
