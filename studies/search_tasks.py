"""Search settings of HRDIS for the tasks beside x4 and inpainting, on training photographs only.

    python benchmarks/search_tasks.py --photos TRAINING_PHOTOGRAPHS  # every family below
    python benchmarks/search_tasks.py --photos TRAINING_PHOTOGRAPHS --tasks hdr colorize

A family of settings per kind of task, each tried on the same few crops. Every trial becomes a line
of docs/data/presets-tasks.csv; what is there already, with the same weights and crops, is not run
again. Ranked as by `hrdis tune`: dB of the mean of 8 over the starting picture, less what one
sample loses against it.
"""

import csv
import hashlib
import itertools
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from common.measurements import SCANS, grey, measured
from common.pages import DOCS
from common.photographs import pictures, random_crops, score

import hrdis
from hrdis.solvers import Solver
from hrdis.training.trials import brief, try_out

CSV = DOCS / "data" / "presets-tasks.csv"


def gentle(**options: tuple[object, ...]) -> list[Solver]:
    """Momentum instead of Adam: where the start is close already."""
    return _grid(hrdis.HRDIS, {"adam_eps": 1.0, "init": "smooth"}, options)


def free(**options: tuple[object, ...]) -> list[Solver]:
    """Adam as published: where the picture must move far from its start."""
    return _grid(hrdis.HRDIS, {"init": "smooth"}, options)


def blind(**options: tuple[object, ...]) -> list[Solver]:
    """The same with the exposure unknown."""
    return _grid(hrdis.BlindHRDIS, {"init": "smooth"}, options)


def _grid(
    cls: type[Solver], fixed: dict[str, object], options: dict[str, tuple[object, ...]]
) -> list[Solver]:
    """Every combination, in 100 calls or as many as there are times."""
    chosen = (
        fixed | dict(zip(options, values, strict=True))
        for values in itertools.product(*options.values())
    )
    return [cls(steps=min(100, c["start"] + 1), **c) for c in chosen]  # type: ignore[call-arg,operator]


