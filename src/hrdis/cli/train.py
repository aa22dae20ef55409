"""``hrdis train``: a model from a folder of pictures."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import tyro
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from hrdis.messages import for_command, shell_word
from hrdis.training.settings import preset
from hrdis.training.train import Progress as Report
from hrdis.training.train import train

from .parsing import BadInput, choose, fail, parse, peek
from .progress import Signs, say
from .streams import tolerant_stderr

HELP = """\
Train a model on a folder of pictures (and generated ones), or go on with a training that was
stopped.

Examples:
  hrdis train photos/ -o my-model --hours 5            (five hours on a CPU)
  hrdis train photos/ -o my-model --max-minutes 55     (in pieces: the same command goes on)
  hrdis train photos/ -o final --resume my-model --hours 1 --decay 1
                                                       (lower the learning rate to the end)
  hrdis train faces/ -o faces-model --start-from default --hours 1
                                                       (from the weights of another model)
  hrdis restore small.png --task upscale --model my-model -o large.png

OUT receives the model, a model card, the log, curves and sample sheets as it learns. Ctrl-C and
even a kill lose at most the minutes since the last checkpoint; SIGTERM loses nothing. A network
that cannot learn is not trained: its gradients are checked before the first step, and after 50
steps every parameter must have moved.
"""


@dataclass(frozen=True, kw_only=True)
class Train:
    """Options of ``hrdis train``."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PHOTOS")]
    """The folder of pictures to learn from, with its sub-folders."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """The folder for the model."""


def main(argv: Sequence[str]) -> int:
    device = choose("device", peek(argv, "--device", "auto"), ("auto", "cpu", "cuda"))
    args: Any = parse(Train, argv, "train", HELP, settings=preset(device))  # type: ignore[arg-type]
    # Hours of work do not end because nobody reads the progress any more.
    with tolerant_stderr():
        return run(args)


def run(args: Any) -> int:
    """Train with the options of the command and show the progress; return the exit status."""
    columns = (
        BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}"),
    )  # fmt: skip
    stop = Event()
    with (
        Signs(*columns, transient=False) as progress,
        ended_by(stop),
    ):
        task = progress.add_task("", total=1.0, figures="starting")

        def report(r: Report) -> None:
            left = f"{r.seconds_left / 60:.0f} min"
            if r.seconds_left > 5400:
                left = f"{r.seconds_left / 3600:.1f} h"
            progress.update(
                task, completed=r.share,
                figures=(
                    f"{left} left  step {r.step}  loss {r.loss:.4f}  "
                    f"{r.pixels_per_second / 1e6:.3f} megapixels/s"
                ),
            )  # fmt: skip
            if r.psnr:
                figures = ", ".join(
                    f"{value:.2f} dB at noise {level}" for level, value in r.psnr.items()
                )
                say(f"step {r.step}: held-out denoising {figures}")

        try:
            out = train(args.folder, args.output, args.settings, report, stop)
        except (ValueError, TypeError) as error:
            raise BadInput(for_command(error).split("\n")[0]) from error
        # It diverged, or does not learn: the fault of the run, not of the options.
        except RuntimeError as error:
            return fail("train", str(error).split("\n")[0], 1)
    if stop.is_set():
        say(f"Ended by SIGTERM; everything is saved in {out}. The same command goes on.")
        return 128 + signal.SIGTERM
    model = shell_word(out)
    say(f"Wrote {out}. Use it: hrdis restore small.png --task upscale --model {model} -o large.png")
    return 0


@contextmanager
def ended_by(stop: Event) -> Iterator[None]:
    """Set ``stop`` on SIGTERM, which batch systems send before they kill."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
