"""Search settings of solvers for a prior on its training photographs: ``hrdis tune``.

For every task, level of noise and solver there are three rounds on one crop of each photograph. The
first is a grid over the settings that matter most (where a run starts, how far y is believed, how
much noise is fresh). The second varies one setting at a time around the best of it (other numbers
of calls among them). The third tries the best two once more on other crops, against the settings
that are there. The winner becomes a row of ``presets.toml``. Every trial is a line of a CSV file
beside it, which a later search reads, so that one that was stopped goes on.
"""

import hashlib
import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor

from .. import images, presets
from ..checkpoints import load_prior, weights_sha256
from ..noise import Gaussian
from ..presets import Presets, Row, choose
from ..priors.base import Prior
from ..problem import measure
from ..rng import stream
from ..solvers import SOLVERS, Solver
from ..tasks import TASKS
from .photographs import find_images
from .trials import TrialFile, TuneTrial, brief, changed, decibels, gain, squared_error, try_out

Options = Mapping[str, Sequence[object]]

SCORE = "dB of the mean of 8 samples over the smooth start, less what one sample loses against it"
SHORTLIST = 2  # settings that are tried again on other crops

# Far above the gradients, Adam's epsilon makes steps of lr / adam_eps along the momentum: what a
# start that is close already needs.
GENTLE: Options = {"adam_eps": (1.0,), "init": ("smooth",)}
STARTS = (100, 200)

#: The first round of a solver: every combination of these.
GRID: dict[str, Options] = {
    "hrdis": {**GENTLE, "lr": (1.0,), "start": STARTS, "beta": (0.2, 0.5)},
    "reddiff": {**GENTLE, "start": STARTS, "lr": (0.5, 1.0)},
    "cr": {**GENTLE, "start": STARTS, "lr": (0.5, 1.0)},
    "drddim": {**GENTLE, "start": STARTS, "lr": (0.5, 1.0)},
    "ddnm": {"start": (*STARTS, 350), "eta": (1.0,)},
    "ddnmplus": {"start": STARTS, "eta": (0.85, 1.0)},
    "ddrm": {"start": STARTS, "eta": (0.85, 1.0)},
    "dds": {"start": STARTS, "eta": (0.85, 1.0)},
    "diffpir": {"start": STARTS, "lam": (1.0, 8.0), "zeta": (1.0,)},
    "daps": {"start": STARTS, "sigma_min": (0.02,), "ode_steps": (4,), "langevin_steps": (20,),
             "lr": (5e-5,)},
    "dps": {"start": STARTS, "zeta": (0.3, 1.0), "reference_side": (64,)},
    "pigdm": {"start": STARTS, "form": ("score",)},
    "gdp": {"start": STARTS, "kappa": (0.1, 0.3, 1.0)},
    "fps": {"start": STARTS, "c": (0.95, 0.99)},
    "mmps": {"start": STARTS},
}  # fmt: skip

#: The second round: one of these at a time, beside the other numbers of calls.
AROUND: dict[str, Options] = {
    "hrdis": {"beta": (0.5,), "lambda_reg": (0.1, 0.5), "lr": (0.5,)},
    "reddiff": {"lambda_reg": (0.1, 0.5)},
    "ddnm": {"eta": (0.85,)},
    "diffpir": {"zeta": (0.3,)},
    "daps": {"tau": (0.05,)},
}


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """Extent of a search."""

    solvers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SOLVER")] = (
        "hrdis",
        "reddiff",
        "ddrm",
        "diffpir",
    )
    """Solvers whose settings are searched; see `hrdis list solvers`."""
    tasks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TASK")] = (
        "sr4",
        "inpaint-scratches",
        "sr2",
        "denoise",
        "deblur-uniform",
    )
    """Tasks, the most important first; see `hrdis list tasks`."""
    noise: tuple[float, ...] = (0.0, 0.05, 0.02, 0.1, 0.01)
    """Standard deviations of the noise for pixel values from 0 to 1, the most important first."""
    calls: tuple[int, ...] = (40, 100)
    """Numbers of network calls that settings may make; the first round takes the first."""
    size: int = 64
    """Side of the crops in pixels."""
    limit: int = 12
    """At most so many photographs, one crop of each."""
    hours: float = 4.0
    """Stop after so long; the same command goes on later."""

    def check(self) -> None:
        """Raise a ValueError that names what does not exist or is out of bounds."""
        for kind, names, known in (("solver", self.solvers, GRID), ("task", self.tasks, TASKS)):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"No search is known for the {kind} {name!r}. One of {', '.join(known)} is "
                        "expected."
                    )
        if min((*self.calls, self.size, self.limit), default=0) < 1 or not self.calls:
            raise ValueError("calls, size and limit are expected to be 1 or more.")
        if not all(0 <= level <= 1 for level in self.noise):
            raise ValueError(f"noise is {self.noise}. Levels from 0 to 1 are expected.")
        if "denoise" in self.tasks and not any(self.noise):
            raise ValueError(
                "tasks names denoise, but all noise is 0, which leaves nothing to search. A level "
                "above 0 is expected."
            )


