"""Checks of what a network has learned, from its weights and the use of each of its resolutions."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .base import Check

FEWEST = 256  # entries of a tensor whose distribution can be told
KS = 1.95  # sqrt(n) x the distance of Kolmogorov and Smirnov that one draw of 1000 exceeds
SHARE = 0.05  # of the weights that may look like draws
# least share of a convolution's output that varies with the picture; dead ones have 0.01 to 0.08
RESPONSE = 0.1


# ---- weights ------------------------------------------------------------------------------------


def drawn(weight: Tensor) -> str:
    """Return the law that a weight looks freshly drawn from, "" if it looks like none.

    Training gives weights a peak at zero and long tails. A uniform tensor, whatever its range, is a
    draw. A normal one is a draw only if its deviation is also that of an initialisation, which
    training would meet by chance alone. A common factor near 1, as weight decay leaves it, changes
    neither.

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
    """Return the largest distance between the distribution of sorted values and the uniform one on
    [0, 1].
    """
    steps = torch.arange(1, len(u) + 1, dtype=u.dtype) / len(u)
    return float(torch.maximum(steps - u, u - steps + 1 / len(u)).max())


def check_weights(net: nn.Module) -> list[Check]:
    """Find weights of convolutions and linear layers that are still as they were drawn.

    Returns:
        one check; none where the network has no such layers.
    """
    layers, total, fresh, in_fresh = 0, 0, [], 0
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear):
            continue
        count = module.weight.numel()
        if count < FEWEST:
            continue
        layers, total = layers + 1, total + count
        if drawn(module.weight):
            fresh.append(name)
            in_fresh += count
    if not total:
        return []
    share = in_fresh / total
    names = f": {_first_names(fresh)}" if fresh else ""
    return [
        Check(
            "weights have learned",
            share <= SHARE,
            f"{len(fresh)} of {layers} tensors, {share:.1%} of the weights, look freshly "
            f"drawn{names}",
            f"Training changes how weights are distributed; at most {SHARE:.0%} may look as they "
            "were drawn.",
            "train it again: these tensors got no gradient (a compiler, a frozen layer), or were "
            "left out of the file",
        )
    ]


def _first_names(names: list[str]) -> str:
    """Return the first three names, and dots for the others."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


# ---- depths -------------------------------------------------------------------------------------


def check_response(net: nn.Module, run: Callable[[], object]) -> list[Check]:
    """Find convolutions whose output is nearly the same whatever the picture: dead layers.

    Where all activations before a layer are far below zero it puts out its bias alone. Its
    parameters may have moved a long way and got gradients on the way; they add a constant all the
    same.

    Args:
        net: the module whose convolutions are looked at.
        run: runs it on pictures at several noise levels.

    Returns:
        one check; none where the network has no convolutions.
    """
    varying: dict[str, float] = defaultdict(float)
    width: dict[str, int] = {}

    def look(name: str, out: Tensor) -> None:
        constant = out.mean((0, 2, 3), keepdim=True)
        share = float(
            (out - constant).square().mean().sqrt() / out.square().mean().sqrt().clamp(min=1e-12)
        )
        varying[name], width[name] = max(varying[name], share), out.shape[-1]

    with _hooks(net, lambda name: lambda module, args, out: look(name, out.float())):
        run()
    if not varying:
        return []
    dead = sorted(name for name, share in varying.items() if not share >= RESPONSE)
    least: dict[int, float] = {}
    for name, share in varying.items():
        side = width[name]
        least[side] = min(share, least.get(side, share))
    depths = []
    for side in sorted(least, reverse=True):
        depths.append(f"{least[side]:.2f} at {side} px")
    names = f"; dead: {_first_names(dead)}" if dead else ""
    return [
        Check(
            "every depth responds",
            not dead,
            f"least varying layer {', '.join(depths)} (at least {RESPONSE}){names}",
            "What a layer puts out depends on the picture and the place; a dead one puts out a "
            "constant.",
            "train it again, with another initialisation or a lower rate for these layers",
        )
    ]


def use_of_depths(net: nn.Module, error: Callable[[], Tensor]) -> dict[int, float]:
    """Return for each resolution of a network by which factor the error grows without its features.

    The features of one resolution after the other are replaced by those of the next picture of the
    batch. A factor of 1 says that the resolution is of no use.

    Args:
        net: the module whose convolutions are looked at.
        error: runs it on two pictures or more, and returns the mean squared errors at several noise
            levels.

    Cost:
        as many calls of ``error`` as there are resolutions, and one.
    """
    width: dict[str, int] = {}
    with _hooks(net, lambda name: lambda module, args, out: width.__setitem__(name, out.shape[-1])):
        right = error()
    grown = {}
    for side in sorted(set(width.values()), reverse=True):
        rolled = {name for name in width if width[name] == side}
        with _hooks(net, lambda name: lambda module, args, out: out.roll(1, 0), rolled):
            grown[side] = float((error() / right).max())
    return grown


@contextmanager
def _hooks(
    net: nn.Module,
    hook_of: Callable[[str], Callable[..., object]],
    names: Container[str] | None = None,
) -> Iterator[None]:
    """Register a hook on the outputs of a network's convolutions, of all or of those named."""
    hooks = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and (names is None or name in names):
            hooks.append(module.register_forward_hook(hook_of(name)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
