"""``hrdis fix``: find what is wrong with pictures and mend it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import tyro

from hrdis.checkpoints import load_prior
from hrdis.ending import raise_if_asked
from hrdis.fixing import KINDS, fix, many, record_of, unused
from hrdis.fixing.outputs import command_of
from hrdis.images import Errand
from hrdis.messages import for_command
from hrdis.priors import Prior

from .before_after import check_index, write_index
from .parsing import about_file, checking, fail, parse
from .progress import say, waiting
from .unused import given, refuse
from .workers import UNUSED, Ended, Workers, work_off

#: Why the options of workers change nothing about a dry run.
DRY = {name: "--dry-run looks at one picture after the other." for name in UNUSED}

HELP = """\
Find what is wrong with a picture, and mend what is sure to be wrong.

Examples:
  hrdis fix photo.jpg                         (writes photo-fixed.jpg)
  hrdis fix photo.jpg --dry-run               (says what it finds, and writes nothing)
  hrdis fix photo.jpg -o clean.png --only noise --noise 8
  hrdis fix scan.png --only scratches,stamp -o whole.png
  hrdis fix album -o mended                   (a folder, its sub-folders too; goes on after a kill)

Noise, JPEG's artefacts and blur are mended where the picture shows them beyond doubt. A picture
with nothing to mend is copied as it is.

Specks, scratches and the date stamp of a film camera are only proposed, as OUT.mask.png beside
OUT.png, because details of the subject look like them. Look at the mask, then fill what it shows
with --only scratches or --only stamp.

The record OUT.png.json says what was found and done, with a command that does the same.

