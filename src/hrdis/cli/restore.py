"""``hrdis restore``: a picture that is already damaged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hrdis import images
from hrdis.checkpoints import load_prior, presets_of
from hrdis.diagnosis import NoiseLevel
from hrdis.fixing import diagnose, opened
from hrdis.messages import for_command
from hrdis.noise import read_level
from hrdis.repairs import NAMES, is_word, resolve
from hrdis.restoration import FileOptions, plugin, prepare
from hrdis.restoration.choosing import chosen
from hrdis.tasks import TASKS, Task

from .parsing import checking, fail, parse, peek
from .progress import bar, say, waiting

HELP = """\
Restore a damaged picture: fill holes, enlarge, sharpen, remove noise.

Examples:
  hrdis restore small.jpg --task upscale --scale 4 -o large.png
  hrdis restore torn.png --task inpaint --mask holes.png -o whole.png --samples 4
  hrdis restore noisy.png --task denoise --noise 25 -o clean.png
  hrdis restore blurred.png --task deblur --kernel gaussian:3 --noise 0.01 -o sharp.png
  hrdis restore shaken.png --task deblur --kernel shaken-kernel.npy -o sharp.png
  hrdis restore blocky.jpg --task dejpeg --quality 10 -o smooth.png
  hrdis restore grey.jpg --task colorize --model MODEL -o coloured.png   (see hrdis list models)
  hrdis restore dark.jpg --task brighten -o bright.png   (OUT.json: the exposure found)
  hrdis restore blurred.png --task deblur-nonlinear --weights GOPRO_wVAE.pth \\
      --kernel blurred-kernel.npy -o sharp.png
  hrdis restore cs.npy --task cs25 -o whole.png   (what `hrdis degrade` wrote, with its record)
  hrdis restore y.npy --operator my.py:make -o whole.png   (see `hrdis check operator --help`)

The mask is a picture of the same size: white where a hole is to be filled (see --mask-marks).
--noise is the standard deviation of the noise: a fraction of white (0.1 or 25/255), or grey levels
of 255, which a number from 1 on is taken for (25). With --noise auto it is measured as by `hrdis
fix`. With --mask auto specks and scratches are searched, and filled as OUT.mask.png shows; edit it,
and pass it back with --mask, where it is wrong. Beside OUT a record OUT.json says what was done.
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
    if "auto" in (peek(argv, "--noise", ""), peek(argv, "--mask", "")):
        argv = _measured(argv)
    samples = peek(argv, "--samples", "1")
    with checking():
        task = _task_asked_for(argv)
        # A level below 0 is refused later, in the words of the option.
        noise = max(0.0, read_level(peek(argv, "--noise", "0")))
        tuned = presets_of(peek(argv, "--model", "default"))
        effort, solver = peek(argv, "--effort", "normal"), peek(argv, "--solver", "auto")
        count = int(samples) if samples.isdigit() else 1  # what is no number is refused below
        choice = chosen(task, solver, noise, effort, count, tuned)
    args: Any = parse(FileOptions, argv, "restore", HELP, settings=choice.settings)
    args = replace(args, solver=choice.settings.name)
    with checking(), waiting("reading the picture and loading the model"):
        job = prepare(args, args.settings, choice=choice)
    say(
        f"{args.task or args.operator} with {args.solver} (settings {choice.row or 'of its own'}), "
        f"{job.calls} network calls a sample"
    )
    if choice.effort:
        say(for_command(choice.why))
    if job.precision_reason:
        say(job.precision_reason)
    try:
        with bar(job.steps, "steps") as advance:
            found = job.run(lambda _: advance())
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


def _measured(argv: Sequence[str]) -> list[str]:
    """Return the options with what was found in the picture in place of ``auto``.

    A mask is written beside the output.

    Raises:
        BadInput: if there is none, or a file is in the way.
    """
    noise, mask = peek(argv, "--noise", "0") == "auto", peek(argv, "--mask", "") == "auto"
    known = _with_value(argv, "--noise", "0") if noise else list(argv)
    with checking():
        choice = chosen(_task_asked_for(known), "ddnm", 0.0, "normal", 1, presets_of("default"))
    args: Any = parse(FileOptions, known, "restore", HELP, settings=choice.settings)
    with checking(), waiting("looking at the picture"):
        picture, tables = opened(args.image)
        found = diagnose(picture.without_hidden().x, tables, load_prior("default"))
        if noise:
            known = _with_value(known, "--noise", _level_of(args, found.noise))
        marks = found.scratches
        path = args.output.with_name(f"{args.output.stem}.mask.png")
        if mask and marks.mask is None:
            raise ValueError(
                f"{args.image}: {marks.why} A mask of your own is expected: --mask holes.png"
            )
        if mask and path.exists() and not args.overwrite:
            raise ValueError(
                f"{path} is in the way. Take it as the mask: --mask {path}. Or search again: "
                "--overwrite"
            )
        if mask and marks.mask is not None:
            images.save(path, images.from_unit(marks.mask.float()[None]))
            say(f"scratches: {marks.found}. {marks.why}")
            say(f"Wrote {path}")
            known = _with_value(known, "--mask", str(path))
    return known


def _level_of(args: Any, found: NoiseLevel) -> str:
    """Return the level of the noise as a fraction of white, and say what it is.

    Raises:
        ValueError: if there is none, and the task is to remove it.
    """
    if found.found == "no" and args.task == "denoise":
        raise ValueError(
            f"{args.image} has no noise to remove. {found.why} A level is expected: --noise 5"
        )
    say(f"noise: {found.found}. {found.why}")
    if found.found == "no":
        return "0"
    if found.alike or found.white is False:
        say(
            "A restoration takes noise to be independent in every pixel and colour, and leaves "
            "much of this. It is removed by: hrdis fix --only noise"
        )
    return f"{found.value / 255:.5f}"


def _with_value(argv: Sequence[str], option: str, value: str) -> list[str]:
    """Return the options with another value of one of them."""
    words = list(argv)
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            words[i + 1] = value
        elif word.startswith(f"{option}="):
            words[i] = f"{option}={value}"
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
