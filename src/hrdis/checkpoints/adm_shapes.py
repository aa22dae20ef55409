"""What the shapes in a file tell about a guided-diffusion (ADM) network, and what they do not."""

from collections.abc import Mapping

from .adm_networks import PRESETS, REFUSED, Preset, Structure
from .weights import Shape, recognised


def guess(found: Mapping[str, Shape], file: object) -> Preset:
    """The preset of a file by the shapes of its tensors, if all that have these shapes run alike.

    Raises:
        ValueError: if none has these shapes, or several that differ in what shapes do not tell.
    """
    structure = structure_of(found, file)
    fitting = {name: preset for name, preset in PRESETS.items() if preset.structure == structure}
    kinds = {(p.qkv_order, p.head_channels, p.schedule, p.predicts) for p in fitting.values()}
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
        "trained with use_new_attention_order; for  other heads or schedules "
        "hrdis.checkpoints.adm.load(file, hrdis.checkpoints.adm.Preset(...))."
    )


def structure_of(found: Mapping[str, Shape], where: object = "The state dict") -> Structure:
    """Read the structure of an ADM network from the shapes of its tensors.

    Raises:
        ValueError: if they are no such network, or one that `UNet2DModel` cannot express, with the
            reason.
    """
    try:
        structure, embedded = _structure(found), found["time_embed.0.weight"][1]
    except (KeyError, IndexError, StopIteration, ZeroDivisionError):
        reason = recognised(found, where) or f"Its first keys are {list(found)[:3]}."
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
            f"{where} cannot be loaded: {refused}. Networks that can: {', '.join(PRESETS)}."
        )
    return structure


def _structure(found: Mapping[str, Shape]) -> Structure:
    count = 1 + max(
        int(key.split(".")[1])
        for key in (*found, "output_blocks.-1")
        if key.startswith("output_blocks.")
    )
    ups = [
        (n, f"output_blocks.{n}.{k}.conv.weight" not in found)
        for n in range(count)
        for k in (1, 2)
        if f"output_blocks.{n}.{k}.in_layers.0.weight" in found
        or f"output_blocks.{n}.{k}.conv.weight" in found
    ]
    stage = ups[0][0] + 1 if ups else count  # blocks + 1 of each level
    first = [1 + i * stage for i in range(count // stage)]
    channels, in_channels = found["input_blocks.0.0.weight"][:2]
    widths = [found[f"input_blocks.{n}.0.out_layers.3.weight"][0] for n in first]
    classes = found.get("label_emb.weight")
    return Structure(
        channels=channels,
        mult=tuple(width // channels for width in widths),
        blocks=stage - 1,
        attention=tuple(
            i for i, n in enumerate(first) if f"input_blocks.{n}.1.qkv.weight" in found
        ),
        scale_shift=found["middle_block.0.emb_layers.1.weight"][0] == 2 * widths[-1],
        resblock_updown=not ups or ups[0][1],
        in_channels=in_channels,
        out_channels=found["out.2.weight"][0],
        classes=classes[0] if classes else None,
    )
