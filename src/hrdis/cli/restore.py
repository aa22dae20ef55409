"""``hrdis restore``: a picture that is already damaged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hrdis.checkpoints import presets_of
from hrdis.messages import for_command
from hrdis.noise import read_level
from hrdis.presets import Choice
from hrdis.repairs import NAMES, is_word, resolve
from hrdis.restoration import (
    PROVISIONAL,
    FileOptions,
    FoundOptions,
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

The mask is a picture of the same size: white where a hole is to be filled (see --mask-marks).
--noise is the standard deviation of the noise: a fraction of white (0.1 or 25/255), or grey levels
of 255, which a number from 1 on is taken for (25).
auto finds --noise, --quality, --kernel or --mask in the picture, as `hrdis fix` does. What was
found is printed, and stands in the record. Where that is not sure, nothing is restored, and one
line says what was seen and what to give. With --mask auto specks, scratches and a date stamp are
searched, and filled as OUT.mask.png shows; edit it, and pass it back with --mask, where it is
wrong.
Beside OUT a record OUT.json says what was done.
With --samples K the other samples (OUT-2 ...), their mean (OUT-mean), a map in grey levels
(OUT-uncertainty) and all of them side by side (OUT-overview) are written too. The map shows the
half width of 90 % intervals around the mean where that was calibrated, else where samples differ.
--operator executes the python file: run none that you do not trust. Its measurement is a picture,
or an array (.npy, .pt, .safetensors) of one measurement with the image axis first, in its own
units. The settings start from those of sr4. The last group lists the settings of the chosen solver;
their defaults fit the task and the model.
The solver auto is the one measured to be the best for task, noise and --effort (low, normal or
high), HRDIS where none was measured. The line before the run and OUT.json say which, and why.
"""


def main(argv: Sequence[str]) -> int:
    given = list(argv)
    names = given_as_auto({name: peek(argv, f"--{name}", "") for name in PROVISIONAL})
    looked_up = _found(argv, names) if names else FoundOptions()
    for name, value in looked_up.values().items():
        argv = _with_value(argv, f"--{name}", str(value))
    with checking():
        choice = _choice(argv, _task_asked_for(argv))
    args: Any = parse(FileOptions, argv, "restore", HELP, settings=choice.settings)
    args = replace(args, solver=choice.settings.name, **looked_up.values())
    with checking():
        _check_used(given, args)
    with checking(), waiting("reading the picture and loading the model"):
        job = prepare(args, args.settings, choice=choice, found=looked_up)
        job.check_redraw()
    say(
        f"{args.task or args.operator} with {args.solver} (settings {choice.row or 'of its own'}), "
        f"{job.calls} network calls a sample"
    )
    if choice.effort:
        say(for_command(choice.why))
    if job.precision_reason:
        say(job.precision_reason)
    try:
        with bar(job.steps, "steps") as shown:
            job.prior.on_tiles = shown.tiles
            found = job.run(lambda _: shown.advance())
    except Exception as error:
        if not args.operator:
            raise
        return fail("restore", plugin.explain(args.operator, error), 1)
    if not found.kept:
        say(
            "hrdis restore: the result became invalid (NaN or infinite) and was not saved. Run "
            "without changed settings."
        )
        return 1
    files = found.save(args.output, overwrite=args.overwrite)[:-1]
    reason = found.record["interval_reason"]
    if reason:
        say(for_command(reason))
    say(f"{found.seconds:.1f} s. Wrote {', '.join(map(str, files))}")
    return 0 if found.finite else 1


def _found(argv: Sequence[str], names: Sequence[str]) -> FoundOptions:
    """Return what stands in the place of ``auto``, and say what it is.

    Raises:
        BadInput: if that is not found, or the task does not take it.
    """
    known = list(argv)
    for name in names:
        known = _with_value(known, f"--{name}", str(PROVISIONAL[name]))
    with checking():
        task = _task_asked_for(known)
        choice = _choice(known, task)
    # Whatever else is wrong with the options is said before the picture is looked at.
    args: Any = parse(FileOptions, known, "restore", HELP, settings=choice.settings)
    with checking():
        _check_used(argv, args)
    with checking(), waiting("looking at the picture"):
        check_files(
            args.output, args.samples, [args.image], overwrite=args.overwrite, mask="mask" in names
        )
        found = find_options(args.image, names, args.task, task, args.hole, args.noise)
    for sentence in found.sentences():
        say(sentence)
    return found


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


def _with_value(argv: Sequence[str], option: str, value: str) -> list[str]:
    """Return the options with another value of one of them, which is added if it is not there."""
    words, there = list(argv), False
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            words[i + 1], there = value, True
        elif word.startswith(f"{option}="):
            words[i], there = f"{option}={value}", True
    return words if there else [*words, option, value]


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
