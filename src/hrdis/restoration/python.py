"""`restore`: a damaged picture in, a restored one out, in one call."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from ..checkpoints import presets_of
from ..devices import Precision, pick_device
from ..messages import for_python
from ..noise import read_level, read_model
from ..operators import Operator
from ..priors.base import Prior
from ..repairs import is_word, resolve
from ..solvers import SOLVERS, Solver
from ..solvers.base import Step
from ..tasks import Task
from .auto import PROVISIONAL, find_options, given_as_auto
from .choosing import chosen
from .inputs import Inputs, of_files
from .job import prepare
from .options import FoundOptions, Options, check_hole
from .result import Restoration

if TYPE_CHECKING:
    from PIL import Image


def restore(
    picture: "str | Path | Image.Image | np.ndarray | Tensor",
    task: str = "",
    *,
    scale: int | None = None,
    quality: int | Literal["auto"] | None = None,
    bits: int | None = None,
    operator: Operator | Callable[[Tensor], Tensor] | str | None = None,
    mask: Any = None,
    hole: Literal["white", "black", "alpha"] = "white",
    kernel: Any = None,
    weights: str | Path | None = None,
    noise: float | str = 0.0,
    prior: str | Path | Prior = "default",
    label: int | None = None,
    solver: str | Solver = "auto",
    effort: Literal["low", "normal", "high"] = "normal",
    samples: int = 1,
    seed: int = 0,
    redraw: bool = False,
    device: str = "auto",
    precision: Precision = "fp32",
    on_step: Callable[[Step], object] | None = None,
) -> Restoration:
    """Restore a damaged picture, that is fill holes, enlarge, sharpen or remove noise.

        photo = hrdis.restore("small.jpg", "upscale", scale=4)
        photo.save("large.png")

    Args:
        picture: the name of a file, one of Pillow's images, an array (h, w), (h, w, 3) or (h, w, 4)
            (uint8, uint16, floats from 0 to 1), or a tensor (c, h, w) in [-1, 1]. With
            ``operator``, an array or a tensor is its measurement, the image axis first, in the
            operator's units.
        task: what to do: "denoise", "inpaint", "upscale", "deblur", "dejpeg", "deband", "declip" or
            "brighten", each of which beats a classical method with the embedded model
            (docs/measurements/repairs.md). "colorize" needs a model that knows what is in
            pictures. Names of `hrdis.TASKS`, the settings of papers, are taken as well; some of
            them are worse than a classical method (docs/measurements/tasks.md).
        scale: for "upscale", how much larger: 2, 4 or 8; by default 4.
        quality: for "dejpeg", the quality of the compression, from 1 to 100; by default 10. "auto"
            reads it from the tables of the file, or from the pixels of one that was saved again.
        bits: for "deband", bits per colour, from 1 to 7; by default 3.
        operator: instead of a task what measured the picture: an operator, a callable, a deepinv
            ``Physics``, or "FILE.py:NAME".
        mask: for inpainting, a file, or an array (h, w) or a PIL image that is 1, or 255, where a
            hole is to be filled.
            "auto" searches specks, scratches and a date; ``save`` writes what was filled as
            NAME.mask.png.
        hole: what marks a hole in the mask: "white" (1), "black" (0), or "alpha" (transparent).
        kernel: for "deblur", how one point of light looks: "gaussian:3" (standard deviation in
            pixels), "box:9" (side), "motion:15:30" (length, angle in degrees), a file, or an array
            of odd sides. "auto" finds a Gaussian or a straight motion in the picture.
        weights: for "deblur-nonlinear", the file of the network that blurs.
        noise: standard deviation of the noise: a fraction of white (0.1 or "25/255"), or grey
            levels of 255, which a number from 1 on is taken for (25). "auto" measures it.
            "poisson:1" and "speckle:0.1" are noise that depends on the picture, as in
            `hrdis.noise`, whose level in this picture is computed.
        prior: a prior, or the name or folder of one: see `hrdis.load_prior`.
        label: the class of the picture, for class-conditional priors.
        solver: the algorithm: "auto" takes the one that was measured to be the best for task,
            noise and effort, HRDIS where none was ("blindhrdis" for "brighten"). Or by name with
            the settings that fit, or with settings of your own: ``hrdis.HRDIS(steps=40)``.
        effort: of "auto": "low" is 5 to 10 network calls, "normal" about 20, "high" at most
            100; sensing takes more.
        samples: how many restorations to draw.
        seed: of the first sample; the others take the numbers after it.
        redraw: in inpainting, whether observed pixels are the solver's too.
        device: where the network runs: "auto", "cpu", "cuda", ...
        precision: "fp32", "bf16", "fp16", "onnx" (fp32 in onnxruntime), or "auto" for the fastest
            of them on this machine that agrees with fp32. A `Prior` that is given runs as it is.
        on_step: called with every `Step`, e.g. to move a progress bar.

    Returns:
        the `Restoration`: ``samples``, ``mean``, ``image``, ``save(path)``. Its ``record`` has what
        "auto" found, the values in the fields of their options, and a sentence for each in
        ``found``.

    Raises:
        ValueError, TypeError: for whatever cannot run, before any work; and for an "auto" that
            finds nothing, or is not sure. The message says what was seen, and what to give.

    Cost:
        the network calls of the solver. "auto" takes 3 to 6 s a megapixel besides, on a CPU.

    Example:
        >>> import numpy as np
        >>> small = np.linspace(0, 1, 12 * 12 * 3).reshape(12, 12, 3)
        >>> restore(small, "upscale", scale=2, solver="ddnm").samples.shape
        torch.Size([1, 3, 24, 24])
    """
    try:
        if bool(task) == (operator is not None):
            given = "both were" if task else "neither was"
            raise ValueError(
                f"Either a task or an operator is expected, and {given} given: "
                'hrdis.restore(picture, "upscale")'
            )
        _check_kinds(samples=samples, seed=seed)
        check_hole(hole)
        if isinstance(solver, Solver) and effort != "normal":
            raise ValueError(
                f'effort="{effort}" is for solver="auto", and solver is {type(solver).__name__} '
                "with settings. Its number of network calls is one of them: "
                f"hrdis.{type(solver).__name__}(steps=20)"
            )
        if not isinstance(solver, Solver | str):
            raise TypeError(
                f"solver is {solver!r}. A name or settings are expected: hrdis.HRDIS(steps=40)"
            )
        if isinstance(prior, Prior) and label is not None:
            raise ValueError(
                f"label is {label!r}, but a prior that is given has its own: "
                "hrdis.load_prior(name, label=0)"
            )
        values: dict[str, Any] = {
            "noise": noise,
            "quality": quality,
            "kernel": kernel,
            "mask": mask,
        }
        names, found = given_as_auto(values), FoundOptions()
        if names:
            model = read_model(noise)
            for name in names:
                values[name] = PROVISIONAL[name]
            known = _known(task, scale, bits, **values)  # refuses what the task does not take
            level = read_level(values["noise"])
            given_picture = _path(picture) or picture
            found = find_options(given_picture, names, task, known, hole, level, model)
            values |= found.values()
        kernel, mask, level = values["kernel"], values["mask"], read_level(values["noise"])
        words = kernel if isinstance(kernel, str) and is_word(kernel) else None
        known = _known(task, scale, bits, **values)
        choice, settings = None, solver
        if not isinstance(settings, Solver):
            tuned = prior.presets if isinstance(prior, Prior) else presets_of(str(prior))
            choice = chosen(known, settings, level, effort, samples, tuned)
            settings = choice.settings
        solver_name = type(settings).__name__  # of a user's own; else its name in the table
        for name, (cls, _) in SOLVERS.items():
            if type(settings) is cls:
                solver_name = name
        kernel_file = None if words else _path(kernel)
        options = Options(
            image=_path(picture) or Path("picture"), task=task, scale=scale,
            quality=values["quality"], bits=bits,
            kernel=words or (str(kernel_file) if kernel_file else None),
            operator=operator if isinstance(operator, str) else "",
            mask=_path(mask), hole=hole, weights=_path(weights), noise=level,
            solver=solver_name, effort=effort,
            prior=prior.name if isinstance(prior, Prior) else str(prior), label=label,
            samples=samples, seed=seed, redraw=redraw, device=device, precision=precision,
        )  # fmt: skip
        inputs = Inputs(
            _path(picture) or picture,
            options.mask or mask,
            None if words else kernel_file or kernel,
            None if isinstance(operator, str) else operator,
            prior.to(pick_device(device)) if isinstance(prior, Prior) else None,
            of_files(options).hashes,
        )
        job = prepare(options, settings, inputs=inputs, choice=choice, found=found)
        job.check_redraw()
    except (ValueError, TypeError) as error:
        # In the words of Python: arguments, not options of the command.
        raise type(error)(for_python(error)) from error
    return job.run(on_step)


def _check_kinds(**whole: object) -> None:
    """Raise unless arguments are whole numbers."""
    for name, value in whole.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}. A whole number is expected: {name}=1")


def _known(
    task: str, scale: int | None, bits: int | None, *, quality: Any, kernel: Any, **others: Any
) -> Task | None:
    """Return the task of a call with its options; None where an operator is given instead."""
    if not task:
        return None
    words = kernel if isinstance(kernel, str) and is_word(kernel) else None
    return resolve(task, scale=scale, quality=quality, bits=bits, kernel=words)


def _path(given: Any) -> Path | None:
    return Path(given) if isinstance(given, str | Path) else None
