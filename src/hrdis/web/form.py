"""From what somebody filled in to the options of a restoration."""

import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import images
from ..arguments import able
from ..checkpoints import presets_of
from ..operators import Problem
from ..restoration import Options
from ..solvers import SOLVERS, Solver, preset
from ..tasks import TASKS

if TYPE_CHECKING:
    from PIL import Image

EDITED = 1600  # the longest side of a picture that is painted on, in pixels


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the page asks for; files by their paths.

    Args:
        painted: what the brush left, RGBA of any size in the picture's proportions, opaque over the
            holes.
        mask: a file instead of the brush, or None.
        hole: what marks a hole: "painted", or "white", "black" or "alpha" in the mask's file.
        changed: settings of the solver other than those of its preset.
    """

    picture: Path | None
    task: str
    painted: "Image.Image | None" = None
    mask: Path | None = None
    hole: str = "painted"
    kernel: Path | None = None
    noise: float = 0.0
    samples: int = 1
    seed: int = 0
    solver: str = ""
    changed: Mapping[str, Any] = field(default_factory=dict)
    prior: str = "default"
    label: int | None = None

    @property
    def preset(self) -> tuple[str | None, Solver]:
        """The settings the form starts from, and their key."""
        task = TASKS[self.task]
        return preset(self.solver or task.solver, task.presets, presets_of(self.prior), self.noise)

    @property
    def settings(self) -> Solver:
        """The solver, with what was changed.

        Raises:
            ValueError: for a setting that does not exist or is out of bounds.
        """
        _, usual = self.preset
        return replace(usual, **self.changed)  # type: ignore[type-var]


def options(form: Form, folder: Path, device: str, precision: Any) -> Options:
    """The options of a restoration that works in a folder of its own, where the files given are
    copied to.

    Raises:
        ValueError: if something is missing that the page asks for.
    """
    if form.picture is None:
        raise ValueError(
            "There is no picture yet. Drop one into the first box, or take the example."
        )
    task = TASKS[form.task]
    picture = _copied(form.picture, folder)
    common = Options(
        image=picture, output=folder / f"{picture.stem}-restored.png", task=form.task,
        noise=form.noise,
        solver=form.solver or task.solver, prior=form.prior, label=form.label,
        samples=form.samples, seed=form.seed,
        device=device, precision=precision,
    )  # fmt: skip
    if task.kernel:
        if form.kernel is None:
            raise ValueError(
                "This task needs the kernel of the blur: an array (.npy) or a small picture of it."
            )
        return replace(common, kernel=_copied(form.kernel, folder, "kernel"))
    if not task.mask or form.hole == "alpha":
        return replace(common, hole="alpha" if task.mask else "white")
    if form.hole != "painted":
        if form.mask is None:
            raise ValueError(
                "There is no mask yet. Choose its file, or paint over the holes instead."
            )
        return replace(common, mask=_copied(form.mask, folder, "mask"), hole=form.hole)  # type: ignore[arg-type]
    mask = folder / f"{picture.stem}-mask.png"
    images.write_pil(mask, _holes(form.painted, images.read(picture).size))
    return replace(common, mask=mask)


def _copied(file: Path, folder: Path, kind: str = "picture") -> Path:
    """A copy in the folder; the mask may have the name of the picture, and a name may look like an
    option.
    """
    name = (
        file.name
        if not (file.name.startswith("-") or (folder / file.name).exists())
        else f"{kind}-{file.name}"
    )
    return Path(shutil.copyfile(file, folder / name))


def _holes(painted: "Image.Image | None", size: tuple[int, int]) -> "Image.Image":
    """White where the brush was, at the size (height, width) of the picture."""
    from PIL import Image

    if painted is None or (alpha := painted.convert("RGBA").getchannel("A")).getextrema()[1] == 0:
        raise ValueError(
            "Nothing is painted yet. Paint over what is to be filled, or choose a mask from a file."
        )
    holes = alpha.point([0] + [255] * 255)
    return holes if holes.size == size[::-1] else holes.resize(size[::-1], Image.Resampling.NEAREST)


def to_paint_on(picture: Path) -> "Image.Image":
    """The picture as the brush sees it: upright, 8 bits, at most `EDITED` pixels a side."""
    shown = images.to_pil(replace(images.read(picture).on_white(), bits=8)).convert("RGB")
    shown.thumbnail((EDITED, EDITED))
    return shown


def solvers_for(task: str, noise: float) -> list[str]:
    """The names of the solvers that can do a task, its own first."""
    known = TASKS[task]
    if known.blind is not None:
        return [known.solver]
    A = (known.photo or known.build)(128, 128, 0, 0)
    fit = able(Problem(A(torch.zeros(1, 3, 128, 128)), A, noise))
    return sorted(
        (name for name, (cls, _) in SOLVERS.items() if cls in fit),
        key=lambda name: name != known.solver,
    )


def command(form: Form, given: Options) -> str:
    """The same restoration from a shell."""
    words: list[Any] = ["hrdis", "restore", given.image.name, "--task", given.task]
    usual = Options(image=given.image, output=given.output)
    for name in ("mask", "hole", "kernel", "noise", "solver", "prior", "label", "samples", "seed"):
        value = getattr(given, name)
        if value != getattr(usual, name) and (name, value) != ("solver", TASKS[given.task].solver):
            words += [f"--{name}", value.name if isinstance(value, Path) else value]
    for name, value in form.changed.items():
        flag = f"--{name.replace('_', '-')}"
        words += (
            ([flag] if value else [f"--no-{flag[2:]}"])
            if isinstance(value, bool)
            else [flag, value]
        )
    return shlex.join(str(word) for word in [*words, "-o", given.output.name])
