"""The model card and the credits of a prior: its network, data, training, quality and licence."""

import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ..files import write_text
from . import procedural
from .network import SCHEDULER, WEIGHTS
from .photographs import Photographs, read_manifest
from .settings import CPU, FREE, GPU, TrainSettings
from .state import LOG, SETTINGS

CARD, CREDITS = "MODEL_CARD.md", "CREDITS.md"
UNKNOWN = "no licence known"


def licence_counts(folder: Path, photographs: Photographs) -> Counter[str]:
    """Count the licences of the photographs, by the folder's manifest."""
    manifest, counts = read_manifest(folder), Counter[str]()
    for path in photographs.files:
        counts[manifest.get(path.resolve(), {}).get("licence") or UNKNOWN] += 1
    return counts


def weights_licence(counts: Mapping[str, int]) -> str:
    """Return the licence that all photographs allow for the weights, if weights are seen as an
    adaptation of them.

    Share-alike pictures decide for CC BY-SA, else attribution pictures for CC BY, else CC0; with a
    picture of another or no known licence, none can be named.
    """
    undetermined = (
        "not determined: at least one photograph has no licence that is known to allow it"
    )
    versions: dict[str, list[str]] = {}
    for name in counts:
        # Not -NC and -ND: they forbid some uses of what is made of a picture.
        match = re.match(r"(CC-BY-SA|CC-BY|CC0|Public domain)\b(?!-N)", name, re.IGNORECASE)
        if match is None:
            return undetermined
        versions.setdefault(match[1].upper(), []).append(name)
    if not versions:
        return undetermined
    for kind in ("CC-BY-SA", "CC-BY"):
        if kind in versions:
            return max(versions[kind]).replace(f"{kind}-", f"{kind.replace('CC-', 'CC ')} ")
    return "CC0 1.0"


def write_credits(out: Path, folder: Path, photographs: Photographs) -> None:
    """Write ``CREDITS.md``, one line per photograph, if the folder has a manifest."""
    manifest = read_manifest(folder)
    rows = [manifest[path.resolve()] for path in photographs.files if path.resolve() in manifest]
    if not rows:
        return
    columns = []
    for name in ("file", "author", "licence", "source_repo", "source_path"):
        if name in rows[0]:
            columns.append(name)
    lines = ["# Photographs this prior was trained on", ""]
    lines += [_row(columns), _row(["---"] * len(columns))]
    for row in rows:
        # A bar would end the cell.
        lines.append(_row([(row[name] or "").replace("|", "/") for name in columns]))
    write_text(out / CREDITS, "\n".join(lines) + "\n")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write_card(
    out: Path,
    folder: Path,
    photographs: Photographs,
    settings: TrainSettings,
    *,
    step: int,
    pixels: int,
    seconds: float,
    finished: bool = True,
    psnr: Mapping[str, float] | None = None,
    sections: Mapping[str, str] | None = None,
) -> Path:
    """Write ``MODEL_CARD.md`` beside the weights, and the credits.

    Args:
        out: the prior's folder, with its weights.
        folder: the photographs, for their manifest.
        photographs: what was read of them.
        settings: of the run.
        step: optimiser steps done.
        pixels: seen.
        seconds: time spent in this run.
        finished: whether it came to its end.
        psnr: held-out denoising in dB by noise level.
        sections: further sections by title, e.g. an acceptance table.
    """
    # Before the card, which names that file.
    write_credits(out, folder, photographs)
    denoising = ""
    if psnr:
        levels = " | ".join(f"{level}/255" for level in psnr)
        values = " | ".join(f"{value:.2f} dB" for value in psnr.values())
        denoising = f"| noise | {levels} |\n| --- |{' --- |' * len(psnr)}\n| PSNR | {values} |"
    licence = weights_licence(licence_counts(folder, photographs))
    parts = {
        "What it is": _PURPOSE,
        "Network": _network(settings, out / WEIGHTS),
        "Data": _data(folder, photographs, settings),
        "Training": _training(settings, step, pixels, seconds, finished),
        "Denoising of held-out photographs": denoising,
        **(sections or {}),
        "Licence": f"The weights: **{licence}**. {_ADAPTATION}",
    }
    text = "# A diffusion prior for photographs\n"
    for title, part in parts.items():
        if part:
            text += f"\n## {title}\n\n{part}\n"
    write_text(out / CARD, text)
    return out / CARD


def card_fits(out: Path) -> bool:
    """Return True if the card in a folder is one of the weights that lie there."""
    card, weights = out / CARD, out / WEIGHTS
    if not (card.is_file() and weights.is_file()):
        return False
    # The card is written last: one that names these weights was written after them.
    return hashlib.sha256(weights.read_bytes()).hexdigest() in card.read_text(encoding="utf-8")


