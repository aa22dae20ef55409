"""Sampling masks of magnetic resonance scanners: the Fourier coefficients they measure."""

from typing import Literal

import torch
from torch import Tensor

from ..rng import stream


def columns(
    w: int,
    acceleration: float,
    kind: Literal["equispaced", "random", "gaussian"] = "random",
    seed: int = 0,
) -> Tensor:
    """Return the columns of k-space that are sampled, (w,) of 0 and 1, by InverseBench's rule.

    The middle int(0.08 w) columns (0.04 w above an acceleration of 6) are always sampled. Of the
    others, ``"random"`` draws as many as make int(w / acceleration) in all, without replacement.
    ``"gaussian"`` does so too, but those near the middle are likelier (standard deviation w / 6).
    ``"equispaced"`` takes every acceleration-th instead, which makes a few more.

    Args:
        w: columns of k-space.
        acceleration: columns per sampled column, >= 1; InverseBench takes 4 and 8 at w = 320.
        kind: how the columns outside the middle are chosen.
        seed: which draw.

    Raises:
        ValueError: for an acceleration below 1, or so high that the middle alone exceeds what may
            be sampled.
    """
    if not 1 <= acceleration < float("inf"):
        raise ValueError(
            f"acceleration is {acceleration}. A number >= 1 is expected: acceleration=4."
        )
    if kind not in ("equispaced", "random", "gaussian"):
        raise ValueError(f"kind is {kind!r}. 'equispaced', 'random' or 'gaussian' is expected.")
    middle, total = int((0.08 if acceleration <= 6 else 0.04) * w), int(w / acceleration)
    if total < max(middle, 1):
        raise ValueError(
            f"acceleration is {acceleration}: {total} of {w} columns may be sampled, but the "
            f"middle alone takes {middle}. At most {w / max(middle, 1):.3g} is expected."
        )
    mask = torch.zeros(w)
    first = (w - middle) // 2
    mask[first : first + middle] = 1
    outside = (mask == 0).nonzero().flatten()
    if kind == "equispaced":
        mask[outside[:: int(acceleration)]] = 1
        return mask
    p = (
        torch.exp(-0.5 * ((outside.double() - w // 2) / (w / 6)) ** 2)
        if kind == "gaussian"
        else torch.ones(len(outside))
    )
    p = p.double() / p.double().sum()
    drawn = stream(seed, "k-space", kind).choice(
        outside.numpy(), total - middle, replace=False, p=p.numpy()
    )
    mask[torch.from_numpy(drawn)] = 1
    return mask