In a folder, a picture that fails is named, the others go on, and the exit status is 1. The results
have the dates of the pictures, and OUT/index.html shows them before and after. With --workers
several pictures are worked on at once.
"""


@dataclass(frozen=True)
class Fix:
    """Options of ``hrdis fix``."""

    images: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE")]
    """Pictures, or folders of pictures."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="OUT")] = None
    """Where the result goes: a file for one picture, a folder for several. By default it is
    NAME-fixed beside the picture.
    """
    only: Annotated[str, tyro.conf.arg(metavar="KIND,KIND")] = ""
    """Mend only these kinds of damage, with commas between: noise, jpeg, scratches, stamp,
    enlarged, blur. By default all are, but for scratches and stamp, which have to be named.
    """
    strength: float = 1.0
    """How much of the noise and of JPEG's artefacts is taken away, above 0 and at most 1."""
    noise: float | None = None
    """Level of the noise in grey levels of 255. By default it is measured."""
    dry_run: bool = False
    """Say what is found, and write nothing. The other options are checked, and may stay."""
    upscale: int = 1
    """Enlarge the result, too: 2 or 4 times."""
    overwrite: bool = False
    """Replace files that are in the way, also those that hrdis did not write."""
    prior: Annotated[str, tyro.conf.arg(name="model", metavar="MODEL")] = "default"
    """The diffusion model, as for `hrdis restore`; by default the one inside the package."""
    seed: int = 0
    """Seed of the solvers."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Fix, argv, "fix", HELP, where=Workers())
    only = [word.strip() for word in args.only.split(",") if word.strip()]
    with checking():
        if not args.images:
            raise ValueError("No picture is given. A file or a folder is expected: hrdis fix A.jpg")
        for word in only:
            if word not in KINDS:
                raise ValueError(
                    f"--only names {word!r}. Kinds of damage are expected: {', '.join(KINDS)}"
                )
        if not only and "only" in given(argv):
            raise ValueError(
                f"--only is {args.only!r}. Kinds of damage are expected: {', '.join(KINDS)}"
            )
        if not 0 < args.strength <= 1:
            raise ValueError(
                f"--strength is {args.strength}. A number above 0, at most 1, is expected. To find "
                "only: --dry-run"
            )
        if args.noise is not None and not 0 < args.noise < 128:
            raise ValueError(
                f"--noise is {args.noise}. Grey levels above 0 and below 128 are expected: "
                "--noise 8"
            )
        if args.upscale not in (1, 2, 4):
            raise ValueError(f"--upscale is {args.upscale}. 2 or 4 is expected.")
        refuse(argv, unused(only))
        many_given = len(args.images) > 1 or args.images[0].is_dir()
        if not many_given or args.dry_run:
            refuse(argv, UNUSED if not many_given else DRY)
        args.where.on_cluster()
        # A dry run needs a place for results only where one is named: to check it.
        written = not args.dry_run or args.output is not None
        todo = many.errands(
            args.images, args.output, overwrite=args.overwrite or args.dry_run, written=written
        )
        if not many_given:
            # one picture is bad input; one of many is a line at the end
            from hrdis.images import read

            picture = read(todo[0].source)
            if written:
                many.check_picture(todo[0], picture, args.upscale)
        elif written:
            folder = many.folder_of(args.images, args.output)
            check_index(folder, overwrite=args.overwrite or args.dry_run)
        with waiting("loading the model"):
            prior = load_prior(args.prior)
    options: dict[str, Any] = {
        "only": only, "strength": args.strength, "noise": args.noise, "upscale": args.upscale,
        "seed": args.seed,
    }  # fmt: skip
    if args.dry_run:
        return _dry(todo, options, prior)
    if not many_given:
        return _one(todo[0], options, prior, args.overwrite)
    work = FixOne(tuple(todo), json.dumps(options), args.prior, args.overwrite)
    failed = work_off("fix", work, todo, args.where)
    say(f"Before and after: {write_index(folder, 'hrdis fix', todo, record_of)}")
    return 1 if failed else 0


def _dry(todo: Sequence[Errand], options: dict[str, Any], prior: Any) -> int:
    """Print what is found in each file."""
    failed = 0
    for errand in todo:
        try:
            with waiting("looking at the picture") as tell:
                fixed = fix(errand.source, dry_run=True, prior=prior, on_progress=tell, **options)
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            raise_if_asked(error)
            failed += 1
            fail("fix", about_file(errand.source, for_command(error).splitlines()[0]), 1)
            continue
        print(errand.source)
        for sentence in fixed.diagnosis.sentences():
            print(f"  {sentence}")
    return 1 if failed else 0


def _one(errand: Errand, options: dict[str, Any], prior: Any, overwrite: bool) -> int:
    """Mend one picture, and say all about it; return the exit status."""
    with waiting("looking at the picture") as tell:
        outcome = many.mended(errand, options, prior=prior, overwrite=overwrite, on_progress=tell)
    if outcome.error:
        return fail("fix", about_file(errand.source, outcome.error), 1)
    if outcome.fixed is None:
        say(f"{errand.source}: finished before, {errand.output}")
        return 0
    for sentence in (*outcome.fixed.diagnosis.sentences(), *outcome.fixed.steps):
        say(sentence)
    if outcome.fixed.command:
        say(f"The same: {command_of(outcome.fixed, errand.output)}")
    say("Wrote " + ", ".join(outcome.files))
    return 0


@dataclass(frozen=True)
class FixOne:
    """The work on the pictures of a folder, by their numbers, as `work_off` takes it.

    Args:
        todo: the pictures.
        options: what `hrdis.fix` is told, as JSON.
        model: the name of the model.
        overwrite: let results replace files of others.
    """

    todo: tuple[Errand, ...]
    options: str
    model: str
    overwrite: bool

    @cached_property
    def prior(self) -> Prior:
        return load_prior(self.model)

    def __call__(self, k: int) -> Ended:
        errand, options = self.todo[k], json.loads(self.options)
        with waiting(errand.source.name) as tell:
            outcome = many.mended(
                errand, options, prior=self.prior, overwrite=self.overwrite,
                on_progress=lambda what: tell(f"{errand.source.name}: {what}"),
            )  # fmt: skip
        if outcome.error:
            return Ended("failed", about_file(errand.source, outcome.error))
        if outcome.fixed is None:
            return Ended("there", f"{errand.source}: finished before, {errand.output}")
        return Ended("done", f"{errand.source}: {' '.join(outcome.fixed.steps)}")
