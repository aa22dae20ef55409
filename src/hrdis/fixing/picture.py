"""Find what is wrong with a picture and mend it, or leave it as it is: `hrdis.fix`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

import hrdis

from .. import images
from ..checkpoints import load_prior
from ..messages import shell_word
from ..priors import Prior, Tiled
from . import restorations
from .diagnose import FILLED, Diagnosis, diagnose
from .enlarged import sharpen_enlarged
from .filling import fill
from .opening import opened
from .record import FixRecord
from .restorations import Mended
from .stages import Stages

if TYPE_CHECKING:
    from PIL import Image

#: What can be mended, in the order in which it is.
KINDS = ("noise", "jpeg", "scratches", "stamp", "enlarged", "blur")
#: What is mended unasked. In a clean photograph a flag's stars were taken for scratches.
UNASKED = ("noise", "jpeg", "enlarged", "blur")
NOTHING = "Nothing to mend: the picture is as it was."
KERNEL = "OUT.kernel.npy"
LEFT = "The mask shows specks, scratches or a date stamp. They are filled only if they are named."


@dataclass(frozen=True)
class Fixed:
    """A picture that was looked at and, if need be, mended.

    Args:
        picture: the result, with what its file needs beside its colours.
        diagnosis: what was found.
        steps: what was done or left alone, a sentence each.
        changed: False if the picture is as it was.
        record: all numbers, as what JSON holds.
        command: a line of the shell that does the same; "" if nothing was done. It names the kernel
            ``KERNEL``, which is known once the picture is saved.
        mask: (h, w) bool, specks, scratches and a date that are filled, or else proposed; None
            without.
        kernel: (k, k), the blur that was undone; None without.
    """

    picture: images.Picture
    diagnosis: Diagnosis
    steps: tuple[str, ...]
    changed: bool
    record: FixRecord = field(repr=False)
    command: str = ""
    mask: Tensor | None = field(default=None, repr=False)
    kernel: Tensor | None = field(default=None, repr=False)

    @property
    def x(self) -> Tensor:
        """The result (1, c, h, w) in [-1, 1]."""
        return self.picture.x

    @property
    def image(self) -> "Image.Image":
        """The result as one of Pillow's images, as deep and as grey as what was given."""
        return images.to_pil(self.picture)

    def save(
        self, path: str | Path, source: str | Path | None = None, *, overwrite: bool = False
    ) -> list[str]:
        """Write the picture, its record and, where there are, its mask and kernel.

        Args:
            path: the picture to write.
            source: the file it came from, copied byte for byte where nothing was changed and the
                kind of file stays.
            overwrite: replace files that no record of this program beside them names.

        Returns:
            the names of all files.

        Raises:
            ValueError: if no such file can be written, or another's would be lost.
            OSError: if files could not be written; it names where each was kept instead.
        """
        from . import outputs

        source = None if source is None else Path(source)
        return outputs.write(self, Path(path), source, overwrite=overwrite)


