"""Fields of the JSON files that stand beside pictures; `docs/reference/record.md` is made of them.

Fields are only ever added. A record of an older version lacks the younger ones.
"""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

NoiseLevel = TypedDict("NoiseLevel", {"[0,1]": float, "[-1,1]": float})
DamageNoise = TypedDict(
    "DamageNoise", {"kind": str, "level": float, "[0,1]": float, "[-1,1]": float}
)


class Record(TypedDict):
    """Record of a restoration: what `hrdis replay` needs to run it again."""

    hrdis: str
    """Version of hrdis."""
    image: str | None
    """The damaged picture, as it was named."""
    image_sha256: str | None
    """SHA-256 of its content."""
    mask: str | None
    """The mask, as it was named."""
    mask_sha256: str | None
    """SHA-256 of its content."""
    hole: str
    """What marked holes in the mask: white, black or alpha (transparent)."""
    task: str | None
    """The task; null with an operator of your own."""
    scale: int | None
    """The option of upscale, as it was given."""
    quality: int | None
    """The option of dejpeg, as it was given."""
    bits: int | None
    """The option of deband, as it was given."""
    operator: str | None
    """FILE.py:NAME of an operator of your own."""
    operator_sha256: str | None
    """SHA-256 of that file, not of files that it imports."""
    operator_seed: int | None
    """Seed of an operator that is drawn, such as the matrix of cs25."""
    kernel: str | None
    """The kernel: a file as it was named, or words such as gaussian:3."""
    kernel_sha256: str | None
    """SHA-256 of its content; null for words."""
    weights: str | None
    """Weights of the network that blurs, as they were named."""
    weights_sha256: str | None
    """SHA-256 of their content."""
    found: dict[str, str]
    """For each option that was auto, what was seen in the picture, as a sentence. Its value stands
    in the field of that option.
    """
    noise: NoiseLevel
    """Level of the noise: "[0,1]" as a fraction of white, "[-1,1]" in units of the measurement."""
    solver: str
    """The solver that ran; with --solver auto the one that was chosen."""
    effort: str | None
    """The effort that chose the solver; null where the solver was named."""
    preset: str | None
    """The preset that the settings began with; null without."""
    preset_reason: str | None
    """Why solver and preset were chosen, as a sentence."""
    settings: dict[str, Any]
    """Every setting of the solver, by name."""
    prior: str
    """The model, as it was named."""
    label: int | None
    """The class of the picture, for class-conditional models."""
    prior_sha256: str | None
    """SHA-256 of the model's weights; null where the model has no file."""
    seeds: list[int]
    """Seed of every sample that was written."""
    lost_seeds: list[int]
    """Seeds of samples that became NaN or infinite, and have no picture."""
    times: list[int]
    """Network times, from noisy to clean; -1 is the clean image."""
    network_calls: int
    """Calls of the network, over all samples."""
    seconds: float
    """Time of the solver, without loading."""
    estimated: Mapping[str, list[float | None]]
    """Numbers that a blind solver found, one per sample, such as an exposure; null for NaN."""
    interval: Mapping[str, float] | None
    """The calibrated interval around the mean of samples: `level`, the share of colour values that
    lies inside, and `scale` and `floor` of its half width, scale (deviation + floor), on [0, 1].
    """
    interval_reason: str | None
    """Why it is known or not, as a sentence; null for one sample."""
    precision: str
    """How the network ran: fp32, bf16, fp16 or onnx."""
    precision_reason: str | None
    """Why it ran so, with --precision auto the times of a call; null where it was named."""
    device: str
    """Where the network ran."""
    threads: int
    """Threads of torch."""
    tile: int
    """Side of the tiles of a large picture, in pixels."""
    overlap: int
    """Overlap of the tiles, in pixels."""
    tile_memory: float
    """Bound of the memory of a network call, in gigabytes; 0 is none."""
    redraw: bool
    """True if observed pixels came from the solver too (--no-keep-known)."""
    windows: list[list[int]] | None
    """Top, left, height and width of every window that was restored by itself around small holes,
    in pixels; null where the whole picture was, as in records of older versions.
    """
    torch: str
    """Version of torch."""
    python: str
    """Version of Python."""
    asked: dict[str, Any] | None
    """The options as they were asked for, by which a later run on the same folder knows what is
    finished; null for one picture.
    """
    files: NotRequired[list[str]]
    """The pictures that were written; not in Python's `Restoration.record`."""
    unfinished: NotRequired[bool]
    """True if the command was ended while it wrote the pictures; `replay` refuses such a record."""


class DamageRecord(TypedDict):
    """Record of `hrdis degrade`: the damage, from which an array can be restored."""

    hrdis: str
    """Version of hrdis."""
    image: str
    """The good picture, as it was named."""
    task: str | None
    """The task; null with an operator of your own."""
    scale: int | None
    """The option of upscale, as it was given."""
    quality: int | None
    """The option of dejpeg, as it was given."""
    bits: int | None
    """The option of deband, as it was given."""
    kernel: str | None
    """The kernel in words, as it was given."""
    mask: str | None
    """The file of the mask, as it was named; null for a drawn one."""
    mask_index: int | None
    """Number of the mask in Palette's file."""
    weights: str | None
    """Weights of the network that blurs, as they were named."""
    operator: str | None
    """FILE.py:NAME of an operator of your own."""
    operator_sha256: str | None
    """SHA-256 of that file."""
    noise: DamageNoise
    """Kind and level as they were given, and the standard deviation on both ranges."""
    seed: int
    """Seed of the mask, the kernel and the noise."""
    files: list[str]
    """The files that were written."""
