"""Fields of the JSON file beside a fixed picture; `docs/reference/record.md` is made of them."""

from typing import Any, NotRequired, TypedDict


class FixRecord(TypedDict):
    """Record of `hrdis fix`: what was found and done, with all numbers."""

    hrdis: str
    """Version of hrdis."""
    image: str | None
    """The picture, as it was named."""
    image_sha256: NotRequired[str]
    """SHA-256 of its content, by which a later run on a folder knows what is finished."""
    diagnosis: dict[str, Any]
    """For each kind of damage the answer (yes, no, unsure), the reason, and the numbers."""
    steps: list[str]
    """What was done or left alone, a sentence each."""
    residual_levels: dict[str, float]
    """For each kind that was mended, by how much the result, damaged again, differs from the
    picture, as the root mean square in grey levels.
    """
    changed: bool
    """False if the picture is as it was."""
    options: dict[str, Any]
    """The options that decide the result: only, strength, noise, upscale, seed."""
    prior: str
    """The model."""
    command: str
    """A command that does the same; empty if nothing was done."""
    seconds: float
    """Time of the diagnosis and of the repair, without loading."""
    files: NotRequired[list[str]]
    """The files that were written; not in Python's `Fixed.record`."""
    mask_sha256: NotRequired[str | None]
    """SHA-256 of the mask that is proposed, by which a later run knows whether it was edited; null
    without one.
    """
