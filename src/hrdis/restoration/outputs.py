"""Files that a restoration leaves on disk: pictures, charts, and a record."""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter

import hrdis

from .. import images, uncertainty

if TYPE_CHECKING:
    from .result import Restoration


def names(output: Path, samples: int) -> list[Path]:
    """Return every file that a restoration of so many samples writes, the record last."""
    found = [output]
    if samples > 1:
        found += [_beside(output, str(k)) for k in range(2, samples + 1)]
        found += [_beside(output, "mean")]
        found += [_chart(output, "uncertainty"), _chart(output, "overview")]
    return [*found, output.with_suffix(".json")]


def check(outputs: Sequence[Path], inputs: Sequence[Path | None]) -> None:
    """Raise unless no output would overwrite an input, and a record in the way is one of ours.

    Raises:
        ValueError: naming the file in the way; nothing has been written.
    """
    taken = [path for path in inputs if path is not None]
    for path in outputs:
        if any(_is_same_file(path, given) for given in taken):
            raise ValueError(
                f"{path} is an input and would be written over. Another name is expected: "
                "-o new.png"
            )
        if path.suffix == ".json" and path.exists() and not _is_record(path):
            raise ValueError(
                f"{path} exists and is no record of this program. Another name is expected: "
                "-o new.png"
            )


def write(found: "Restoration", output: Path) -> list[Path]:
    """Write the pictures and the record of a restoration: see `Restoration.save`."""
    if not found.finite:
        raise ArithmeticError(
            "The result became invalid (NaN or infinite) and was not saved. Run without changed "
            "settings."
        )
    job, samples = found.job, found.samples.split(1)
    files = names(output, len(samples))
    images.check_output(
        output, transparent=job.stored.alpha is not None, size=tuple(samples[0].shape[-2:])
    )
    check(files, job.inputs.files)
    pictures = dict(zip(files, samples, strict=False))
    if len(samples) > 1:
        pictures[_beside(output, "mean")] = found.mean
    for path, x in pictures.items():
        images.write(path, job.stored.with_image(x))
    if found.deviation is not None:
        titles = ["given", *(f"sample {k + 1}" for k in range(len(samples))), "mean"]
        shown = [job.given(), *samples, found.mean]
        sheet = uncertainty.sheet(shown, titles, columns=min(len(samples) + 2, 4))
        images.write_pil(_chart(output, "uncertainty"), uncertainty.deviation_map(found.deviation))
        images.write_pil(_chart(output, "overview"), sheet)
    said = record(found) | {"files": [str(path) for path in files[:-1]]}
    content = json.dumps(said, indent=2, allow_nan=False).encode() + b"\n"
    images.write_atomically(files[-1], lambda file: file.write(content))
    return files


def record(found: "Restoration") -> dict[str, Any]:
    """Return what was done, enough to do it again, as values of JSON."""
    job, options, inputs = found.job, found.job.options, found.job.inputs
    return {
        "hrdis": hrdis.__version__,
        "image": _name(inputs.image),
        "image_sha256": inputs.hashes.get("image"),
        "mask": _name(inputs.mask),
        "mask_sha256": inputs.hashes.get("mask"),
        "hole": options.hole,
        "task": options.task or None,
        "scale": options.scale,
        "quality": options.quality,
        "bits": options.bits,
        "operator": options.operator or None,
        "operator_sha256": inputs.hashes.get("operator"),
        "operator_seed": inputs.operator_seed,
        "kernel": _name(inputs.kernel) or _word(options.kernel),
        "kernel_sha256": inputs.hashes.get("kernel"),
        "weights": _name(options.weights),
        "weights_sha256": inputs.hashes.get("weights"),
        "noise": {"[0,1]": options.noise, "[-1,1]": job.problem.sigma_y},
        "solver": options.solver,
        "effort": (job.choice and job.choice.effort) or None,
        "preset": (job.choice and job.choice.row) or None,
        "preset_reason": job.choice and job.choice.why,
        "settings": TypeAdapter(type(job.solver)).dump_python(job.solver, mode="json"),
        "prior": options.prior,
        "label": options.label,
        "prior_sha256": inputs.hashes.get("prior"),
        "seeds": list(range(options.seed, options.seed + len(found.samples))),
        "times": job.times,
        "network_calls": found.calls,
        "seconds": round(found.seconds, 2),
        "estimated": dict(found.estimated),
        "precision": options.precision,
        "precision_reason": job.precision_reason or None,
        "device": str(job.problem.y.device),
        "threads": torch.get_num_threads(),
        "tile": options.tile,
        "overlap": options.overlap,
        "tile_memory": options.tile_memory,
        "redraw": options.redraw,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _name(given: object) -> str | None:
    return str(given) if isinstance(given, Path) else None


def _word(kernel: str | None) -> str | None:
    """Return a kernel in words, which has no hash, or None for a file."""
    from ..repairs import is_word

    return kernel if kernel is not None and is_word(kernel) else None


def _is_record(path: Path) -> bool:
    return b'"hrdis"' in path.read_bytes()[:100_000]


def _is_same_file(path: Path, other: Path) -> bool:
    """Return True if two names are of one file, on systems too that do not tell A from a."""
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist
        return path.resolve() == other.resolve()


def _chart(output: Path, name: str) -> Path:
    return _beside(output, name).with_suffix(".png")


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}{path.suffix}")
