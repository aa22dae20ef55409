"""Distances between sets of features, FID and KID, by torchmetrics."""

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from .networks import MetricUnavailable


class PrecomputedFeatures(nn.Module):
    """Stand-in for a network, whose input are its features."""

    def __init__(self, features: int):
        super().__init__()
        self.num_features = features

    def forward(self, x: Tensor) -> Tensor:
        return x


def fid(real: Tensor, fake: Tensor) -> float:
    """Return the Fréchet distance between Gaussians fitted to two sets of features, in float64.

    ``|m - m'|^2 + tr(C + C')`` - 2 sum of the square roots of the eigenvalues of C C', which needs
    no full rank. With fewer pictures than features, covariances are singular. Depends on the number
    of pictures.

    Args:
        real, fake: (n, d) and (m, d).

    Raises:
        MetricUnavailable: below 2 pictures, or without torchmetrics.

    Reference:
        Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017.
    """
    _check_size("FID", real, fake)
    metric = _module("fid").FrechetInceptionDistance(PrecomputedFeatures(real.shape[1]))
    return _computed(metric, real, fake)


def kid(real: Tensor, fake: Tensor) -> float:
    """Return the kernel distance between two sets of features.

    It is the unbiased squared MMD over all pairs, without subsets.

    The kernel is (x . y / d + 1)^3. May be negative.

    Args:
        real, fake: (n, d), as many of each.

    Raises:
        MetricUnavailable: below 2 pictures, or without torchmetrics.

    Reference:
        Binkowski et al., Demystifying MMD GANs, ICLR 2018.
    """
    _check_size("KID", real, fake)
    metric = _module("kid").KernelInceptionDistance(
        PrecomputedFeatures(real.shape[1]), subsets=1, subset_size=len(real)
    )
    with torch.random.fork_rng(devices=[]):  # torchmetrics shuffles before it takes all
        return _computed(metric, real, fake)


def _check_size(metric: str, real: Tensor, fake: Tensor) -> None:
    count = min(len(real), len(fake))
    if count < 2:
        raise MetricUnavailable(f"{metric} needs 2 pictures or more, this set has {count}")


def _computed(metric: Any, real: Tensor, fake: Tensor) -> float:
    metric.set_dtype(torch.float64)
    metric.update(real.double().cpu(), real=True)
    metric.update(fake.double().cpu(), real=False)
    value = metric.compute()
    return float(value[0] if isinstance(value, tuple) else value)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"torchmetrics.image.{name}")
    except ImportError:
        raise MetricUnavailable(
            "the package torchmetrics is not installed: pip install 'hrdis[metrics]'"
        ) from None