def fix(
    picture: "str | Path | Image.Image | np.ndarray | Tensor | images.Picture",
    *,
    only: Sequence[str] = (),
    strength: float = 1.0,
    noise: float | None = None,
    upscale: int = 1,
    dry_run: bool = False,
    prior: Prior | str = "default",
    seed: int = 0,
    on_progress: Callable[[str], object] | None = None,
) -> Fixed:
    """Find what is wrong with a picture, and mend what is sure to be wrong.

    A picture with nothing to mend comes back as it is. A restoration that its own check finds
    worse is taken back. Specks, scratches and a printed date are proposed as a mask, and filled if
    ``only`` names them ("scratches", "stamp"), since stars on a flag look alike.

    Args:
        picture: the name of a file, one of Pillow's images, an array (h, w), (h, w, 3) or (h, w, 4)
            (uint8, uint16, floats from 0 to 1), or a tensor (c, h, w) in [-1, 1].
        only: which kinds of ``KINDS`` may be mended; by default all but
            scratches and stamp.
        strength: how much of the noise and of JPEG's artefacts is taken away, above 0, at most 1.
        noise: the level of the noise in grey levels, instead of what is measured.
        upscale: 2 or 4 to enlarge the result.
        dry_run: whether to find only.
        prior: of colour pictures.
        seed: of the solvers.
        on_progress: called with what is being done, in words, at every stage and after every tile
            of a large picture. What it raises ends the work.

    Raises:
        ValueError, TypeError: for what is no picture, and for options out of range.

    Cost:
        3 to 6 s a megapixel to find, 2 to 5 network calls to mend noise and JPEG, 20 for a blur.

    Example:
        >>> import torch
        >>> from hrdis.rng import stream
        >>> z = torch.from_numpy(stream(0, "doc").standard_normal((1, 3, 64, 64))).float()
        >>> fixed = fix(2 * 12 / 255 * z)
        >>> fixed.steps[0][:10], round(float(fixed.x.std()) * 127.5) < 4
        ('Noise of 1', True)
    """
    if isinstance(only, str):
        raise ValueError(f"only is {only!r}. A list of kinds is expected: only=['noise'].")
    unknown = [kind for kind in only if kind not in KINDS]
    if unknown:
        raise ValueError(
            f"only names {unknown[0]!r}. Kinds of damage are expected: {', '.join(KINDS)}."
        )
    if not 0 < strength <= 1:
        raise ValueError(
            f"strength is {strength}. A number above 0, at most 1, is expected. To find only: "
            "dry_run=True."
        )
    if noise is not None and not 0 < noise < 128:
        raise ValueError(f"noise is {noise}. Grey levels above 0 and below 128 are expected.")
    if upscale not in (1, 2, 4):
        raise ValueError(f"upscale is {upscale}. 2 or 4 is expected.")
    for name, why in unused(only).items():
        if (name == "noise" and noise is not None) or (name == "strength" and strength != 1):
            raise ValueError(f"{name} is given, but {why}")
    given, tables = opened(picture)
    given = given.without_hidden()
    started = time.perf_counter()
    if isinstance(prior, str):
        prior = load_prior(prior)
    stages = Stages(on_progress or (lambda what: None))
    tiled = Tiled(prior, on_tiles=stages.tiles)
    grey = given.x.shape[1] == 3 and bool((given.x == given.x[:, :1]).all())
    y = given.x[:, :1] if grey else given.x
    found = diagnose(y, tables, tiled, stages.begin)
    if noise is not None:
        level = replace(
            found.noise, found="yes", value=noise, low=noise, high=noise, white=True,
            before_jpeg=False, why=f"Noise of {noise:g} grey levels, as given.",
        )  # fmt: skip
        found = replace(found, noise=level)
    x, kernel = y, None
    steps: list[str] = []
    done: dict[str, Mended] = {}
    if not dry_run:
        x, steps, done, kernel = _mend(tiled, y, found, only, strength, seed, stages.begin)
    if upscale > 1 and not dry_run:
        stages.begin("enlarging")
        larger = restorations.enlarge(tiled, x, upscale, seed)
        x, done["upscale"] = larger.x, larger
        steps.append(larger.why)
    changed = any(mended.done for mended in done.values())
    shown = "yes" in (found.scratches.found, found.stamp.found)
    if shown and not FILLED.keys() & set(only) and not dry_run:
        steps.append(LEFT)
    elif not changed and not dry_run:
        steps.append(NOTHING)
    if grey:
        x = x.expand(-1, 3, -1, -1)
    result = given.with_image(x) if changed else given
    command = _command(picture, found, done, upscale, strength)
    record: FixRecord = {
        "hrdis": hrdis.__version__,
        "image": str(picture) if isinstance(picture, str | Path) else None,
        "diagnosis": found.record(),
        "steps": steps,
        "residual_levels": {kind: round(m.residual, 3) for kind, m in done.items() if m.done},
        "changed": changed,
        "options": {
            "only": list(only), "strength": strength, "noise": noise, "upscale": upscale,
            "seed": seed,
        },
        "prior": prior.name,
        "command": command,
        "seconds": round(time.perf_counter() - started, 2),
    }  # fmt: skip
    mask = found.mask(only)
    return Fixed(result, found, tuple(steps), changed, record, command, mask, kernel)


def unused(only: Sequence[str]) -> dict[str, str]:
    """Return the options that change nothing where few kinds may be mended, each with the reason.

    Args:
        only: which kinds of ``KINDS`` may be mended; () for all that are mended unasked.
    """
    found = {}
    if only and not {"noise", "blur"} & set(only):  # to undo a blur one has to know the noise
        found["noise"] = (
            f"only {' and '.join(only)} may be mended. Name noise, too, or leave it out."
        )
    if only and not {"noise", "jpeg"} & set(only):
        found["strength"] = (
            f"only {' and '.join(only)} may be mended, which has no strength. Name noise or jpeg, "
            "too, or leave it out."
        )
    return found