def tune(
    name: str | Path,
    folder: str | Path,
    out: str | Path,
    settings: TuneSettings | None = None,
    on_trial: Callable[[TuneTrial], object] | None = None,
    command: str = "hrdis.training.tune.tune",
) -> Presets:
    """Search settings for a prior, write them to ``out``, and return what is written there.

    After every task, level and solver the file is replaced whole, and every trial is kept in
    ``OUT.trials.csv``; whoever stops the search loses the trial at hand. Rows of ``out`` that were
    not searched stay.

    Args:
        name: the prior, as for `load_prior`.
        folder: photographs it was trained on; never those it is judged by.
        out: the file, e.g. ``presets.toml`` in the prior's folder.
        settings: extent of the search.
        on_trial: called after every trial.
        command: how the search was started, for the record.

    Raises:
        ValueError: before any work, if something does not exist or ``out`` belongs to another
            prior.
    """
    settings, out = settings or TuneSettings(), Path(out)
    settings.check()
    images.check_folder(out.parent)
    files = find_images(Path(folder))
    count = min(settings.limit, len(files))
    files = [files[k * len(files) // count] for k in range(count)]
    prior = load_prior(name)
    found = Presets(prior.name, ())
    if out.exists():
        found = presets.read(out)
        if found.prior != prior.name:
            raise ValueError(
                f"{out} is for the prior {found.prior!r}, not for {prior.name!r}. Another file is "
                "expected: -o FILE."
            )
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    record = {
        "name": f"{date.today()} {len(found.searches) + 1}", "command": command,
        "date": str(date.today()), "weights": weights_sha256(name),
        "photographs": f"{count} crops of {settings.size} x {settings.size}, SHA-256 of the files "
        f"{digest.hexdigest()}", "score": SCORE, "trials": 0,
    }  # fmt: skip
    for known in found.searches:
        if known.get("command") == command and known.get("weights") == record["weights"]:
            record["name"] = known["name"]
    trials = TrialFile(out.with_suffix(".trials.csv"), on_trial)
    deadline = time.perf_counter() + 3600 * settings.hours
    crops = [_crops(files, settings.size, seed, prior) for seed in (0, 1)]
    for level, task in itertools.product(settings.noise, settings.tasks):
        if task == "denoise" and level == 0:
            continue  # there is nothing to recover
        first, second = (Search(prior, task, level, x, deadline, trials) for x in crops)
        for solver in settings.solvers:
            winner = search(first, second, solver, settings.calls, found)
            if winner is not None:
                row = Row(
                    solver, first.problem.A.families[0], changed(winner), level,
                    search=str(record["name"]),
                )  # fmt: skip
                record["trials"] = len(trials.known)
                # The row and its search, each in the place of an older one.
                place = row.solver, row.key
                rows = [old for old in found.rows if (old.solver, old.key) != place]
                searches = [old for old in found.searches if old["name"] != record["name"]]
                found = Presets(found.prior, (*rows, row), (*searches, dict(record)))
                presets.write(out, found)
    return found


def search(
    first: "Search", second: "Search", name: str, calls: Sequence[int], found: Presets
) -> Solver | None:
    """Return the best settings of a solver on one measurement; None if no time is left for them.

    Args:
        first: the crops of the first two rounds.
        second: the other crops of the third.
        name: of the solver.
        calls: numbers of network calls that may be tried.
        found: settings there are already; they have to be beaten.
    """
    cls, level = SOLVERS[name][0], first.noise
    if cls.noiseless and level > 0:
        return None
    rival = choose(cls, first.problem.A.families, level, tuned=found).settings
    best = first.best(name, grid(cls, level, calls[0]), 1)
    if not best:
        return None
    shortlist = first.best(name, [*best, *around(best[0], calls)], SHORTLIST)
    final = second.best(name, [*shortlist, rival], 1)
    return final[0] if final and not second.late() else None


def grid(solver: type[Solver], noise: float, calls: int) -> Iterator[Solver]:
    """Yield the settings of the first round."""
    options = dict(GRID[solver.name])
    if noise > 0 and solver.name in ("hrdis", "reddiff", "cr", "drddim"):
        # The best belief in y fell as noise^-1.4 where it was searched: 0.1 at 0.01, 0.004 at 0.1.
        belief = 0.1 * (0.01 / noise) ** 1.4
        options |= {"lambda_obs": (belief / 2, 2 * belief), "lr": (0.5,)}
        if "beta" in options:
            options["beta"] = (0.2,)
    if noise > 0 and solver.name == "daps":
        options["tau"] = (0.01, noise)
    for values in itertools.product(*options.values()):
        chosen: dict[str, Any] = dict(zip(options, values, strict=True))
        yield with_calls(solver(**chosen), calls)


def around(solver: Solver, calls: Sequence[int]) -> Iterator[Solver]:
    """Yield settings that differ from ``solver`` in one thing."""
    for count in calls:
        other = with_calls(solver, count)
        if other != solver:
            yield other
    for name, values in AROUND.get(solver.name, {}).items():
        for value in values:
            if value != getattr(solver, name):
                yield replace(solver, **{name: value})  # type: ignore[type-var]


def with_calls(solver: Solver, calls: int) -> Solver:
    """Return a solver that makes so many network calls, or the nearest number below."""
    per_step = getattr(solver, "ode_steps", getattr(solver, "substeps", 1))
    return replace(solver, steps=max(1, calls // per_step))  # type: ignore[type-var]


@dataclass
class Search:
    """TrialFile of one prior on one measurement of one set of crops."""

    prior: Prior
    task: str
    noise: float
    x: Tensor
    deadline: float
    trials: TrialFile

    def __post_init__(self) -> None:
        side = self.x.shape[-1]
        A = TASKS[self.task].build(side, side, 0, 0)
        noise = Gaussian(self.noise) if self.noise > 0 else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of crops in [-1, 1] that look like something else
            self.problem = measure(A, self.x, noise, seeds=range(len(self.x)))
        self.base = squared_error(A.smooth(self.problem.y), self.x)
        digest = hashlib.sha256(self.problem.y.abs().double().numpy().tobytes())
        for part in (*self.prior.parameters(), self.x):
            digest.update(part.detach().float().numpy().tobytes())
        self.digest = digest.hexdigest()[:12]

    def late(self) -> bool:
        """Return True once the time is up."""
        return time.perf_counter() > self.deadline

    def best(self, name: str, solvers: Iterable[Solver], count: int) -> list[Solver]:
        """Try settings, and return the best by `TuneTrial.gain`."""
        gains: dict[Solver, float] = {}
        for solver in solvers:
            trial = self.run(name, solver)
            if trial is not None and trial.gain == trial.gain:  # NaN where a run diverged
                gains[solver] = trial.gain
        return sorted(gains, key=lambda solver: -gains[solver])[:count]

    def run(self, name: str, solver: Solver) -> TuneTrial | None:
        """Try settings, or look them up; None once the time is up, or if they cannot be run."""
        key = (self.digest, self.task, self.noise, name, brief(solver))
        if key in self.trials.known or self.late():
            return self.trials.known.get(key)
        started = time.perf_counter()
        try:
            scores = try_out(solver, self.prior, self.problem, self.x)
        except (TypeError, ValueError):
            return None  # more steps than times, or an operator it cannot take
        base, pooled = float(decibels(self.base).mean()), float(decibels(self.base.mean()))
        trial = TuneTrial(
            *key,
            scores["psnr_one"],
            scores["psnr_mean_of_8"],
            scores["pooled_one"],
            scores["pooled_mean_of_8"],
            scores["ssim_one"],
            base,
            pooled,
            gain(scores, base + pooled, self.noise > 0),
            time.perf_counter() - started,
        )
        self.trials.add(trial)
        return trial


def _crops(files: Sequence[Path], side: int, seed: int, prior: Prior) -> Tensor:
    """Cut one crop of each photograph at a random place, redrawn while it is flat."""
    crops = []
    for k, file in enumerate(files):
        x, rng = images.load(file), stream(seed, "crop", k)
        if min(x.shape[-2:]) < side:
            raise ValueError(
                f"{file} is smaller than {side} x {side}. Larger photographs, or a smaller --size, "
                "are expected."
            )
        for _ in range(20):
            top, left = (int(rng.integers(n - side + 1)) for n in x.shape[-2:])
            crop = x[..., top : top + side, left : left + side]
            if crop.std() > 0.1:
                break
        crops.append(crop.mean(1, keepdim=True) if prior.channels == (1,) else crop)
    return torch.cat(crops)
