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
from ..priors.base import Prior
from ..solvers import SOLVERS, Solver
from ..solvers.base import Step
from ..tasks import TASKS
from .choosing import FALLBACK as FALLBACK
from .choosing import chosen
from .inputs import Inputs, of_files
from .job import prepare
from .options import Options
from .result import Restoration

if TYPE_CHECKING:
    from PIL import Image


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
    solver: str | Solver = "auto",
    effort: Literal["low", "normal", "high"] = "normal",
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
        solver: the algorithm: "auto" takes the one that was measured to be the best for task,
            noise and effort, HRDIS where none was ("blindhrdis" for "lowlight"). Or by name with
            the settings that fit, or with settings of your own: ``hrdis.HRDIS(steps=40)``.
        effort: of "auto": "low" is about 5 network calls, "normal" 20, "high" 100.
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
        _check_names(task, operator)
        choice, settings = None, solver
        if not isinstance(settings, Solver):
            tuned = prior.presets if isinstance(prior, Prior) else presets_of(str(prior))
            choice = chosen(task, settings, noise, effort, samples, tuned)
            settings = choice.settings
        options = Options(
            image=_path(picture) or Path("picture"), task=task,
            operator=operator if isinstance(operator, str) else "",
            mask=_path(mask), hole=hole, kernel=_path(kernel), weights=_path(weights),
            noise=noise, solver=_name_of(settings), effort=effort,
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
        job = prepare(options, settings, inputs=inputs, choice=choice)
    return job.run(on_step)


def _check_names(task: str, operator: object) -> None:
    """Raise unless either a task that there is or an operator is given.

    Raises:
        ValueError: for a task that nobody knows, or if not exactly one of the two is given.
    """
    if bool(task) == (operator is not None):
        given = "both were" if task else "neither was"
        raise ValueError(
            f"Either a task or an operator is expected, and {given} given: "
            'hrdis.restore(picture, "sr4")'
        )
    if task and task not in TASKS:
        raise ValueError(unknown("task", task, TASKS))


def _name_of(solver: Solver) -> str:
    """Return the name of a solver in the table, or of its class if it is a user's own."""
    for name, (cls, _) in SOLVERS.items():
        if type(solver) is cls:
            return name
    return type(solver).__name__


def _path(given: Any) -> Path | None:
    return Path(given) if isinstance(given, str | Path) else None


@contextmanager
def _in_python() -> Iterator[None]:
    """Say what is wrong in the words of Python: arguments, not options of the command."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(for_python(error)) from error
