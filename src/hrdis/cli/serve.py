"""``hrdis serve``: the web page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hrdis.checkpoints import load_prior
from hrdis.devices import Precision, pick_device

from .parsing import BadInput, checking, parse
from .progress import say

HELP = """\
Open a web page on which pictures are restored: drop one, paint over the damage, compare, take it
home.

Examples:
  hrdis serve                                   (http://127.0.0.1:7860, for this machine only)
  hrdis serve --host 0.0.0.0 --port 8080        (for everybody who can reach this machine)
  hrdis serve --prior my-prior --device cuda

Nothing leaves the machine. Restorations run one after the other. There is no password and no
encryption: open the page to a network (--host) only if everybody on it may use it, or put a proxy
with both before it.
"""


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Options of ``hrdis serve``."""

    host: str = "127.0.0.1"
    """The address to listen at; 127.0.0.1 is this machine alone, 0.0.0.0 everybody who can reach
    it.
    """
    port: int = 7860
    """The port to listen at."""
    prior: tuple[str, ...] = ()
    """Models to offer, beside the one inside the package and those of `hrdis prior list` that are
    here; names as those of `hrdis restore --prior`. The first is what the page starts with.
    """
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "fp32"
    """Precision of the network; bf16 and fp16 are faster on some machines, and change the last
    digits.
    """
    queue: int = 16
    """How many restorations may wait; more are refused with a message."""
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
    from hrdis.web.serve import serve
    from hrdis.web.work import Workshop

    with checking():
        workshop = Workshop(args.device, args.precision)
        page = serve(
            workshop,
            args.prior,
            host=args.host,
            port=args.port,
            queue=args.queue,
            browser=args.browser,
        )
    try:
        say(f"The page is at {page.address}. Ctrl-C ends it.")
        page.wait()
    except KeyboardInterrupt:
        page.close()
    return 0
