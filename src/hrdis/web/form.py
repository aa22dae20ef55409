"""The page's form, the settings that follow from it, and the solvers it can offer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import images
from ..arguments import able
from ..checkpoints import presets_of
from ..noise import read_level
from ..presets import Choice
from ..problem import Problem
from ..restoration.choosing import AUTO, chosen
from ..solvers import SOLVERS, Solver
from .labels import task_of

if TYPE_CHECKING:
    from PIL import Image

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
        solver: a name, or "auto" for the one measured to be the best.
        effort: of auto; a solver by name has a number of calls of its own.
        changed: settings of the solver that differ from its preset.
        found: options that were found in the picture, by name.
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
    solver: str = AUTO
    effort: str = "normal"
    changed: Mapping[str, Any] = field(default_factory=dict)
    prior: str = "default"
    label: int | None = None
    found: Mapping[str, Any] = field(default_factory=dict)

    @property
    def choice(self) -> Choice[Solver]:
        """The settings the form starts from, and where they come from."""
        effort = self.effort if self.solver == AUTO else "normal"
        tuned = presets_of(self.prior)
        level = self.found.get("noise", read_level(self.noise))
        task = task_of(self.task, self.found)
        return chosen(task, self.solver, level, effort, self.samples, tuned)

    @property
    def settings(self) -> Solver:
        """The preset with the changes of the form.

        Raises:
            ValueError: for a setting that does not exist or is out of bounds.
        """
        return replace(self.choice.settings, **self.changed)  # type: ignore[type-var]


def editor_image(picture: Path) -> "Image.Image":
    """Return a picture to paint on: upright, 8 bits, at most `EDITED` pixels a side."""
    shown = images.to_pil(replace(images.read(picture).on_white(), bits=8)).convert("RGB")
    shown.thumbnail((EDITED, EDITED))
    return shown


def solvers_for(task: str, noise: float) -> list[str]:
    """Return the names of the solvers that can do a task; the first is the page's choice."""
    known = task_of(task)
    if known.blind is not None:
        return [known.solver]
    build = known.photo or known.build
    A = build(128, 128, 0, 0)
    fit = able(Problem(A(torch.zeros(1, 3, 128, 128)), A, 2 * read_level(noise)))
    names = [AUTO]
    for name, (cls, _) in SOLVERS.items():
        if cls in fit:
            names.append(name)
    return names
