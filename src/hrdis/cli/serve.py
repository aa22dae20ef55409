"""``hrdis serve``: the web page."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from hrdis.checkpoints import load_prior
from hrdis.devices import Precision, pick_device

from .parsing import BadInput, checking, parse
from .progress import say
from .streams import tolerant_stderr

HELP = """\
Open a web page on which pictures are restored: drop one, paint over the damage, compare, download
it.

Examples:
  hrdis serve                                   (http://127.0.0.1:7860, for this machine only)
  hrdis serve --host 0.0.0.0 --port 8080        (for everybody who can reach this machine)
  hrdis serve --model my-model --device cuda

Nothing leaves the machine, and nothing of a visitor stays on it: files are removed after a day and
when the page ends. Restorations run one after the other. There is no password and no encryption:
open the page to a network (--host) only if everybody on it may use it, or put a proxy with both
before it, and name what the proxy is called (--name).
"""


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Options of ``hrdis serve``."""

    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    """The address to listen at; 127.0.0.1 is this machine alone, 0.0.0.0 everybody who can reach
    it.
    """
    port: int = 7860
    """The port to listen at."""
    name: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    """Names by which the page is reached besides --host and localhost: those of a proxy before it.
    With a name, or on localhost, requests under any other name are refused.
    """
    prior: Annotated[tuple[str, ...], tyro.conf.arg(name="model", metavar="MODEL")] = ()
    """Models to offer, beside the one inside the package and those of `hrdis list models` that are
    here; names as those of `hrdis restore --model`. The first is what the page starts with.
    """
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "fp32"
    """How the network runs; bf16 and fp16 are faster on some machines, and change the last
    digits.
    """
    queue: int = 16
    """Number of restorations that may wait; more are refused with a message."""
    browser: bool = False
    """Open the page in a browser."""


def main(argv: Sequence[str]) -> int:
    args: Any = parse(Serve, argv, "serve", HELP)
    with checking():
        if not 0 < args.port < 65536:
            raise ValueError(
                f"--port is {args.port}. A number from 1 to 65535 is expected: --port 7860"
            )
        if args.queue < 1:
            raise ValueError(f"--queue is {args.queue}. At least 1 is expected: --queue 16")
        pick_device(args.device)
        for name in args.prior or ("default",):  # the first restoration need not wait for it
            load_prior(name)
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError:
        raise BadInput(
            "the page needs gradio, which is not installed: pip install 'hrdis[web]'"
        ) from None
    from hrdis.web.app import serve
    from hrdis.web.jobs import JobRunner

    with checking():
        runner = JobRunner(args.device, args.precision, queue=args.queue)
        page = serve(
            runner,
            args.prior,
            host=args.host,
            port=args.port,
            names=args.name,
            browser=args.browser,
        )
    received: list[int] = []

    def end(number: int, _: object) -> None:
        received.append(number)
        page.end()

    with page, tolerant_stderr(), handled(end):
        say(f"The page is at {page.address}. Ctrl-C ends it.")
        page.wait()
    # Ctrl-C is how a page is ended; the others tell whoever sent them that they worked.
    ended_by = received[0] if received else signal.SIGINT
    return 0 if ended_by == signal.SIGINT else 128 + ended_by


@contextmanager
def handled(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Handle Ctrl-C, a batch system's SIGTERM and a terminal that was closed.

    Without it the files of visitors would stay. A second signal ends the process at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    before = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:  # Windows has no SIGHUP
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
