"""Fill a diffusers `UNet2DModel` with weights that go by other names, all of them and nothing
else.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .unet import build_unet
from .weights import Shape, differences, recognised

#: A module's name in the file, and what it becomes: one module, or three (q, k, v) that are stacked
#: in the file.
Names = Mapping[str, tuple[str, ...]]


def convert(
    config: dict[str, Any],
    names: Names,
    found: Mapping[str, Shape],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    what: str,
    where: object = "The state dict",
    dtype: torch.dtype = torch.float32,
    split: Callable[[Tensor], tuple[Tensor, ...]] = lambda tensor: (tensor,),
) -> nn.Module:
    """Make the network of ``config`` from tensors that are named as the keys of ``names``.

    The network has no weights of its own until every one is assigned, so that none can stay random.
    Shapes may end in more ones than the network's (a linear layer written as a convolution).

    Args:
        found: names and shapes of the tensors; compared before the first is read.
        tensors: fresh ones, which the network keeps.
        what: the network that is expected, for the message.
        split: takes a stacked tensor apart.

    Raises:
        ValueError: if names or shapes differ, with the differences.
    """
    odd = [width for width in config["block_out_channels"] if width % 32]
    if odd:
        raise ValueError(
            f"{where} has a level of {odd[0]} channels. Multiples of 32, the groups of its norms, "
            "are expected."
        )
    net, targets, expected = blank(config, names)
    own = net.state_dict()
    if wrong := differences(
        {key: _trimmed(shape, expected.get(key)) for key, shape in found.items()}, expected
    ):
        raise ValueError(f"{where} is not {what}: {wrong}. {recognised(found, where)}".rstrip())
    state = {}
    for key, tensor in tensors:
        parts = split(tensor) if len(targets[key]) > 1 else (tensor,)
        for target, part in zip(targets[key], parts, strict=True):
            state[target] = part.reshape(own[target].shape).to(dtype)
        del tensor, parts, part
    net.load_state_dict(state, strict=True, assign=True)
    return net


def blank(
    config: dict[str, Any], names: Names
) -> tuple[nn.Module, dict[str, tuple[str, ...]], dict[str, Shape]]:
    """A network without memory, which of its tensors those of a file become, and the layout of the
    file.
    """
    with torch.device("meta"):
        net = build_unet(config)
    own = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    targets = {
        f"{name}.{kind}": tuple(f"{module}.{kind}" for module in modules)
        for name, modules in names.items()
        for kind in ("weight", "bias")
        if f"{modules[0]}.{kind}" in own
    }
    return (
        net,
        targets,
        {
            key: (len(parts) * own[parts[0]][0], *own[parts[0]][1:])
            for key, parts in targets.items()
        },
    )


def _trimmed(shape: Shape, like: Shape | None) -> Shape:
    """A shape without the ones at its end that ``like`` does not have."""
    if like is None or set(shape[len(like) :]) - {1}:
        return shape
    return shape[: len(like)]