#: (task, noise) to the settings tried.
TRIED: dict[tuple[str, str], list[Solver]] = {
    ("cs25", "none"): gentle(start=(200,), lr=(1.0,)) + free(start=(400, 990),
    lr=(0.05,)) + free(start=(400,), lr=(0.1,), lambda_reg=(1.0,)) + free(start=(300, 400),
    lr=(0.03,)),
    ("hdr", "none"): gentle(start=(100, 200), lr=(1.0,)) + free(start=(400,),
    lr=(0.02,)) + free(start=(400, 600), lr=(0.01,)) + free(start=(600,), lr=(0.02,)),
    ("jpeg10", "none"): gentle(start=(60, 100), lr=(0.5,),
    lambda_obs=(0.01, 0.1)) + gentle(start=(150,), lr=(0.5,),
    lambda_obs=(0.01,)) + free(start=(200, 400), lr=(0.02,)),
    ("colorize", "none"): gentle(start=(100, 400), lr=(1.0,)) + free(start=(600,), lr=(0.02,)),
    ("lowlight", "none"): blind(start=(100,), lr=(1.0,), adam_eps=(1.0,),
    lambda_reg=(0.1, 0.25)) + blind(start=(200,), lr=(0.02,)),
    ("deblur-gauss", "0.05"): gentle(start=(100,), lr=(1.0,),
    lambda_obs=(0.02, 0.1)) + gentle(start=(200,), lr=(1.0,), lambda_obs=(0.05,)),
    ("deblur-gauss", "none"): gentle(start=(60, 100, 200), lr=(1.0,)) + gentle(start=(60, 100),
    lr=(1.0,), lambda_reg=(0.05,)) + free(start=(200,), lr=(0.02,), lambda_reg=(0.05, 0.25)),
    ("cs10", "none"): gentle(start=(400,), lr=(1.0,)) + free(start=(400,), lr=(0.05,),
    lambda_reg=(0.25, 1.0)),
    ("quantize", "none"): gentle(start=(40, 100), lr=(0.5,),
    lambda_obs=(0.1,)) + free(start=(100,), lr=(0.01,)),
    ("denoise", "poisson"): gentle(start=(100,), lr=(0.5,), lambda_obs=(0.002, 0.004)),
    ("denoise", "speckle"): gentle(start=(100,), lr=(0.5,), lambda_obs=(0.002, 0.004)),
    ("inpaint-random", "none"): gentle(start=(100, 200), lr=(1.0,)) + free(start=(200, 400),
    lr=(0.02,)),
    ("sr8", "none"): gentle(start=(100, 200), lr=(1.0,)) + free(start=(300,), lr=(0.02,)),
    ("inpaint-box", "none"): gentle(start=(100, 400), lr=(1.0,)) + free(start=(400,), lr=(0.02,)),
    ("cs-walsh4", "none"): gentle(start=(100, 200), lr=(1.0,)) + free(start=(400,), lr=(0.05,)),
    ("deblur-motion", "none"): gentle(start=(100,), lr=(1.0,), lambda_reg=(0.05, 0.25)),
    ("sr4-bicubic", "none"): gentle(start=(100, 200), lr=(1.0,)),
    ("mri4", "none"): gentle(start=(100, 200, 400), lr=(1.0,)) + free(start=(400,), lr=(0.02,)),
    ("mri4", "0.05"): gentle(start=(100, 200), lr=(0.5,), lambda_obs=(0.01, 0.03, 0.1)),
    ("ct60", "none"): gentle(start=(100,), lr=(1.0,),
    lambda_obs=(1e-4, 2e-3, 6e-3)) + free(start=(400,), lr=(0.02, 0.05)) + free(start=(990,),
    lr=(0.1,)),
    ("ct60", "0.05"): gentle(start=(100,), lr=(1.0,), lambda_obs=(2e-3,)) + free(start=(400,),
    lr=(0.02,), lambda_obs=(1.0, 0.01)),
    # noise: weaker data, a floor under the regularization where Adam is needed, and a higher start
    # where y is coarse
    ("hdr", "0.05"): gentle(start=(100,), lr=(0.5,), lambda_obs=(0.002,)) + gentle(start=(200,),
    lr=(1.0,), lambda_obs=(0.02, 0.1))
    + free(start=(400,), lr=(0.02,), lambda_obs=(1.0, 0.3, 0.1),
    weight_min=(0.5,)) + free(start=(400,), lr=(0.02,), lambda_obs=(0.3,), weight_min=(2.0,)),
    ("cs25", "0.05"): free(start=(400,), lr=(0.05,), end=(60, 100),
    lambda_obs=(0.03, 0.1)) + gentle(start=(200,), lr=(1.0,), lambda_obs=(0.05, 0.2))
    + free(start=(400,), lr=(0.05,), lambda_obs=(0.005, 0.05, 0.2)) + free(start=(400,),
    lr=(0.05,), lambda_obs=(0.05,), lambda_reg=(2.0,))
    + free(start=(400,), lr=(0.05,), weight_min=(0.5, 2.0),
    lambda_obs=(1.0, 0.25)) + free(start=(400,), lr=(0.03,), weight_min=(1.0,), lambda_obs=(0.5,),
    lambda_reg=(1.0,)),
    ("cs25", "0.1"): free(start=(400,), lr=(0.05,)) + free(start=(400,), lr=(0.05,), end=(150,),
    lambda_obs=(0.01,)) + free(start=(400,), lr=(0.05,), end=(30, 60, 100)) + free(start=(400,),
    lr=(0.05,), end=(60,), lambda_obs=(0.1,))
    + free(start=(400,), lr=(0.05,), end=(100, 150), lambda_obs=(0.03, 0.1)) + free(start=(400,),
    lr=(0.03,), end=(100,), lambda_obs=(0.1,))
    + free(start=(400,), lr=(0.05,), adam_eps=(0.03, 0.1), lambda_obs=(1.0, 0.1),
    weight_min=(0.2,)) + free(start=(400,), lr=(0.1,), adam_eps=(0.3,), lambda_obs=(0.3,),
    weight_min=(0.2,)) + free(start=(400,), lr=(0.05,), weight_min=(1.0, 2.0),
    lambda_obs=(0.5, 0.15)),
    ("cs10", "0.05"): free(start=(400,), lr=(0.05,), lambda_reg=(1.0,), end=(60, 100),
    lambda_obs=(0.1, 0.3)) + free(start=(400,), lr=(0.05,), lambda_reg=(1.0,)) + free(start=(400,),
    lr=(0.05,), lambda_reg=(1.0,), weight_min=(0.2, 1.0), lambda_obs=(1.0, 0.3)),
    ("cs-walsh4", "0.05"): gentle(start=(100,), lr=(1.0,)) + gentle(start=(100, 200), lr=(0.5,),
    lambda_obs=(0.01, 0.05)) + free(start=(400,), lr=(0.05,), weight_min=(1.0,), lambda_obs=(0.3,)),
    ("sr2", "0.05"): gentle(start=(100,), lr=(1.0,)) + gentle(start=(100, 150, 250), lr=(0.5,),
    lambda_obs=(0.01, 0.02)),
    ("sr2", "0.1"): gentle(start=(150, 250), lr=(0.5,), lambda_obs=(0.004, 0.01)),
    ("sr8", "0.05"): gentle(start=(250, 400), lr=(0.5,), lambda_obs=(0.004, 0.01, 0.03)),
    ("sr16", "0.05"): gentle(start=(250, 400), lr=(0.5,), lambda_obs=(0.01, 0.03, 0.1)),
    ("jpeg10", "0.05"): gentle(start=(150,), lr=(0.5,),
    lambda_obs=(0.1, 0.02, 0.005)) + gentle(start=(250,), lr=(0.5,), lambda_obs=(0.01,)),
    ("quantize", "0.05"): gentle(start=(100,), lr=(0.5,),
    lambda_obs=(0.1, 0.02, 0.005)) + gentle(start=(150,), lr=(0.5,), lambda_obs=(0.005,)),
    ("colorize", "0.1"): gentle(start=(100, 200), lr=(0.5,), lambda_obs=(0.02, 0.005)),
    ("jpeg10", "0.1"): gentle(start=(150, 250), lr=(0.5,), lambda_obs=(0.002, 0.005)),
    ("quantize", "0.1"): gentle(start=(100, 200), lr=(0.5,), lambda_obs=(0.002, 0.005)),
    ("cs-walsh4", "0.1"): gentle(start=(100, 200), lr=(0.5,), lambda_obs=(0.003, 0.01)),
    ("hdr", "0.1"): gentle(start=(200, 300), lr=(1.0,),
    lambda_obs=(0.005, 0.02)) + free(start=(400,), lr=(0.02,), lambda_obs=(0.1, 0.03),
    weight_min=(0.5, 1.0)),
    # noise in proportion to the light: none where it is dark
    ("hdr", "poisson"): gentle(start=(100, 200), lr=(1.0,),
    lambda_obs=(0.02, 0.1, 0.5)) + free(start=(400,), lr=(0.02,),
    lambda_obs=(1.0, 0.3, 0.1)) + free(start=(400,), lr=(0.02,),
    end=(60,)) + free(start=(300, 400), lr=(0.02,), lambda_obs=(0.1,), weight_min=(0.5,)),
    ("hdr", "speckle"): gentle(start=(100, 200), lr=(1.0,),
    lambda_obs=(0.02, 0.1, 0.5)) + free(start=(400,), lr=(0.02,),
    lambda_obs=(1.0, 0.3, 0.1)) + free(start=(400,), lr=(0.02,),
    end=(60,)) + free(start=(300, 400), lr=(0.02,), lambda_obs=(0.1,), weight_min=(0.5,)),
    ("inpaint", "speckle"): gentle(start=(100, 150), lr=(0.5,),
    lambda_obs=(0.02, 0.05, 0.1)) + gentle(start=(60,), lr=(0.5,), lambda_obs=(0.02,)),
    ("inpaint", "poisson"): gentle(start=(100, 150), lr=(0.5,),
    lambda_obs=(0.02, 0.05, 0.1)) + gentle(start=(60,), lr=(0.5,), lambda_obs=(0.02,)),
    # with --images 10, compressed sensing with --images 6 and 250 calls
    ("inpaint", "0.1"): gentle(start=(300,), lr=(0.5,), lambda_obs=(0.02,)) + gentle(start=(200,),
    lr=(0.5,), lambda_obs=(0.01,)) + gentle(start=(150,), lr=(0.5,), lambda_obs=(0.005,)),
    ("inpaint", "0.05"): gentle(start=(100,), lr=(0.5,), lambda_obs=(0.01, 0.02)),
    ("sr4", "0.05"): gentle(start=(150, 250), lr=(0.5,), lambda_obs=(0.01,)),
    ("sr4", "poisson"): gentle(start=(150,), lr=(0.5,), lambda_obs=(0.02,)) + gentle(start=(250,),
    lr=(0.5,), lambda_obs=(0.01,)),
    ("inpaint-random", "0.05"): gentle(start=(100, 150), lr=(0.5,), lambda_obs=(0.01, 0.03)),
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One setting tried on one task: dB over the crops, beside the starting picture's."""

    weights: str
    task: str
    noise: str
    settings: str
    pictures: int
    psnr_start: float
    psnr_one: float
    psnr_mean_of_8: float
    ssim_one: float
    seconds: float

    @property
    def gain(self) -> float:
        """Return the rank of `hrdis.training.trials.gain`, by PSNR alone."""
        return self.psnr_mean_of_8 - self.psnr_start + min(0.0, self.psnr_one - self.psnr_start)


def main(
    photos: Path,
    prior: str = "default",
    tasks: tuple[str, ...] = (),
    images: int = 3,
    side: int = 64,
    minutes: float = 60,
) -> None:
    """Search settings.

    Args:
        photos: training photographs.
        prior: "default" or a folder.
        tasks: some of those in TRIED; by default all.
        images: pictures, one crop of each.
        side: of the crops.
        minutes: stop after so long; another call goes on where this one stopped.
    """
    torch.set_num_threads(1)
    deadline = time.perf_counter() + 60 * minutes
    model = hrdis.load_prior(prior, dtype=torch.bfloat16)
    x = random_crops(pictures(photos, images), side, 0)
    digest = hashlib.sha256(
        b"".join(p.float().numpy().tobytes() for p in (*model.parameters(), x))
    ).hexdigest()[:8]
    trials = read()
    for (task, noise), solvers in TRIED.items():
        if tasks and task not in tasks:
            continue
        problem = measured(task, x, noise)
        truth = grey(x) if task in SCANS else x
        start = score(problem.A.smooth(problem.y), truth).psnr
        print(f"{task}, noise {noise}: start {start:.2f} dB", flush=True)
        for solver in solvers:
            known = {(t.weights, t.task, t.noise, t.settings) for t in trials}
            key = (digest, task, noise, brief(solver))
            if key in known or time.perf_counter() > deadline:
                continue
            began = time.perf_counter()
            found = try_out(solver, model, problem, truth)
            trial = Trial(
                *key, len(x), start, found["psnr_one"], found["psnr_mean_of_8"], found["ssim_one"],
                time.perf_counter() - began,
            )  # fmt: skip
            trials.append(trial)
            write(trials)
            print(
                f"  {trial.gain:+.2f} one {trial.psnr_one:.2f} mean {trial.psnr_mean_of_8:.2f}  "
                f"{key[-1]}",
                flush=True,
            )
        own = [t for t in trials if (t.weights, t.task, t.noise) == (digest, task, noise)]
        if own:
            print("  best:", max(own, key=lambda t: t.gain).settings, flush=True)


def read() -> list[Trial]:
    """Trials of earlier runs."""
    if not CSV.exists():
        return []
    kinds: dict[str, type] = Trial.__annotations__
    with CSV.open(newline="") as file:
        return [Trial(**{k: kinds[k](v) for k, v in row.items()}) for row in csv.DictReader(file)]


def write(trials: list[Trial]) -> None:
    """All trials, one line each."""
    with CSV.open("w", newline="") as file:
        out = csv.DictWriter(file, [*Trial.__dataclass_fields__])
        out.writeheader()
        out.writerows(
            {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(t).items()}
            for t in trials
        )


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
