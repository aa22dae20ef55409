"""``hrdis restore``: a picture that is already damaged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hrdis.checkpoints import presets_of
from hrdis.restoration import FileOptions, plugin, prepare
from hrdis.restoration.choosing import chosen
from hrdis.tasks import TASKS

from .parsing import checking, choose, fail, number, parse, peek
from .progress import bar, say, waiting

HELP = """\
Restore a damaged picture: fill holes, enlarge, sharpen, colour, remove noise.

Examples:
  hrdis restore small.jpg --task sr4 -o large.png
  hrdis restore torn.png --task inpaint --mask holes.png -o whole.png --samples 4
  hrdis restore noisy.png --task denoise --noise 0.1 -o clean.png --solver reddiff --steps 60
  hrdis restore blurred.png --task deblur-gauss --noise 0.01 -o sharp.png
  hrdis restore shaken.png --task deblur-motion --kernel shaken-kernel.npy -o sharp.png
  hrdis restore blurred.png --task deblur-nonlinear --weights GOPRO_wVAE.pth \\
      --kernel blurred-kernel.npy -o sharp.png
  hrdis restore grey.jpg --task colorize -o coloured.png
  hrdis restore dark.jpg --task lowlight -o bright.png   (OUT.json: the exposure found)
  hrdis restore cs.npy --task cs25 -o whole.png   (what `hrdis degrade` wrote, with its record)

  hrdis restore y.npy --operator my.py:make -o whole.png   (see `hrdis check-operator --help`)

The mask is a picture of the same size: white where a hole is to be filled (see --hole). --noise is
the standard deviation of the noise for pixel values from 0 to 1 (25 of 255 is 0.1). Beside OUT a
record OUT.json says what was done; with --samples K the other samples, their mean, a map of where
they differ, and a contact sheet are written too. --operator executes the python file: run none that
you do not trust. Its measurement is a picture, or an array (.npy, .pt, .safetensors) of one
measurement with the image axis first, in its own units. The settings start from those of sr4. The
last group lists the settings of the chosen solver; their defaults fit the task and the prior.
The solver auto is the one measured to be the best for task, noise and --effort (low, normal or
high), HRDIS where none was measured; the line before the run and OUT.json say which, and why.
"""


def main(argv: Sequence[str]) -> int:
    wanted = not {"-h", "--help"} & set(argv)
    task = peek(argv, "--task", "inpaint")
    task = choose("task", task, TASKS) if wanted or task in TASKS else "inpaint"
    if peek(argv, "--operator", ""):
        task = ""
    solver, samples = peek(argv, "--solver", "auto"), peek(argv, "--samples", "1")
    with checking():
        noise = number(peek(argv, "--noise", "0"), "--noise")
        tuned = presets_of(peek(argv, "--prior", "default"))
        effort = peek(argv, "--effort", "normal")
        count = int(samples) if samples.isdigit() else 1  # what is no number is refused below
        choice = chosen(task, solver, noise, effort, count, tuned)
    args: Any = parse(FileOptions, argv, "restore", HELP, settings=choice.settings)
    args = replace(args, solver=choice.settings.name)
    with checking(), waiting("reading the picture and loading the model"):
        job = prepare(args, args.settings, choice=choice)
    say(
        f"{args.task or args.operator} with {args.solver} (preset {choice.row or 'none'}), "
        f"{job.calls} network calls a sample"
    )
    if choice.effort:
        say(choice.why)
    try:
        with bar(job.steps, "steps") as advance:
            found = job.run(lambda _: advance())
    except Exception as error:
        if not args.operator:
            raise
        return fail("restore", plugin.explain(args.operator, error), 1)
    if not found.finite:
        say(
            "hrdis restore: the restoration became NaN or infinite; nothing was written. The steps "
            "are too large for this picture: lower --lr, or leave the settings to their preset."
        )
        return 1
    files = found.save(args.output)[:-1]
    say(f"{found.seconds:.1f} s. Wrote {', '.join(map(str, files))}")
    return 0
