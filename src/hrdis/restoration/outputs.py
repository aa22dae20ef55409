"""Files that a restoration leaves on disk: pictures, charts, and a record."""

import math
import platform
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import TypeAdapter
from torch import Tensor

import hrdis

from .. import images, uncertainty
from ..messages import bilingual, level_outside
from .intervals import interval_of
from .record import Record

if TYPE_CHECKING:
    from PIL import Image

    from .result import Restoration


def names(output: Path, samples: int) -> list[Path]:
    """Return every file that a restoration of so many samples writes, the record last."""
    found = [output]
    if samples > 1:
        found += [_beside(output, str(k)) for k in range(2, samples + 1)]
        found += [_beside(output, "mean")]
        found += [_chart(output, "uncertainty"), _chart(output, "overview")]
    return [*found, record_of(output)]


def record_of(output: Path) -> Path:
    """Return where the record of a restoration is written."""
    return images.records.record_beside(output)


def check_files(
    output: Path, samples: int, inputs: Sequence[Path | None], *, overwrite: bool, mask: bool
) -> None:
    """Raise if one of the files that a restoration writes would replace one that must stay.

    Args:
        output: the restored picture.
        samples: how many are written.
        inputs: files that are read.
        overwrite: let files be replaced.
        mask: whether a mask that was found is written, too. One that is there already may have been
            edited by hand, so that it stays even where this program wrote it.

    Raises:
        ValueError: as `hrdis.images.records.check`; for a mask with the option that takes it.
    """
    images.records.check(names(output, samples), inputs, overwrite=overwrite)
    path = images.records.mask_beside(output)
    # A run that was killed wrote its mask, and not yet its record.
    edited = path.exists() and not images.records.unfinished(record_of(output))
    if mask and edited and not overwrite:
        said = f"{path} is in the way, and may have been edited by hand. Take it as the mask: "
        raise ValueError(
            bilingual(
                f'{said}mask="{path}". Or replace it: overwrite=True',
                f"{said}--mask {path}. Or search again: --overwrite",
            )
        )


def write(found: "Restoration", output: Path, *, overwrite: bool = False) -> list[Path]:
    """Write the pictures and the record of a restoration: see `Restoration.save`."""
    kept = found.kept
    if not kept:
        raise ArithmeticError(
            "The result became invalid (NaN or infinite) and was not saved. Run without changed "
            "settings."
        )
    job, samples = found.job, found.samples[kept].split(1)
    files = names(output, len(samples))
    images.check_output(
        output, transparent=job.stored.alpha is not None, size=tuple(samples[0].shape[-2:])
    )
    searched = job.found.mask is not None
    check_files(output, len(samples), job.inputs.files, overwrite=overwrite, mask=searched)
    if len(kept) < len(found.samples):
        lost = ", ".join(str(seed) for seed in found.lost_seeds)
        warnings.warn(
            f"The samples of seed {lost} became invalid (NaN or infinite) and were left out.",
            stacklevel=level_outside(),
        )
    said: Record = {**record(found), "files": [str(path) for path in files[:-1]]}
    pictures = {}
    for path, x in zip(files, samples, strict=False):
        pictures[path] = job.stored.with_image(x)
    if len(samples) > 1:
        pictures[_beside(output, "mean")] = job.stored.with_image(found.mean)
    mask = images.records.mask_beside(output)
    if job.found.mask is not None:
        pictures[mask] = images.Picture(images.from_unit(job.found.mask.float()[None, None]))
    writers: dict[Path, Callable[[Path], object]] = {}
    for path, picture in pictures.items():
        writers[path] = partial(images.write, picture=picture)
    deviation = found.deviation
    if deviation is not None:  # drawn when they are written: a chart must not cost the pictures
        writers[_chart(output, "uncertainty")] = lambda path: images.write_pil(
            path, uncertainty.deviation_map(deviation, found.half_width)
        )
        writers[_chart(output, "overview")] = lambda path: images.write_pil(
            path, overview(found, deviation)
        )
    images.records.write_files(files[-1], said, writers)
    if mask in pictures:
        said = {**said, "mask": str(mask), "mask_sha256": sha256(mask.read_bytes()).hexdigest()}
    images.records.write(files[-1], said)
    return files


def overview(found: "Restoration", deviation: Tensor) -> "Image.Image":
    """Return a sheet of what was given, the samples, their mean and the map of uncertainty."""
    samples = found.samples[found.kept].split(1)
    panel, said_of_panel = uncertainty.map_panel(deviation, found.half_width)
    numbered = [f"sample {k + 1}" for k in range(len(samples))]
    return uncertainty.sheet(
        [found.job.given(), *samples, found.mean, panel],
        ["given", *numbered, "mean", said_of_panel],
        columns=min(len(samples) + 3, 4),
    )


def record(found: "Restoration") -> Record:
    """Return what was done, enough to do it again, as values of JSON."""
    from ..repairs import is_word

    job, options, inputs = found.job, found.job.options, found.job.inputs
    in_words = options.kernel is not None and is_word(options.kernel)  # not in a file
    interval, reason = None, None
    if len(found.kept) > 1:
        interval, reason = interval_of(job, len(found.kept))
    estimated: dict[str, list[float | None]] = {}
    for name, values in found.estimated.items():
        estimated[name] = []
        for k in found.kept:  # JSON has no NaN
            estimated[name].append(values[k] if math.isfinite(values[k]) else None)
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
        "kernel": _name(inputs.kernel) or (options.kernel if in_words else None),
        "kernel_sha256": inputs.hashes.get("kernel"),
        "weights": _name(options.weights),
        "weights_sha256": inputs.hashes.get("weights"),
        "found": dict(job.found.why),
        "noise": {"[0,1]": options.noise, "[-1,1]": job.problem.sigma_y},
        "solver": options.solver,
        "effort": (job.choice and job.choice.effort) or None,
        "preset": (job.choice and job.choice.row) or None,
        "preset_reason": job.choice.why if job.choice else None,
        "settings": TypeAdapter(type(job.solver)).dump_python(job.solver, mode="json"),
        "prior": options.prior,
        "label": options.label,
        "prior_sha256": inputs.hashes.get("prior"),
        "seeds": [options.seed + k for k in found.kept],
        "lost_seeds": found.lost_seeds,
        "times": job.times,
        "network_calls": found.calls,
        "seconds": round(found.seconds, 2),
        "estimated": estimated,
        "interval": None if interval is None else asdict(interval),
        "interval_reason": reason,
        "precision": options.precision,
        "precision_reason": job.precision_reason or None,
        "device": str(job.problem.y.device),
        "threads": torch.get_num_threads(),
        "tile": options.tile,
        "overlap": options.overlap,
        "tile_memory": options.tile_memory,
        "redraw": options.redraw,
        "windows": [window.place for window in job.windows] or None,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "asked": None if job.asked is None else dict(job.asked),
    }


def _name(given: object) -> str | None:
    return str(given) if isinstance(given, Path) else None


def _chart(output: Path, name: str) -> Path:
    return _beside(output, name).with_suffix(".png")


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}{path.suffix}")
