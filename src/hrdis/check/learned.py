"""Has a network learned, all of it? Its weights, and what its depths do, compared with a network at its beginning."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .base import Check

FEWEST = 256  # entries of a tensor whose distribution can be told
KS = 1.95  # sqrt(n) x the distance of Kolmogorov and Smirnov that one draw of 1000 exceeds
SHARE = 0.05  # of the weights that may look like draws
LEAST = 1.02  # factor by which the error must grow when a depth is given another picture's features


# ---- weights ------------------------------------------------------------------------------------


def drawn(weight: Tensor) -> str:
    """Return the law that a weight looks freshly drawn from, "" if it looks like none.

    Training gives weights a peak at zero and long tails. A tensor that is uniform, whatever its range, is a draw; one
    that is normal is one only if its deviation is also that of an initialisation, which training would meet by chance
    alone. A common factor near 1, as weight decay leaves it, changes neither.

    Args:
        weight: of a convolution or a linear layer, (out, in, ...).
    """
    values = weight.detach().double().flatten().cpu()
    n = len(values)
    if n < FEWEST or not bool(torch.isfinite(values).all()) or float(values.std()) == 0:
        return ""
    values = values.sort().values
    reach = float(values.abs().max()) * (n + 1) / n
    if _distance(values / (2 * reach) + 0.5) * n**0.5 < KS:
        return "uniform"
    deviation = float(values.square().mean().sqrt())
    fan_in, fan_out = weight[0].numel(), weight.numel() // weight.shape[1]
    laws = (2 / fan_in, 1 / fan_in, 2 / fan_out, 1 / fan_out, 2 / (fan_in + fan_out), 0.02**2)
    near = any(abs(deviation / law**0.5 - 1) < 3 / (2 * n) ** 0.5 + 0.002 for law in laws)
    if near and _distance(torch.special.ndtr(values / deviation)) * n**0.5 < KS:
        return "normal"
    return ""


def _distance(u: Tensor) -> float:
    """Return the largest distance between the distribution of sorted values and the uniform one on [0, 1]."""
    steps = torch.arange(1, len(u) + 1, dtype=u.dtype) / len(u)
    return float(torch.maximum(steps - u, u - steps + 1 / len(u)).max())


def check_weights(net: nn.Module) -> list[Check]:
    """Find weights of convolutions and linear layers that are still as they were drawn.

    Returns:
        one check; none where the network has no such layers.
    """
    layers = {
        name: module.weight
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear) and module.weight.numel() >= FEWEST
    }
    total = sum(weight.numel() for weight in layers.values())
    if not total:
        return []
    fresh = [name for name, weight in layers.items() if drawn(weight)]
    share = sum(layers[name].numel() for name in fresh) / total
    names = f": {', '.join(fresh[:3])}{', ...' if len(fresh) > 3 else ''}" if fresh else ""
    return [
        Check(
            "weights have learned",
            share <= SHARE,
            f"{len(fresh)} of {len(layers)} tensors, {share:.1%} of the weights, look freshly drawn{names}",
            f"Training changes how weights are distributed; at most {SHARE:.0%} may look as they were drawn.",
            "train it again: these tensors got no gradient (a compiler, a frozen layer), or were left out of the file",
        )
    ]


# ---- depths -------------------------------------------------------------------------------------


def check_depths(net: nn.Module, error: Callable[[], Tensor]) -> list[Check]:
    """Find resolutions of a network whose features do not matter to what it says.

    The features of one resolution after the other are replaced by those of the next picture of the batch. Where they
    were of use, the error grows.

    Args:
        net: the module whose convolutions are looked at.
        error: runs it on two pictures or more, and returns the mean squared errors at several noise levels.

    Returns:
        one check; none where all convolutions have one resolution.

    Cost:
        as many calls of ``error`` as there are resolutions, and two.
    """
    depths = _by_resolution(net, error)
    if len(depths) < 2:
        return []
    right = error()
    grown = {}
    for side, modules in depths.items():
        with _of_the_next_picture(modules):
            grown[side] = float((error() / right).max())
    idle = [side for side, factor in grown.items() if not factor >= LEAST]
    told = ", ".join(f"{factor:.2f} at {side} px" for side, factor in grown.items())
    return [
        Check(
            "every depth matters",
            not idle,
            f"error x {told} with another picture's features (at least {LEAST})",
            "Each resolution of a trained network adds what the others do not see; one that adds nothing never "
            "learned, or has died (all its activations are far below zero).",
            "train it again, with another initialisation or a lower rate for these layers",
        )
    ]


def _by_resolution(net: nn.Module, run: Callable[[], Tensor]) -> dict[int, list[nn.Module]]:
    """Return the convolutions of a network by the width of what they put out, the widest first."""
    found: dict[int, list[nn.Module]] = defaultdict(list)
    hooks = [
        module.register_forward_hook(lambda module, args, out: _note(found[out.shape[-1]], module))
        for module in net.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return dict(sorted(found.items(), reverse=True))


def _note(modules: list[nn.Module], module: nn.Module) -> None:
    if module not in modules:
        modules.append(module)


@contextmanager
def _of_the_next_picture(modules: list[nn.Module]) -> Iterator[None]:
    """Let modules put out, for each picture, what they found in the next one of the batch."""
    hooks = [module.register_forward_hook(lambda module, args, out: out.roll(1, 0)) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
