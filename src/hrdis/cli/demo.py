"""``hrdis demo``: the main job, on a photograph that comes with the package."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor

import hrdis
from hrdis import images, uncertainty
from hrdis.checkpoints import load_prior
from hrdis.driver import solve
from hrdis.fixing import fix
from hrdis.metrics import psnr
from hrdis.noise import Gaussian
from hrdis.operators import Identity
from hrdis.presets import choose
from hrdis.priors import Prior
from hrdis.problem import measure
from hrdis.solvers import HRDIS
from hrdis.tasks import TASKS

from .parsing import checking, parse
from .progress import bar, say

HELP = """\
Restore three photographs that come with the package, with the model in it: remove the noise of one
without being told that it is noisy, fill scratches in another, and enlarge the third 4 times.

Example:
  hrdis demo -o runs/demo

Writes noise.png, inpaint-scratches.png and sr4.png into the folder: given, restored and truth side
by side. demo.json beside them says that they are its own, so that it writes over no others.
"""


#: What is shown, and on which photograph of the package.
PHOTOGRAPHS = {"noise": "coffee.jpg", "inpaint-scratches": "chelsea.png", "sr4": "flower.jpg"}


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Options of ``hrdis demo``."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/demo")
    """The folder for the pictures."""
    seed: int = 0
    """Seed of the mask and of the restoration."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Demo, argv, "demo", HELP)
    with checking():
        images.check_folder(args.output)
        record = args.output / "demo.json"
        files = [args.output / f"{name}.png" for name in PHOTOGRAPHS]
        ours = images.records.files_of_record(record) or []
        for path in (*files, record):
            if path.exists() and path.name not in (*ours, *([record.name] if ours else [])):
                raise ValueError(
                    f"{path} exists, and `hrdis demo` did not write it. Another folder is "
                    "expected: -o runs/new"
                )
        prior = load_prior("default", device="cuda" if torch.cuda.is_available() else "cpu")
    # first, so that after a kill the next demo knows its own pictures
    said = {"hrdis": hrdis.__version__, "files": [str(path) for path in files]}
    images.records.write(record, said)
    for (name, file), path in zip(PHOTOGRAPHS.items(), files, strict=True):
        truth = images.load(Path(str(resources.files("hrdis") / "pictures" / file)))
        if name == "noise":
            given, restored, score = remove_noise(truth, prior, args.seed)
        else:
            given, restored, score = restore(name, truth, prior, args.seed)
        sheet = uncertainty.sheet([given, restored, truth], ["given", "restored", "truth"])
        images.write_pil(path, sheet)
        say(f"{name}: {score}. Wrote {path}")
    return 0


def remove_noise(truth: Tensor, prior: Prior, seed: int) -> tuple[Tensor, Tensor, str]:
    """Add noise of 25 grey levels to the truth, store it in 8 bits, and let `hrdis.fix` find it.

    Returns:
        what was given; what came back; a line of figures.
    """
    noisy = measure(Identity(), truth, Gaussian(25 / 255), seeds=[seed]).y
    stored = images.from_pil(images.to_pil(images.Picture(noisy))).x
    fixed = fix(stored, prior=prior, seed=seed)
    figures = (
        f"PSNR {float(psnr(fixed.x, truth)):.2f} dB (given: {float(psnr(stored, truth)):.2f} dB)"
    )
    return stored, fixed.x, f"{figures}, {fixed.record['seconds']:.1f} s"


def restore(name: str, truth: Tensor, prior: Prior, seed: int) -> tuple[Tensor, Tensor, str]:
    """Measure the truth and recover it.

    Returns the measurement at full size, the restoration, and a line of figures.
    """
    task = TASKS[name]
    h, w = truth.shape[-2:]
    A = task.build(h, w, seed, 0)
    problem = measure(A, truth, seeds=[seed])
    solver = choose(HRDIS, task.presets, tuned=prior.presets).settings
    with bar(len(solver.times(prior.schedule)) - 1, f"{name}: network calls") as shown:
        result = solve(solver, prior, problem, seeds=[seed], on_step=lambda _: shown.advance())
    smooth = "bicubic, made to fit what is given" if name.startswith("sr") else "biharmonic fill"
    figures = (
        f"PSNR {float(psnr(result.x, truth)):.2f} dB ({smooth}: "
        f"{float(psnr(A.smooth(problem.y), truth)):.2f} dB)"
    )
    return A.pinv(problem.y), result.x, f"{figures}, {result.nfe} calls, {result.seconds:.1f} s"
