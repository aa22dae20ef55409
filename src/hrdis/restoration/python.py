"""`restore`: a damaged picture in, a restored one out, in one call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from ..checkpoints import presets_of
from ..devices import Precision, pick_device
from ..messages import for_python, unknown
from ..operators import Operator
from ..presets import choose
from ..priors.base import Prior
from ..solvers import SOLVERS, Solver
from ..solvers.base import Step
from ..tasks import TASKS
from .inputs import Inputs, of_files
from .job import prepare
from .options import Options
from .result import Restoration

if TYPE_CHECKING:
    from PIL import Image

#: Whose settings suit an operator that nobody has tuned for.
FALLBACK = ("sr4",)


def restore(
    picture: "str | Path | Image.Image | np.ndarray | Tensor",
    task: str = "",
    *,
    operator: Operator | Callable[[Tensor], Tensor] | str | None = None,
    mask: Any = None,
    hole: Literal["white", "black", "alpha"] = "white",
    kernel: Any = None,
    weights: str | Path | None = None,
    noise: float = 0.0,
    prior: str | Path | Prior = "default",
    label: int | None = None,
    solver: str | Solver = "",
    samples: int = 1,
    seed: int = 0,
    redraw: bool = False,
    device: str = "auto",
    precision: Precision = "fp32",
    on_step: Callable[[Step], object] | None = None,
) -> Restoration:
    """Restore a damaged picture: fill holes, enlarge, sharpen, colour, remove noise.

        photo = hrdis.restore("small.jpg", "sr4")
        photo.save("large.png")

    Args:
        picture: a file, one of Pillow's images, an array (h, w) or (h, w, 3) (uint8 from 0 to 255,
            floats from 0 to 1), or a tensor (c, h, w) in [-1, 1]. With ``operator``, an array or a
            tensor is its measurement, the image axis first, in the operator's units.
        task: what is wrong with the picture, a name of `hrdis.TASKS`: "sr4", "inpaint", "denoise",
            "deblur-gauss", ...
        operator: instead of a task what measured the picture: an operator, a callable, a deepinv
            ``Physics``, or "FILE.py:NAME".
        mask: for inpainting, a file, or an array (h, w) that is 1 where a hole is to be filled.
        hole: what marks a hole in the mask: "white" (1), "black" (0), or "alpha" (transparent).
        kernel: for "deblur-motion", the blur's point spread function: a file or an array of odd
            sides.
        weights: for "deblur-nonlinear", the file of the network that blurs.
        noise: standard deviation of the noise, for pixel values from 0 to 1.
        prior: a prior, or the name or folder of one: see `hrdis.load_prior`.
        label: the class of the picture, for class-conditional priors.
        solver: the algorithm, by name with the settings that fit, or with settings of your own:
            ``hrdis.HRDIS(steps=40)``. By default "hrdis", or "blindhrdis" for "lowlight".
        samples: how many restorations to draw.
        seed: of the first sample; the others take the numbers after it.
        redraw: in inpainting, whether observed pixels are the solver's too.
        device: where the network runs: "auto", "cpu", "cuda", ...
        precision: of the network.
        on_step: called with every `Step`, e.g. to move a progress bar.

    Returns:
        the `Restoration`: ``samples``, ``mean``, ``image``, ``save(path)``.

    Raises:
        ValueError, TypeError: for whatever cannot run, before any work.

    Example:
        >>> import numpy as np
        >>> small = np.linspace(0, 1, 12 * 12 * 3).reshape(12, 12, 3)
        >>> restore(small, "sr2", solver="ddnm").samples.shape
        torch.Size([1, 3, 24, 24])
    """
    with _in_python():
        name = _checked_name(task, operator, solver)
        options = Options(
            image=_path(picture) or Path("picture"), task=task,
            operator=operator if isinstance(operator, str) else "",
            mask=_path(mask), hole=hole, kernel=_path(kernel), weights=_path(weights),
            noise=noise, solver=name,
            prior=prior.name if isinstance(prior, Prior) else str(prior), label=label,
            samples=samples, seed=seed, redraw=redraw, device=device, precision=precision,
        )  # fmt: skip
        inputs = Inputs(
            _path(picture) or picture,
            options.mask or mask,
            options.kernel or kernel,
            None if isinstance(operator, str) else operator,
            prior.to(pick_device(device)) if isinstance(prior, Prior) else None,
            of_files(options).hashes,
        )
        choice = None
        if isinstance(solver, Solver):
            settings = solver
        else:
            families = TASKS[task].presets if task else FALLBACK
            tuned = prior.presets if isinstance(prior, Prior) else presets_of(str(prior))
            choice = choose(SOLVERS[name][0], families, noise, tuned=tuned)
            settings = choice.settings
        job = prepare(options, settings, inputs=inputs, choice=choice)
    return job.run(on_step)


def _checked_name(task: str, operator: object, solver: str | Solver) -> str:
    """Return the name of the solver, after a look at the names that were given.

    Raises:
        ValueError: for a name that nobody knows, or if not exactly one of task and operator is
            given.
    """
    if bool(task) == (operator is not None):
        given = "both were" if task else "neither was"
        raise ValueError(
            f"Either a task or an operator is expected, and {given} given: "
            'hrdis.restore(picture, "sr4")'
        )
    if task and task not in TASKS:
        raise ValueError(unknown("task", task, TASKS))
    if isinstance(solver, Solver):
        for name, (cls, _) in SOLVERS.items():
            if type(solver) is cls:
                return name
        return type(solver).__name__
    name = solver or (TASKS[task].solver if task else "hrdis")
    if name not in SOLVERS:
        raise ValueError(unknown("solver", name, SOLVERS))
    return name


def _path(given: Any) -> Path | None:
    return Path(given) if isinstance(given, str | Path) else None


@contextmanager
def _in_python() -> Iterator[None]:
    """Say what is wrong in the words of Python: arguments, not options of the command."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(for_python(error)) from error
