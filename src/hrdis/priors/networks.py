"""Inspection of networks in memory: the network inside torch's wrappers, and the inputs it expects
besides image and time.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

#: Entries of diffusers' configurations, and the further input that a network with them expects.
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
    """Return the configuration of a diffusers network or a `SmallUNet`; {} for other networks."""
    config = getattr(unwrapped(net), "config", {})
    return dict(config) if isinstance(config, Mapping) else dict(getattr(config, "__dict__", {}))


def check_conditions(config: Mapping[str, Any], what: str) -> None:
    """Raise if a configuration is of a network with inputs that no prior gives.

    Args:
        config: the configuration.
        what: its owner, for the message.

    Raises:
        ValueError: naming the entry.
    """
    for key, wants in CONDITIONS.items():
        value = config.get(key)
        if value is None or value is False:
            continue
        if key == "class_embed_type" and config.get("num_class_embeds") is not None:
            continue  # classes, which priors do give
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
    """Raise unless a network or a function can be called with a number of arguments.

    Args:
        call: the network or function.
        given: number of arguments, given by position.
        name: description of the arguments, for the message: "picture and time".
        what: description of the network or function, for the message.

    Raises:
        TypeError: naming the further arguments it needs, with code that gives them.
    """
    target = unwrapped(call).forward if isinstance(call, nn.Module) else call
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C, or hidden: the first call will tell
        return
    positional, keywords, any_number = [], [], False
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(parameter)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            keywords.append(parameter)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            any_number = True
    if len(positional) < given and not any_number:
        raise TypeError(
            f"{what} is called with {name}, but takes {len(positional)} arguments. {given} are "
            "expected."
        )
    needed = []
    for parameter in [*positional[given:], *keywords]:
        if parameter.default is parameter.empty:
            needed.append(parameter.name)
    if needed:
        forward = "net.forward" if isinstance(call, nn.Module) else "call"
        arguments = ", ".join(f"{parameter}=..." for parameter in needed)
        raise TypeError(
            f"{what} wants {', '.join(needed)} beside {name}, which no prior here hands on. Tell "
            f"it once: {forward} = functools.partial({forward}, {arguments})."
        )
