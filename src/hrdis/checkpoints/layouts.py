"""Names and shapes of a network's tensors in files of different origin.

The module knows what wrappers and trainings add to them, how two sets differ, and what kind of file
has which.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

Shape = tuple[int, ...]

DIFFUSERS = "down_blocks.0.resnets.0.norm1.weight"

#: Part of a name, and the kind of file that has such names: for the message when the file of one
#: kind of network is loaded as another.
HALLMARKS = {
    "output_blocks.0.0.in_layers.0.weight": (
        "a network in guided-diffusion's layout: hrdis.load_prior('adm:{file}')"
    ),
    "temb.dense.0.weight": "a network of the original DDPM: hrdis.load_prior('ddpm:{file}')",
    DIFFUSERS: (
        "a diffusers network, which is loaded with config.json and scheduler_config.json, in one "
        "folder with it: hrdis.load_prior('diffusers:{folder}')"
    ),
    "map_layer0.weight": (
        "a network of EDM (SongUNet, DhariwalUNet), whose scaled skips and attention diffusers' "
        "UNet2DModel cannot express"
    ),
    "middle_block.0.in_layers.0.weight": (
        "a classifier or encoder in guided-diffusion's layout, no diffusion model"
    ),
}

#: One weight that every network of a kind has. What precedes it in a file was added by wrappers.
ANCHORS = (
    "time_embed.0.weight",  # guided-diffusion
    "temb.dense.0.weight",  # the original DDPM
    "time_embedding.linear_1.weight",  # diffusers
    "time.linear1.weight",  # SmallUNet
)
ENDINGS = tuple(f".{anchor}" for anchor in ANCHORS)

#: Prefixes that wrappers add to the names of weights, for networks that have no anchor.
WRAPPERS = (
    "module.",
    "_orig_mod.",
    "model.",
    "unet.",
    "net.",
    "diffusion_model.",
    "ema_model.",
    "denoise_fn.",
)

#: Tensors that a training saves beside the network's weights: its noise schedule.
BUFFERS = re.compile(
    r"(log_|sqrt_)?(one_minus_)?(betas?|alphas?)(_\w+)?|alpha_bar\w*|posterior_\w+|sqrt_recip\w*|loss_weight"
)
#: Prefixes of the moving averages that a training saves beside the weights.
COPIES = ("model_ema.", "ema_model.", "ema.")

#: Keys under which trainings save their network among other things, the best first; a moving
#: average is better than all of them.
PLACES = ("state_dict", "model", "model_state_dict", "net", "network", "unet", "module")


def differences(found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> str:
    """Describe how two layouts differ, with up to three names each; "" if they agree."""
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    shapes = []
    for key in sorted(found.keys() & expected.keys()):
        if found[key] != expected[key]:
            shapes.append(f"{key} is {found[key]}, not {expected[key]}")
    if not (missing or unexpected or shapes):
        return ""
    return (
        f"{len(missing)} keys missing {missing[:3]}, {len(unexpected)} unexpected "
        f"{unexpected[:3]}, {len(shapes)} of another shape {shapes[:3]}"
    )


def identify_checkpoint(found: Mapping[str, Shape], where: object, known: str = "") -> str:
    """Name the kind of checkpoint by its keys, and how to load it; "" if unknown.

    Args:
        found: names and shapes of its tensors.
        where: the file, or a description of where the tensors come from.
        known: the key of `HALLMARKS` that the file was read as, and that needs no mention.
    """
    path = Path(str(where))
    places = {"file": "<file>", "folder": "<folder>"}
    if path.suffix:
        places = {"file": str(where), "folder": str(path.parent)}
    for mark, kind in HALLMARKS.items():
        if mark != known and any(f".{key}".endswith(f".{mark}") for key in found):
            return f"It is {kind.format(**places)}."
    for key in found:
        if "exp_avg" not in key and "momentum" not in key and not key.startswith("state."):
            return ""
    if not found:
        return ""
    return (
        "It is the state of an optimiser, which holds no network: choose the file of weights "
        "beside it."
    )


def network_names(found: Mapping[str, Shape], file: Path, reader: str) -> dict[str, str]:
    """Map the names in a file to those of the network.

    Prefixes of wrappers are dropped, and so are tensors that are not weights (the schedule's betas,
    counters, other copies).

    Args:
        found: names and shapes of all tensors in the file.
        file: for messages.
        reader: code that reads the file, for the message about a file with several networks.

    Raises:
        ValueError: if the file holds several networks, and none is the average of the other.
    """
    prefixes = set()
    for key in found:
        for anchor in ANCHORS:
            if f".{key}".endswith(f".{anchor}"):
                prefixes.add(key.removesuffix(anchor))
    prefix, before = "", None
    if prefixes:
        # The moving average where a file holds one too: it is what one samples from.
        averages = [other for other in prefixes if "ema" in other.lower()]
        raw = [other for other in prefixes if other not in averages]
        if len(raw) > 1 or len(averages) > 1:
            first = sorted(averages or raw)[0]
            taken = f"k.removeprefix({first!r}): v for k, v in state.items()"
            taken = f"{{{taken} if k.startswith({first!r})}}"
            raise ValueError(
                f"{file} holds {len(prefixes)} networks, under "
                f"{', '.join(map(repr, sorted(prefixes)))}. One is expected: state = {reader}; "
                f"torch.save({taken}, 'weights.pt')"
            )
        prefix = (averages or raw)[0]
    elif found:  # the wrappers' prefixes that all names begin with
        while prefix != before:
            before = prefix
            for wrapper in WRAPPERS:
                if all(key.startswith(prefix + wrapper) for key in found):
                    prefix += wrapper
    # A prefix may be the beginning of another one: "" for the network, "ema." for its average.
    others = tuple(other for other in prefixes if other != prefix and other.startswith(prefix))
    names = {}
    for key, shape in found.items():
        name = key.removeprefix(prefix)
        of_another = not key.startswith(prefix) or (others and key.startswith(others))
        if of_another or (prefixes and name.startswith(COPIES)):
            continue
        if "." not in name and (shape == () or BUFFERS.fullmatch(name)):
            continue
        names[key] = name
    return names


def network_in(saved: Any, file: str | Path) -> dict[str, Tensor]:
    """Return the dictionary of tensors in what a training saved: all of it, or the network among
    other things.

    Raises:
        ValueError: if there is none, or several that may be meant.
    """
    parts = dict(enumerate(saved)) if isinstance(saved, list | tuple) else saved
    if not isinstance(parts, dict):
        raise ValueError(
            f"{file} holds a {type(saved).__name__}, no dictionary of tensors. Another file is "
            "expected."
        )
    if {"state", "param_groups"} <= parts.keys():
        raise ValueError(
            f"{file} is the state of an optimiser, which holds no network. The file of weights "
            "that the training wrote beside it is expected, e.g. model010000.pt or "
            "ema_0.9999_010000.pt beside opt010000.pt."
        )
    nested, networks = [], {}  # dictionaries of tensors, and those that are of a network
    for key, value in parts.items():
        if not isinstance(value, dict) or not value:
            continue
        if all(isinstance(part, Tensor) for part in value.values()):
            nested.append(key)
            if any(f".{name}".endswith(ENDINGS) for name in value):
                networks[key] = value
    averages = [key for key in networks if "ema" in str(key).lower()]
    usual = [key for key in PLACES if key in networks]
    if len(networks) == 1 or len(averages) == 1 or (usual and not averages):
        best = (averages or usual or list(networks))[0]
        return dict(networks[best])
    tensors = {}
    flat = True
    for key, value in parts.items():
        if isinstance(key, str) and isinstance(value, Tensor):
            tensors[key] = value
        flat = flat and isinstance(value, Tensor | int | float | str | None)
    if tensors and flat:
        return tensors
    if isinstance(parts.get("shadow_params"), list):
        raise ValueError(
            f"{file} holds a moving average without the names of its weights (shadow_params). The "
            "folder that diffusers writes beside it is expected: unet_ema, with config.json in it."
        )
    inside = ", ".join(map(repr, list(parts)[:5]))
    if not isinstance(saved, dict):
        inside = type(saved).__name__
    message = f"{file} is no flat dictionary of tensors (it holds {inside or 'nothing'})."
    if not nested:
        raise ValueError(f"{message} No weights were found in it: another file is expected.")
    places = list(networks or nested)
    raise ValueError(
        f"{message} The weights alone are expected, of {' or '.join(map(repr, places))}: "
        f"torch.save(torch.load({str(file)!r}, weights_only=True)[{(averages or places)[0]!r}], "
        "'weights.pt')."
    )
