"""``hrdis restore``: a picture that is already damaged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from hrdis.checkpoints import load_prior, presets_of
from hrdis.messages import for_command
from hrdis.noise import read_level, read_model
from hrdis.presets import Choice
from hrdis.priors import Prior
from hrdis.repairs import NAMES, is_word, resolve
from hrdis.restoration import (
    PROVISIONAL,
    FileOptions,
    FoundOptions,
    Job,
    Restoration,
    find_options,
    given_as_auto,
    plugin,
    prepare,
)
from hrdis.restoration.choosing import AUTO, chosen
from hrdis.restoration.outputs import check_files
from hrdis.solvers import Solver
from hrdis.tasks import TASKS, Task

from .parsing import checking, fail, parse, peek
from .progress import bar, say, waiting
from .unused import refuse
from .workers import UNUSED, Workers

HELP = """\
Restore a damaged picture: fill holes, enlarge, sharpen, remove noise.

Examples:
  hrdis restore small.jpg --task upscale --scale 4 -o large.png
  hrdis restore torn.png --task inpaint --mask holes.png -o whole.png --samples 4
  hrdis restore noisy.png --task denoise --noise 25 -o clean.png
  hrdis restore blurred.png --task deblur --kernel gaussian:3 --noise 0.01 -o sharp.png
  hrdis restore shaken.png --task deblur --kernel shaken-kernel.npy -o sharp.png
  hrdis restore soft.png --task deblur --kernel auto -o sharp.png
  hrdis restore blocky.jpg --task dejpeg --quality auto -o smooth.png
  hrdis restore grey.jpg --task colorize --model MODEL -o coloured.png   (see hrdis list models)
  hrdis restore dark.jpg --task brighten -o bright.png   (OUT.json: the exposure found)
  hrdis restore blurred.png --task deblur-nonlinear --weights GOPRO_wVAE.pth \\
      --kernel blurred-kernel.npy -o sharp.png
  hrdis restore cs.npy --task cs25 -o whole.png   (what `hrdis degrade` wrote, with its record)
  hrdis restore y.npy --operator my.py:make -o whole.png   (see `hrdis check operator --help`)
  hrdis restore small/ --task upscale --scale 2 -o large/   (a folder; goes on after a kill)
  hrdis restore a.jpg b.jpg --task denoise --noise 25 -o clean/

What is written: OUT, and a record OUT.json of what was done. With --samples K also the other
samples (OUT-2 ...), their mean (OUT-mean), a map in grey levels (OUT-uncertainty) and all of them
side by side (OUT-overview). The map shows the half width of 90 % intervals around the mean where
that was calibrated, else where samples differ.

Mask: a picture of the same size, white where a hole is to be filled (see --mask-marks).

Noise: --noise is its standard deviation, as a fraction of white (0.1 or 25/255) or, from 1 on, in
grey levels of 255 (25). For noise that is weaker in the dark give poisson:1 (the rate of the
photons; 1 counts 255 at white) or speckle:0.1 (the share of the signal).

auto: --noise, --quality, --kernel and --mask may be auto. They are then found in the picture, as
`hrdis fix` does. What was found is printed, and stands in the record. Where it is not sure, nothing
is restored, and one line says what was seen and what to give. With --mask auto, specks, scratches
and a date stamp are searched and filled; OUT.mask.png shows where. If it is wrong, edit it and give
it back with --mask.

Solver: auto takes the one that was measured to be the best for the task, the noise and --effort,
and HRDIS where none was measured. A line before the run and OUT.json say which, and why. Its
settings are listed below: with --task and --solver beside --help those of that solver, with the
defaults that fit the task and the model.

Several pictures, and all in a folder, are restored into the folder OUT, sub-folders kept, and
OUT/index.html shows them before and after. --mask may then be a folder too, with a mask of the same
name for each picture. A picture that fails is named, the others go on, and the exit status is 1.
The same command leaves what is finished as it is. The results have the dates of the pictures. With
--workers several pictures are worked on at once.

