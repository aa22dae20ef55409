"""``hrdis tune``: settings of solvers for a model, searched on its training photographs."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from hrdis.training.trials import TuneTrial
from hrdis.training.tune import TuneSettings, tune

from .parsing import checking, parse
from .progress import say

HELP = """\
Search the settings of solvers that suit a model, on photographs it was trained on.

Examples:
  hrdis tune my-model photos/ -o my-model/presets.toml
  hrdis tune my-model photos/ -o my-model/presets.toml --solvers hrdis --tasks sr4 --noise 0 0.05
  hrdis restore small.png --task sr4 --model my-model -o large.png    (takes what was found)

A presets.toml in a model's folder is used by every command. It is replaced after each task, level
of noise and solver; every trial is a line of OUT.trials.csv beside it. Ctrl-C loses only the trial
at hand, and the same command goes on. Never search on photographs that the model is judged by.
"""


@dataclass(frozen=True, kw_only=True)
class Tune(TuneSettings):
    """Options of ``hrdis tune``."""

    prior: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """The model: "default", a folder, or a name of `hrdis list models`."""
    photos: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """The folder of photographs that it was trained on, with its sub-folders."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """The file for the settings: presets.toml in the model's folder."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Tune, argv, "tune", HELP)

    def report(trial: TuneTrial) -> None:
        # The settings as options of `hrdis restore`, to try them.
        name, _, given = trial.settings.rstrip(")").partition("(")
        words = name
        for setting in given.split(", "):
            key, _, value = setting.partition("=")
            words += f" --{key.replace('_', '-')} {value}"
        say(
            f"{trial.task}, noise {trial.noise:g}: {trial.gain:+.2f} dB in {trial.seconds:.0f} s  "
            f"{words}"
        )

    with checking(work=True):
        found = tune(
            args.prior, args.photos, args.output, args, report, "hrdis tune " + shlex.join(argv)
        )
    say(f"{len(found.rows)} rows. Wrote {args.output}" if found.rows else "No time for any row.")
    return 0