_PURPOSE = """A small diffusion model of photographs for image restoration: inpainting of small
holes, super-resolution, deblurring, denoising. It knows edges, textures, gradients and colour; it
does not know objects, faces or writing.

It invents detail. Do not use it to recognise a person or to read a text, nor for medical or
forensic images."""

_ADAPTATION = (
    "Whether weights are an adaptation of the pictures they were trained on is unsettled; this "
    "takes the cautious view that they are. The code has its own licence."
)


def _network(settings: TrainSettings, weights: Path) -> str:
    from safetensors.torch import load

    data = weights.read_bytes()
    parameters = sum(tensor.numel() for tensor in load(data).values()) / 1e6
    channels, blocks = "-".join(map(str, settings.channels)), settings.blocks
    if settings.network == "unet2d":
        architecture = (
            f"diffusers `UNet2DModel`, channels {channels}, {blocks} residual blocks per resolution"
        )
    else:
        architecture = (
            f"`SmallUNet` of hrdis, channels {channels} at 1/2 and coarser resolutions, "
            f"{blocks} residual blocks each on the way down and up, {settings.middle} in the middle"
        )
    return _list(
        f"Architecture: {architecture}, no attention, so that any image size works; "
        f"{parameters:.2f} million parameters, no variance.",
        "Parameterisation: v = alpha_t eps - sigma_t x0 (`v_prediction`), pixels in [-1, 1], "
        "three channels.",
        "Schedule: variance preserving, 1000 times, beta linear from 1e-4 to 0.02 "
        f"(`{SCHEDULER}`).",
        f"File: `{WEIGHTS}`, float16, {len(data) / 1e6:.1f} MB, SHA-256 "
        f"`{hashlib.sha256(data).hexdigest()}`.",
    )


def _data(folder: Path, photographs: Photographs, settings: TrainSettings) -> str:
    counts = licence_counts(folder, photographs)
    listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    more = ""
    if settings.licences:
        more += f" Only these licences were taken: {', '.join(settings.licences)}."
    if read_manifest(folder):
        more += f" Authors and sources: `{CREDITS}`."
    return _list(
        f"{len(photographs.files)} photographs ({listed}), {len(photographs.held_out)} of them "
        f"held out to measure the prior.{more}",
        f"{settings.procedural_pool} procedural images (dead leaves, textures, writing, grids, "
        f"gradients; generator version {procedural.VERSION}, seed {settings.seed}): "
        f"{settings.procedural:.0%} of what was seen.",
        "Augmentation: reduction to 0.7 and 0.5, flips and transposition, gamma, saturation, "
        "channel order.",
    )


def _training(
    settings: TrainSettings, step: int, pixels: int, seconds: float, finished: bool
) -> str:
    from hrdis import __version__

    unfinished = "" if finished else " (**unfinished**)"
    gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    start = ""
    if settings.resume:
        start = f", going on from {settings.resume.name}"
    if settings.start_from:
        start = f", from the weights of {settings.start_from.name}"
    sides = ", ".join(map(str, settings.patches))
    return _list(
        f"{step:,} steps, {pixels / 1e6:,.0f} million pixels{unfinished}; this run "
        f"{seconds / 3600:.2f} hours on a {'GPU' if gpu else 'CPU'}, {settings.precision}{start}; "
        f"patches of {sides} pixels, one after the other.",
        f"Muon at {settings.lr:g} for the weights of inner layers, AdamW at {settings.adam_lr:g} "
        f"for the rest; rates fall linearly to zero over the last {settings.decay:.0%} of the "
        f"run; average of the weights with decay {settings.ema_decay:g}.",
        f"Code: hrdis {__version__}, torch {torch.__version__.partition('+')[0]}. All settings: "
        f"`{SETTINGS}`; the course of the training: `{LOG}`, `curves.png`.",
        f"To train it again: `{command(settings)}`",
    )


def _list(*items: str) -> str:
    return "\n".join(f"- {item}" for item in items)


def command(settings: TrainSettings) -> str:
    """Return the command that trains with these settings.

    It names those that differ from the preset, but for those in `FREE`, which change no weight.
    """
    defaults = (GPU if settings.device == "cuda" else CPU).as_record()
    line = "hrdis train PHOTOGRAPHS -o OUT"
    for name, value in settings.as_record().items():
        if name in FREE or value == defaults[name]:
            continue
        if value is None or value is False or value == []:  # not `in`: 0.0 equals False
            continue
        line += f" --{name.replace('_', '-')}"
        if value is True:
            continue
        for word in value if isinstance(value, list) else [value]:
            line += f" {shlex.quote(str(word))}"
    return line
