"""How much of a picture a small hole needs around it: windows against the whole picture.

    python studies/windows.py --photos TRAIN  # rewrites data/windows.csv

Three holes of 20 x 32 pixels in each photograph are filled as auto fills holes without noise, from
the whole picture, and from windows with one and two cells of 64 pixels around them.
"""

import csv
import time
from pathlib import Path

import torch
import tyro
from common.pages import DOCS
from torch import Tensor

import hrdis
from hrdis import images
from hrdis.diagnosis import windows
from hrdis.operators import Inpainting
from hrdis.presets import choose_auto
from hrdis.priors import Tiled
from hrdis.problem import Problem
from hrdis.restoration.holes import problem_in

CSV = DOCS / "data" / "windows.csv"
PHOTOGRAPHS = (
    "buddiesofb-cave-opening.jpg",
    "haz001-barnacles-0-seaton-beach.jpg",
    "haz001-ivy-leaves-plym-bridge-woods.jpg",
)
PLACES = ((0.2, 0.2), (0.5, 0.62), (0.82, 0.3))  # of the holes' corners, as shares of the sides
HEIGHT, WIDTH = 20, 32
TILE, OVERLAP = 512, 64  # as the command has them


def filled(prior: hrdis.Prior, problem: Problem, holes: Tensor, reach: int) -> Tensor:
    """The picture filled in windows of that reach; from all of it for 0."""
    solver = choose_auto(("inpaint",), 0.0, "normal", 1, prior.presets).settings
    tiled = Tiled(prior, TILE, OVERLAP)
    if reach == 0:
        found = hrdis.solve(solver, tiled, problem, seeds=[0]).x
        return torch.where(holes, found, problem.y)
    x = problem.y.clone()
    for window in windows(holes, reach):
        window.paste(hrdis.solve(solver, tiled, problem_in(window, problem), seeds=[0]).x, x)
    return x


def main(photos: Path, file: Path = CSV) -> None:
    """Fill the holes, and write PSNR inside each and the processor time of each way.

    Args:
        photos: the folder with `PHOTOGRAPHS`.
        file: takes a line per hole.
    """
    prior = hrdis.load_prior("default")
    lines = []
    for name in PHOTOGRAPHS:
        truth = images.read(photos / name).without_hidden().x
        h, w = truth.shape[-2:]
        boxes = [(int(down * h), int(across * w)) for down, across in PLACES]
        holes = torch.zeros(h, w, dtype=torch.bool)
        for top, left in boxes:
            holes[top : top + HEIGHT, left : left + WIDTH] = True
        A = Inpainting((~holes).float())
        problem = Problem(A(truth), A)
        of_photo = [{"photograph": name, "top": top, "left": left} for top, left in boxes]
        for reach, way in ((0, "whole"), (1, "64 pixels"), (2, "128 pixels")):
            began = time.process_time()
            x = filled(prior, problem, holes, reach)
            seconds = time.process_time() - began
            for line, (top, left) in zip(of_photo, boxes, strict=True):
                inside = (..., slice(top, top + HEIGHT), slice(left, left + WIDTH))
                line[way] = f"{float(hrdis.metrics.psnr(x[inside], truth[inside])):.2f}"
                line[f"{way}, s"] = f"{seconds:.1f}"
        lines += of_photo
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    for way in ("64 pixels", "128 pixels"):
        losses = [float(line[way]) - float(line["whole"]) for line in lines]
        print(f"{way} around holes: {sum(losses) / len(losses):+.2f} dB")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
