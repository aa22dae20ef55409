"""From the filled form to the options of a restoration, and to the line for a shell."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .. import images
from ..noise import read_level
from ..restoration.choosing import AUTO
from .form import Form
from .labels import asked_for, task_of

if TYPE_CHECKING:
    from PIL import Image

    from ..restoration import FileOptions

#: The options of the command by the fields of `FileOptions`, in the order of the line for a shell.
FLAGS = {
    "scale": "scale", "quality": "quality", "bits": "bits", "mask": "mask", "hole": "mask-marks",
    "kernel": "kernel", "noise": "noise", "solver": "solver", "effort": "effort",
    "prior": "model", "label": "class-label", "samples": "samples", "seed": "seed",
}  # fmt: skip


def options(form: Form, folder: Path, device: str, precision: Any) -> "FileOptions":
    """Return the options of a restoration, and copy its files to a folder of its own.

    Raises:
        ValueError: if something is missing that the page asks for.
    """
    from ..restoration import FileOptions

    if form.picture is None:
        raise ValueError("There is no picture yet. Drop one into the first box, or try an example.")
    task = task_of(form.task)
    picture = copy_into(folder, form.picture)
    common = FileOptions(
        image=picture,
        output=folder / f"{picture.stem}-restored.png",
        **asked_for(form.task),
        noise=read_level(form.noise),
        solver=form.choice.settings.name,
        effort=cast(Any, form.effort if form.solver == AUTO else "normal"),
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
        return replace(common, kernel=str(copy_into(folder, form.kernel, "kernel")))
    if not task.mask:
        return common
    if form.hole == "alpha":
        return replace(common, hole="alpha")
    if form.hole != "painted":
        if form.mask is None:
            raise ValueError(
                "There is no mask yet. Choose its file, or paint over the damage instead."
            )
        return replace(common, mask=copy_into(folder, form.mask, "mask"), hole=form.hole)  # type: ignore[arg-type]
    mask = folder / f"{picture.stem}-mask.png"
    images.write_pil(mask, _mask_of(form.painted, images.read(picture).size))
    return replace(common, mask=mask)


def copy_into(folder: Path, file: Path, kind: str = "picture") -> Path:
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


def command(form: Form, given: "FileOptions") -> str:
    """Return the line for a shell that does the same restoration."""
    from ..restoration import FileOptions

    line: list[Any] = ["hrdis", "restore", given.image.name, "--task", given.task]
    # auto chooses the same solver in a shell
    usual_solver = given.solver if form.solver == AUTO else AUTO
    usual = FileOptions(image=given.image, output=given.output, solver=usual_solver)
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
