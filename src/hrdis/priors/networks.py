"""Live networks: what is inside of torch's wrappers, and what they want to be told beside the
picture and the time.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

#: Entries of diffusers' configurations, and what a network that has them wants beside the picture
#: and the time.
CONDITIONS = {
    "class_embed_type": "a number or a vector",
    "addition_embed_type": "further embeddings",
    "encoder_hid_dim_type": "further embeddings",
    "encoder_hid_dim": "further embeddings",
    "time_cond_proj_dim": "a guidance value",
    "guidance_embeds": "a guidance value",
    "class_embeddings_concat": "a class",
}


def uncopied(net: Any) -> Any:
    """Return the network inside of DataParallel and DistributedDataParallel; a compiled one stays
    compiled.
    """
    while isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
        net = net.module
    return net


def unwrapped(net: nn.Module) -> nn.Module:
    """Return the network inside of DataParallel, DistributedDataParallel and torch.compile."""
    while True:
        inner = getattr(net, "_orig_mod", uncopied(net))
        if inner is net or not isinstance(inner, nn.Module):
            return net
        net = inner


def config_of(net: nn.Module) -> dict[str, Any]:
    """Return the configuration of a network, of diffusers or of ours; {} where it has none."""
    config = getattr(unwrapped(net), "config", {})
    return dict(config) if isinstance(config, Mapping) else dict(getattr(config, "__dict__", {}))


def check_conditions(config: Mapping[str, Any], what: str) -> None:
    """Raise if a configuration is that of a network that wants what no prior here tells it.

    Raises:
        ValueError: naming the entry.
    """
    for key, wants in CONDITIONS.items():
        value = config.get(key)
        if value in (None, False) or (
            key == "class_embed_type" and config.get("num_class_embeds") is not None
        ):
            continue
        raise ValueError(
            f"{what} has {key} {value!r}: the network wants {wants} beside every picture, which no "
            "prior here hands on. A network without it is expected; classes are known by "
            "num_class_embeds."
        )
    made, taken = config.get("out_channels"), config.get("in_channels")
    if isinstance(made, int) and isinstance(taken, int) and made not in (taken, 2 * taken):
        raise ValueError(
            f"{what} has in_channels {taken} and out_channels {made}: the network wants more than "
            "the noisy picture, or gives something else. As many channels out as in are expected, "
            "or twice as many with a variance."
        )


def check_call(call: Callable[..., Any], given: int, name: str, what: str) -> None:
    """Raise unless something can be called with so many arguments.

    Args:
        call: a network or a function.
        given: how many it is called with, by position.
        name: the arguments, for the message: "picture and time".
        what: the thing itself, for the message.

    Raises:
        TypeError: naming what else it wants, with code that says it.
    """
    target = unwrapped(call).forward if isinstance(call, nn.Module) else call
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C, or hidden: the first call will tell
        return
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < given and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise TypeError(
            f"{what} is called with {name}, but takes {len(positional)} arguments. {given} are "
            "expected."
        )
    needed = [p.name for p in [*positional[given:],
        *(p for p in parameters if p.kind is p.KEYWORD_ONLY)]
              if p.default is p.empty]  # fmt: skip
    if needed:
        forward = "net.forward" if isinstance(call, nn.Module) else "call"
        raise TypeError(
            f"{what} wants {', '.join(needed)} beside {name}, which no prior here hands on. Tell "
            f"it once: {forward} = functools.partial({forward}, "
            f"{', '.join(f'{n}=...' for n in needed)})."
        )