Your own operator: --operator executes the python file; run none that you do not trust. Its
measurement is a picture, or an array (.npy, .pt, .safetensors) of one measurement with the image
axis first, in its own units. The settings start from those of sr4.
"""

INVALID = (
    "the result became invalid (NaN or infinite) and was not saved. Run without changed settings."
)


@dataclass(frozen=True, kw_only=True)
class Restore(FileOptions):
    """Options of ``hrdis restore``."""

    others: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE")] = ()
    """Further pictures or folders; OUT is then a folder."""


@dataclass(frozen=True)
class Asked:
    """A command line that was read.

    Args:
        argv: its words.
        args: its options, with provisional values for those that are to be found in the picture.
        choice: the solver and its settings.
        auto: the names of the options that are to be found.
    """

    argv: Sequence[str]
    args: Any
    choice: Choice[Solver]
    auto: Sequence[str]


def main(argv: Sequence[str]) -> int:
    asked = read(argv)
    args = asked.args
    many = args.others or args.image.is_dir()
    with checking():
        _check_used(argv, args)
        if not many:
            refuse(argv, UNUSED)
    if many:
        from .restore_folder import restore_folder

        return restore_folder(asked)
    job = prepared(asked)
    try:
        found = run(job)
    except Exception as error:
        if not args.operator:
            raise
        return fail("restore", plugin.explain(args.operator, error), 1)
    if not found.kept:
        say(f"hrdis restore: {INVALID}")
        return 1
    files = found.save(args.output, overwrite=args.overwrite)[:-1]
    reason = found.record["interval_reason"]
    if reason:
        say(for_command(reason))
    say(f"{found.seconds:.1f} s. Wrote {', '.join(map(str, files))}")
    return 0 if found.finite else 1


def read(argv: Sequence[str]) -> Asked:
    """Read a command line.

    Raises:
        BadInput: for words that are no options, or values that they do not take.
    """
    with checking():
        auto = given_as_auto({name: peek(argv, f"--{name}", "") for name in PROVISIONAL})
    args, choice = _parsed(_with_values(argv, {name: PROVISIONAL[name] for name in auto}))
    return Asked(argv, args, choice, auto)


def prepared(
    asked: Asked,
    load: Callable[..., Prior] = load_prior,
    tell: Callable[[str], object] = say,
) -> Job:
    """Return the restoration that is asked for, with what was found in the picture, checked.

    Args:
        asked: the options.
        load: what loads the model.
        tell: told what was found and chosen, a line each.

    Raises:
        BadInput: for whatever cannot run.
    """
    args, choice, looked_up = asked.args, asked.choice, FoundOptions()
    if asked.auto:
        looked_up = _found(asked)
        for sentence in looked_up.sentences():
            tell(sentence)
        # The solver that auto takes depends on what was found.
        later, choice = _parsed(_with_values(asked.argv, looked_up.values()))
        args = replace(
            later, image=args.image, output=args.output, overwrite=args.overwrite,
            **looked_up.values(),
        )  # fmt: skip
    with checking(), waiting("reading the picture and loading the model"):
        job = prepare(args, args.settings, load, choice=choice, found=looked_up)
        job.check_redraw()
    calls = "1 network call" if job.calls == 1 else f"{job.calls} network calls"
    tell(
        f"{args.task or args.operator} with {args.solver} (settings {choice.row or 'of its own'}), "
        f"{calls} a sample"
    )
    if job.windows:
        share = sum(job.pixels) / (job.problem.image_shape[-2] * job.problem.image_shape[-1])
        many = f"{len(job.windows)} windows" if len(job.windows) > 1 else "a window"
        tell(f"the holes are small: {many} of {share:.0%} of the picture, not all of it")
    if choice.effort:
        tell(for_command(choice.why))
    if changed := changed_settings(choice.settings, args.settings):
        tell(f"Changed by you: {changed}")
    if job.precision_reason:
        tell(job.precision_reason)
    return job


def changed_settings(chosen: Solver, given: Solver) -> str:
    """Return the settings that differ from those that were chosen, as options."""
    words = []
    for field in fields(given):  # type: ignore[arg-type]
        value = getattr(given, field.name)
        if value == getattr(chosen, field.name):
            continue
        option = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words.append(f"--{option} {value}")
    return " ".join(words)


def run(job: Job, title: str = "steps") -> Restoration:
    """Restore with a bar on the terminal, of steps and of the tiles of each."""
    with bar(job.steps, title) as shown:
        job.prior.on_tiles = shown.tiles
        return job.run(lambda _: shown.advance())


def _parsed(argv: Sequence[str]) -> tuple[Any, Choice[Solver]]:
    """Return the options, and the solver and settings that fit them."""
    with checking():
        choice = _choice(argv, _task_asked_for(argv))
    args: Any = parse(Restore, argv, "restore", HELP, settings=choice.settings, where=Workers())
    return replace(args, solver=choice.settings.name), choice


def _found(asked: Asked) -> FoundOptions:
    """Return what stands in the place of ``auto``.

    Raises:
        BadInput: if that is not found, or the task does not take it.
    """
    args, names = asked.args, asked.auto
    with checking(), waiting("looking at the picture"):
        check_files(
            args.output, args.samples, [args.image], overwrite=args.overwrite, mask="mask" in names
        )
        task, model = args.known_task(), read_model(peek(asked.argv, "--noise", ""))
        return find_options(args.image, names, args.task, task, args.hole, args.noise, model)


def _check_used(argv: Sequence[str], args: FileOptions) -> None:
    """Raise for options that change nothing about this restoration.

    Left alone are those that bound what is used (--tile, --max-memory), that belong to every
    restoration (--seed, --samples) and that say what is in the picture (--noise).

    Raises:
        ValueError: naming the option and the one that it belongs to.
    """
    plugin.task_or_operator(args)
    task = args.known_task()
    unused: dict[str, str] = {}
    if task is None:
        unused["mask-marks"] = "--operator takes no mask."
        unused["effort"] = (
            "--operator gets one solver at any effort. Its number of network calls is a setting: "
            "--steps 20"
        )
    else:
        unused["image-size"] = f"the task {args.task!r} knows the size. It is for --operator."
        if not task.mask:
            unused["mask-marks"] = f"the task {args.task!r} takes no mask. Use --task inpaint."
        if task.blind or task.weights:
            unused["effort"] = (
                f"the task {args.task!r} gets one solver at any effort. Its number of network "
                "calls is a setting: --steps 20"
            )
    if "effort" not in unused and peek(argv, "--solver", AUTO) != AUTO:
        unused["effort"] = (
            "it is for the solver auto. The number of network calls of another one is a setting: "
            "--steps 20"
        )
    refuse(argv, unused)


def _choice(argv: Sequence[str], task: Task | None) -> Choice[Solver]:
    """Return the solver and the settings that a command line asks for, before all of it is read."""
    # A level below 0 is refused later, in the words of the option.
    noise = max(0.0, read_level(peek(argv, "--noise", "0")))
    tuned = presets_of(peek(argv, "--model", "default"))
    effort, solver = peek(argv, "--effort", "normal"), peek(argv, "--solver", "auto")
    samples = peek(argv, "--samples", "1")
    count = int(samples) if samples.isdigit() else 1  # what is no number is refused later
    return chosen(task, solver, noise, effort, count, tuned)


def _with_values(argv: Sequence[str], values: Mapping[str, object]) -> list[str]:
    """Return the options with other values of some of them, added where they are not there."""
    words = list(argv)
    for name, value in values.items():
        option, there = f"--{name}", False
        for i, word in enumerate(words):
            if word == option and i + 1 < len(words):
                words[i + 1], there = str(value), True
            elif word.startswith(f"{option}="):
                words[i], there = f"{option}={value}", True
        if not there:
            words += [option, str(value)]
    return words


def _task_asked_for(argv: Sequence[str]) -> Task | None:
    """Return the task of a command line before all of it is read; None for an operator.

    The settings of its solver are options too, with the defaults that fit the task.

    Raises:
        ValueError: as `hrdis.repairs.resolve`.
    """
    if peek(argv, "--operator", ""):
        return None
    name = peek(argv, "--task", "")
    if not name or ({"-h", "--help"} & set(argv) and name not in NAMES):
        return TASKS["inpaint"]
    numbers: dict[str, int | None] = {}
    for option in ("scale", "quality", "bits"):
        text = peek(argv, f"--{option}", "")
        # What is no whole number is refused when all options are read.
        numbers[option] = int(text) if text.lstrip("-").isdecimal() else None
    kernel = peek(argv, "--kernel", "")
    return resolve(name, **numbers, kernel=kernel if kernel and is_word(kernel) else None)
