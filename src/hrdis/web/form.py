"""The page's form, and the options of a restoration that follow from it."""

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
from ..noise import read_level
from ..presets import Choice, choose
from ..problem import Problem
from ..restoration import FileOptions
from ..solvers import SOLVERS, Solver, find
from ..tasks import Task
from .labels import asked_for, task_of

if TYPE_CHECKING:
    from PIL import Image

#: The options of the command by the fields of `FileOptions`, in the order of the line for a shell.
FLAGS = {
    "scale": "scale", "quality": "quality", "bits": "bits", "mask": "mask", "hole": "mask-marks",
    "kernel": "kernel", "noise": "noise", "solver": "solver", "prior": "model",
    "label": "class-label", "samples": "samples", "seed": "seed",
}  # fmt: skip
EDITED = 1600  # longest side of the copy that is painted on, in pixels


@dataclass(frozen=True, kw_only=True)
class Form:
    """All fields of the page; files by their paths.

    Args:
        painted: what the brush left, RGBA, opaque over the holes; in the picture's proportions, at
            any size.
        mask: a file instead of the brush, or None.
        hole: what marks a hole: "painted", or "white", "black" or "alpha" in the mask's file.
        noise: a fraction of white below 1, grey levels of 255 from 1 on.
        changed: settings of the solver that differ from its preset.
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
    def choice(self) -> Choice[Solver]:
        """The settings the form starts from, and where they come from."""
        task = task_of(self.task)
        cls = SOLVERS[find(self.solver or task.solver)][0]
        return choose(cls, task.presets, read_level(self.noise), tuned=presets_of(self.prior))

    @property
    def settings(self) -> Solver:
        """The preset with the changes of the form.

        Raises:
            ValueError: for a setting that does not exist or is out of bounds.
        """
        return replace(self.choice.settings, **self.changed)  # type: ignore[type-var]


def options(form: Form, folder: Path, device: str, precision: Any) -> FileOptions:
    """Return the options of a restoration, and copy its files to a folder of its own.

    Raises:
        ValueError: if something is missing that the page asks for.
    """
    if form.picture is None:
        raise ValueError("There is no picture yet. Drop one into the first box, or try an example.")
    task = task_of(form.task)
    picture = _copy_into(folder, form.picture)
    common = FileOptions(
        image=picture,
        output=folder / f"{picture.stem}-restored.png",
        **asked_for(form.task),
        noise=read_level(form.noise),
        solver=find(form.solver or task.solver),
        prior=form.prior,
        label=form.label,
        samples=form.samples,
        seed=form.seed,
        device=device,
        precision=precision,
    )
    if task.kernel:
        if form.kernel is None:
            raise ValueError(
                "This task needs the kernel of the blur: an array (.npy) or a small picture of it."
            )
        return replace(common, kernel=str(_copy_into(folder, form.kernel, "kernel")))
    if not task.mask:
        return common
    if form.hole == "alpha":
        return replace(common, hole="alpha")
    if form.hole != "painted":
        if form.mask is None:
            raise ValueError(
                "There is no mask yet. Choose its file, or paint over the damage instead."
            )
        return replace(common, mask=_copy_into(folder, form.mask, "mask"), hole=form.hole)  # type: ignore[arg-type]
    mask = folder / f"{picture.stem}-mask.png"
    images.write_pil(mask, _mask_of(form.painted, images.read(picture).size))
    return replace(common, mask=mask)


def _copy_into(folder: Path, file: Path, kind: str = "picture") -> Path:
    """Copy a file to a folder under a name that is free there and no option of the command."""
    name = file.name
    # A mask may have the name of the picture, and a name may begin as an option does.
    if name.startswith("-") or (folder / name).exists():
        name = f"{kind}-{name}"
    return Path(shutil.copyfile(file, folder / name))


def _mask_of(painted: "Image.Image | None", size: tuple[int, int]) -> "Image.Image":
    """Return a mask of size (height, width), white where the brush was."""
    from PIL import Image

    alpha = None if painted is None else painted.convert("RGBA").getchannel("A")
    if alpha is None or alpha.getextrema()[1] == 0:
        raise ValueError(
            "Nothing is painted yet. Paint over the damage, or choose a mask from a file."
        )
    holes = alpha.point([0] + [255] * 255)
    h, w = size
    # Nearest neighbour: a mask has no grey.
    return holes if holes.size == (w, h) else holes.resize((w, h), Image.Resampling.NEAREST)


def editor_image(picture: Path) -> "Image.Image":
    """Return a picture to paint on: upright, 8 bits, at most `EDITED` pixels a side."""
    shown = images.to_pil(replace(images.read(picture).on_white(), bits=8)).convert("RGB")
    shown.thumbnail((EDITED, EDITED))
    return shown


def solvers_for(task: str, noise: float) -> list[str]:
    """Return the names of the solvers that can do a task; the first is the task's own."""
    known = task_of(task)
    if known.blind is not None:
        return [known.solver]
    build = known.photo or known.build
    A = build(128, 128, 0, 0)
    fit = able(Problem(A(torch.zeros(1, 3, 128, 128)), A, 2 * read_level(noise)))
    names = [known.solver]
    for name, (cls, _) in SOLVERS.items():
        if cls in fit and name != known.solver:
            names.append(name)
    return names


def command(form: Form, given: FileOptions) -> str:
    """Return the line for a shell that does the same restoration."""
    line: list[Any] = ["hrdis", "restore", given.image.name, "--task", given.task]
    task: Task = task_of(form.task)
    usual = FileOptions(image=given.image, output=given.output, solver=task.solver)
    for name, flag in FLAGS.items():
        value = getattr(given, name)
        if value == getattr(usual, name):
            continue
        if name == "hole":
            value = "transparent" if value == "alpha" else value
        elif name == "noise":
            grey = f"{255 * value:g}"
            value = grey if read_level(grey) == value else value
        elif name == "kernel" and given.kernel_file is not None:
            value = given.kernel_file.name
        line += [f"--{flag}", value.name if isinstance(value, Path) else value]
    for name, value in form.changed.items():
        flag = name.replace("_", "-")
        if value is True:
            line.append(f"--{flag}")
        elif value is False:
            line.append(f"--no-{flag}")
        else:
            line += [f"--{flag}", value]
    line += ["-o", given.output.name]
    return shlex.join(str(word) for word in line)
