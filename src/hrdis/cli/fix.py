"""``hrdis fix``: find what is wrong with pictures and mend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from hrdis.checkpoints import load_prior
from hrdis.ending import raise_if_asked
from hrdis.fixing import KINDS, fix, many, record_of, unused
from hrdis.fixing.outputs import command_of
from hrdis.images import Errand
from hrdis.messages import for_command

from .before_after import check_index, write_index
from .parsing import about_file, checking, fail, parse
from .progress import say, waiting
from .unused import refuse

HELP = """\
Find what is wrong with a picture, and mend what is sure to be wrong.

Examples:
  hrdis fix photo.jpg                         (writes photo-fixed.jpg)
  hrdis fix photo.jpg --dry-run               (says what it finds, and writes nothing)
  hrdis fix photo.jpg -o clean.png --only noise --noise 8
  hrdis fix scan.png --only scratches,stamp -o whole.png
  hrdis fix album -o mended                   (a folder, its sub-folders too; goes on after a kill)

Noise, JPEG's artefacts and blur are mended where the picture shows them beyond doubt. Specks,
scratches and the date stamp of a film camera are only proposed, as OUT.mask.png beside OUT.png,
because details of the subject look like them. Look at the mask, then fill what it shows with --only
scratches or --only stamp. A picture with nothing to mend is copied as it is. A record OUT.png.json
says what was found and done, with the line that does the same. In a folder a file that fails is
named, the others go on, and the exit status is 1. OUT/index.html shows the pictures of a folder
before and after.
"""


@dataclass(frozen=True)
class Fix:
    """Options of ``hrdis fix``."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures, or folders of pictures."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where the result goes: a file for one picture, a folder for several. By default NAME-fixed
    beside it.
    """
    only: str = ""
    """Which kinds of damage may be mended, with commas between: noise, jpeg, scratches,
    stamp, enlarged, blur."""
    strength: float = 1.0
    """How much of the noise and of JPEG's artefacts is taken away, from 0 to 1."""
    noise: float | None = None
    """Level of the noise in grey levels of 255, instead of what is measured."""
    dry_run: bool = False
    """Say what is found, and write nothing. The other options are checked, and may stay."""
    upscale: int = 1
    """Enlarge the result 2 or 4 times."""
    overwrite: bool = False
    """Replace files that are in the way, also those that hrdis did not write."""
    prior: Annotated[str, tyro.conf.arg(name="model")] = "default"
    """The diffusion model, as for `hrdis restore`."""
    seed: int = 0
    """Seed of the solvers."""


def main(argv: Sequence[str]) -> int:
    args = parse(Fix, argv, "fix", HELP)
    only = [word.strip() for word in args.only.split(",") if word.strip()]
    with checking():
        if not args.images:
            raise ValueError("No picture is given. A file or a folder is expected: hrdis fix A.jpg")
        for word in only:
            if word not in KINDS:
                raise ValueError(
                    f"--only names {word!r}. Kinds of damage are expected: {', '.join(KINDS)}"
                )
        if not 0 <= args.strength <= 1:
            raise ValueError(f"--strength is {args.strength}. A number from 0 to 1 is expected.")
        if args.noise is not None and not 0 < args.noise < 128:
            raise ValueError(
                f"--noise is {args.noise}. Grey levels above 0 and below 128 are expected: "
                "--noise 8"
            )
        if args.upscale not in (1, 2, 4):
            raise ValueError(f"--upscale is {args.upscale}. 2 or 4 is expected.")
        refuse(argv, unused(only))
        todo = many.errands(args.images, args.output, overwrite=args.overwrite or args.dry_run)
        if len(todo) == 1 and not args.images[0].is_dir():
            # one picture is bad input; one of many is a line at the end
            from hrdis.images import read

            given = read(todo[0].source)
            many.check_picture(todo[0], given, args.upscale)
        folder = None
        if len(todo) > 1 or args.images[0].is_dir():
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
    failed = _run(todo, options, prior, args.overwrite)
    if folder is not None:
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


def _run(todo: Sequence[Errand], options: dict[str, Any], prior: Any, overwrite: bool) -> int:
    """Mend the files, and say one thing of each; return how many failed."""
    failed = there = 0
    with waiting("looking at the picture") as tell:

        def told(number: int, what: str) -> None:
            tell(f"{_place(number, todo)}{todo[number - 1].source.name}: {what}")

        run = many.run(todo, options, prior=prior, overwrite=overwrite, on_progress=told)
        for number, outcome in enumerate(run, 1):
            failed += bool(outcome.error)
            there += outcome.fixed is None and not outcome.error
            _say(outcome, _place(number, todo))
    if len(todo) > 1:
        mended = len(todo) - failed - there
        say(f"{mended} done, {there} finished before, {failed} failed.")
    return failed


def _place(number: int, todo: Sequence[Errand]) -> str:
    """Return which file of many it is; nothing where there is one."""
    return f"[{number}/{len(todo)}] " if len(todo) > 1 else ""


def _say(outcome: many.Outcome, place: str) -> None:
    """Say what became of a file, in one line if it is one of many."""
    fixed, source = outcome.fixed, outcome.errand.source
    if outcome.error:
        fail("fix", f"{place}{about_file(source, outcome.error)}", 1)
    elif fixed is None:
        say(f"{place}{source}: finished before, {outcome.errand.output}")
    elif place:
        say(f"{place}{source}: {' '.join(fixed.steps)}")
    else:
        for sentence in (*fixed.diagnosis.sentences(), *fixed.steps):
            say(sentence)
        if fixed.command:
            say(f"The same: {command_of(fixed, outcome.errand.output)}")
        say("Wrote " + ", ".join(outcome.files))
