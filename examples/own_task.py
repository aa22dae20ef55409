"""A task of one's own: an operator for pictures of any size, and which presets fit it.

A screen door stands before the camera: every fourth column of the picture is missing.

    python examples/own_task.py
"""

from pathlib import Path

import torch

import hrdis
from hrdis.presets import choose
from hrdis.tasks import Task


def door(h: int, w: int, seed: int, index: int) -> hrdis.operators.Operator:
    """The operator for pictures of h x w; seed and index are for masks that are drawn at random."""
    mask = torch.ones(h, w)  # 1 where the picture was seen
    mask[:, 3::4] = 0
    return hrdis.operators.Inpainting(mask)


SCREEN_DOOR = Task(
    summary="look through a screen door",
    build=door,
    presets=("inpaint",),  # the nearest task whose settings were searched for
    mask=True,
)


def main() -> None:
    picture = Path(hrdis.__file__).parent / "pictures" / "astronaut.jpg"
    x = hrdis.images.load(picture)[..., 40:104, 80:144]
    A = SCREEN_DOOR.build(*x.shape[-2:], 0, 0)
    problem = hrdis.measure(A, x)

    prior = hrdis.load_prior("default")
    choice = choose(hrdis.HRDIS, SCREEN_DOOR.presets, tuned=prior.presets)
    result = hrdis.solve(choice.settings, prior, problem, seeds=[0])
    print(f"preset {choice.row}: {float(hrdis.metrics.psnr(result.x, x)):.1f} dB")
    print(f"columns left grey: {float(hrdis.metrics.psnr(problem.y, x)):.1f} dB")


if __name__ == "__main__":
    main()