def _mend(
    prior: Prior,
    y: Tensor,
    found: Diagnosis,
    only: Sequence[str],
    strength: float,
    seed: int,
    begin: Callable[[str], object],
) -> tuple[Tensor, list[str], dict[str, Mended], Tensor | None]:
    """Mend what was found, noise and JPEG in one go, holes before blur, the blur last."""
    wanted = tuple(only) or UNASKED
    noisy = "noise" in wanted and found.noise.found == "yes"
    coded = "jpeg" in wanted and found.jpeg.found == "yes"
    done: dict[str, Mended] = {}
    x, left = y, found.noise.value if found.noise.found == "yes" else 0.0
    if noisy and found.noise.alike and not found.noise.before_jpeg:
        coded = False
    if coded:
        # What JPEG left of noise is no white noise any more: it goes with JPEG's artefacts, which
        # gains more than one call at the level it had (0.7 against 0.3 dB, studies/fix.py).
        begin("taking JPEG's artefacts away")
        level = found.noise.value if noisy and not found.noise.before_jpeg else 0.0
        done["jpeg"] = restorations.clean_jpeg(prior, x, found.jpeg, level, strength)
        x = done["jpeg"].x
        left = max(left, 0.6 * found.jpeg.damage)  # what is lost stays lost, and is no detail
    if noisy and not (coded and done["jpeg"].done):
        begin("removing noise")
        done["noise"] = restorations.denoise(prior, x, found.noise, strength)
        x = done["noise"].x
        left = 0.3 * left if done["noise"].done else left
    for kind, name in FILLED.items():
        mask = found.mask([kind])
        if kind in wanted and mask is not None:
            begin(f"filling {name.lower()}")
            filled = fill(prior, x, mask, seed)
            x, done[kind] = filled.x, replace(filled, why=f"{name}: {filled.why}")
    if "enlarged" in wanted and found.enlarged.found == "yes" and x is y:
        begin("sharpening")
        done["enlarged"] = sharpen_enlarged(x, found.enlarged)
        x = done["enlarged"].x
    kernel = None
    if "blur" in wanted and found.blur.found == "yes":
        begin("sharpening")
        done["blur"] = restorations.deblur(prior, x, found.blur, left, seed)
        x = done["blur"].x
        kernel = restorations.kernel_of(found.blur) if done["blur"].done else None
    steps = []
    for mended in done.values():
        again = ""
        if mended.done and mended.residual > 0:
            again = (
                f" The result, damaged again, differs from your picture by {mended.residual:.1f} "
                "levels."
            )
        steps.append(mended.why + again)
    return x, steps, done, kernel


def _command(
    picture: object, found: Diagnosis, done: dict[str, Mended], upscale: int, strength: float
) -> str:
    """Return the command that does the same, `hrdis restore` where one task is all of it."""
    kinds = [kind for kind, mended in done.items() if mended.done]
    if not kinds:
        return ""
    name = shell_word(picture) if isinstance(picture, str | Path) else "IMAGE"
    if kinds == ["upscale"]:
        return f"hrdis restore {name} --task upscale --scale {upscale} --solver ddnm -o OUT.png"
    if kinds == ["blur"]:
        s, sigma = restorations.SHARPEN, max(found.noise.value, restorations.ROUNDED) / 255
        return (
            f"hrdis restore {name} --task deblur --kernel {KERNEL} --noise "
            f"{sigma:.4f} --solver diffpir --steps {s.steps} --start {s.start} --lam {s.lam:g} "
            f"--zeta {s.zeta:g} -o OUT.png"
        )
    parts = [f"hrdis fix {name} --only {','.join(k for k in kinds if k != 'upscale')}"]
    if "noise" in kinds and found.noise.white is not False:
        parts.append(f"--noise {found.noise.value:.2f}")
    if strength != 1 and {"noise", "jpeg"} & set(kinds):
        parts.append(f"--strength {strength:g}")
    if upscale > 1:
        parts.append(f"--upscale {upscale}")
    return " ".join([*parts, "-o OUT.png"])
