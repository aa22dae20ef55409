"""Recognise a guided-diffusion (ADM) network by the shapes in its file, as far as they tell it."""

from collections.abc import Mapping

from .adm_networks import NETWORKS, REFUSED, ADMNetwork, ADMStructure
from .layouts import Shape, identify_checkpoint


def guess_network(found: Mapping[str, Shape], file: object) -> ADMNetwork:
    """Return the network of a file by the shapes of its tensors, if all networks with these shapes
    run alike.

    Raises:
        ValueError: if none has these shapes, or several that differ in what shapes do not tell.
    """
    structure = structure_of(found, file)
    fitting, kinds = {}, set()
    for name, network in NETWORKS.items():
        if network.structure == structure:
            fitting[name] = network
            kinds.add(
                (network.qkv_order, network.head_channels, network.schedule, network.predicts)
            )
    if len(kinds) == 1:
        return next(iter(fitting.values()))
    if fitting:
        raise ValueError(
            f"{file} has the shapes of {len(fitting)} networks that run differently, and no file "
            f"tells which it is. Say so: hrdis.load_prior('<name>:{file}') with one of "
            f"{', '.join(fitting)}."
        )
    raise ValueError(
        f"{file} is no network known by name: {structure}. The order of its attention rows, which "
        f"no file tells, must be said: hrdis.load_prior('adm-legacy:{file}'), or 'adm-new:' if "
        "trained with use_new_attention_order; for other heads or schedules "
        "hrdis.checkpoints.adm.load(file, hrdis.checkpoints.adm.ADMNetwork(...))."
    )


def structure_of(found: Mapping[str, Shape], where: object = "The state dict") -> ADMStructure:
    """Read the structure of an ADM network from the shapes of its tensors.

    Raises:
        ValueError: if they are no such network, or one that `UNet2DModel` cannot express, with the
            reason.
    """
    try:
        structure, embedded = _structure(found), found["time_embed.0.weight"][1]
    except (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError):
        reason = identify_checkpoint(found, where) or f"Its first keys are {list(found)[:3]}."
        raise ValueError(
            f"{where} is no diffusion model in guided-diffusion's layout. {reason}"
        ) from None
    refused = ""
    if structure.in_channels == 6 and structure.classes:
        refused = REFUSED["adm-upsampler-128-512"]
    elif embedded != structure.channels:
        refused = REFUSED["adm-imagenet512-cond"]
    elif structure.channels == 256 and structure.mult == (1, 1, 2, 3, 4) and structure.classes:
        refused = REFUSED["adm-imagenet128-cond"]
    if refused:
        raise ValueError(
            f"{where} cannot be loaded: {refused}. Networks that can: {', '.join(NETWORKS)}."
        )
    return structure


def _structure(found: Mapping[str, Shape]) -> ADMStructure:
    """Read the structure; raises one of several errors where a key or an axis is missing."""
    count = 0  # of the blocks on the way up
    for key in found:
        if key.startswith("output_blocks."):
            count = max(count, 1 + int(key.split(".")[1]))
    if count > len(found):  # a number that no tensors stand for would be counted up to
        raise KeyError(f"output_blocks.{count - 1}")
    # A block that ends a level has a last module that doubles the sides: a residual block, or a
    # convolution.
    stage, resblock_updown = count, True  # blocks + 1 of each level; without a change of size
    for n in range(count):
        ends = [f"output_blocks.{n}.{k}" for k in (1, 2)]
        convolution = any(f"{end}.conv.weight" in found for end in ends)
        if convolution or any(f"{end}.in_layers.0.weight" in found for end in ends):
            stage, resblock_updown = n + 1, not convolution
            break
    channels, in_channels = found["input_blocks.0.0.weight"][:2]
    widths, attention = [], []
    for level in range(count // stage):
        block = f"input_blocks.{1 + level * stage}"
        widths.append(found[f"{block}.0.out_layers.3.weight"][0])
        if f"{block}.1.qkv.weight" in found:
            attention.append(level)
    classes = found.get("label_emb.weight")
    return ADMStructure(
        channels=channels,
        mult=tuple(width // channels for width in widths),
        blocks=stage - 1,
        attention=tuple(attention),
        scale_shift=found["middle_block.0.emb_layers.1.weight"][0] == 2 * widths[-1],
        resblock_updown=resblock_updown,
        in_channels=in_channels,
        out_channels=found["out.2.weight"][0],
        classes=classes[0] if classes else None,
    )
