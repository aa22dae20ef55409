"""The command line: ``hrdis COMMAND``, each with ``--help``. Commands are imported when they are
run.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "demo": "restore a photograph that comes with the package, before / after / truth side by side",
    "restore": "restore a damaged picture: fill holes, enlarge, denoise",
    "fix": "find what is wrong with pictures and mend it, or leave them as they are",
    "serve": "a web page that restores pictures: paint over the damage, compare, take it home",
    "degrade": "damage a good picture, to try the others on",
    "bench": "rerun the paper's tables and figures, or your own plan",
    "train": "make a prior from a folder of your own pictures",
    "tune": "search the settings of solvers that suit a prior of your own",
    "check-operator": "try an operator of your own: is it right, and which solvers can use it?",
    "solvers": "list the solvers: what they need, what they cost, where they come from",
    "tasks": "list the tasks",
    "prior": "list priors, show, add, fetch or check one",
    "replay": "run a restoration again from its record: is it equal, bit for bit?",
    "cite": "print BibTeX: hrdis and the papers of the solvers you used",
}

OVERVIEW = """\
usage: hrdis COMMAND [options]

Recover an image from an incomplete or noisy measurement, with a diffusion model as the prior.

commands:
{commands}

examples:
  hrdis demo
  hrdis fix photo.jpg
  hrdis restore small.jpg --task sr4 -o large.png
  hrdis restore scratched.png --task inpaint --mask scratches.png -o whole.png --samples 4

`hrdis COMMAND --help` shows the options of a command; `hrdis --version` the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 for a failed run, 2 for bad input, 130 for
    Ctrl-C.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        print(
            OVERVIEW.format(commands="\n".join(f"  {n:<{width}}  {s}" for n, s in COMMANDS.items()))
        )
        return 0 if args else 2
    if args[0] == "--version":
        from hrdis import __version__

        print(f"hrdis {__version__}")
        return 0
    from hrdis.messages import for_command, without_python

    from .parsing import BadInput, choose, fail

    with warnings.catch_warnings():
        for kind in (
            UserWarning,
            RuntimeWarning,
        ):  # what is said of a person's own files is for that person to see
            warnings.simplefilter("default", kind)
        own = args[0] == "check-operator" or "--operator" in args  # Python is what they write
        told = for_command if own else lambda message: without_python(for_command(message))
        warnings.showwarning = lambda message, *_: print(
            f"hrdis {args[0]}: {told(message)}", file=sys.stderr
        )
        try:
            command = choose("command", args[0], COMMANDS)
            return int(import_module(f".{command.replace('-', '_')}", __name__).main(args[1:]))
        except BadInput as error:
            return fail(args[0], told(error), 2)
        except BrokenPipeError:  # `hrdis solvers | head -1`: nobody is reading any more
            sys.stdout = None
            return 0
        except (
            OSError
        ) as error:  # a full disk, a folder that vanished: files are whole or absent all the same
            return fail(
                args[0], f"{error}. What was finished is whole; nothing was left half written.", 1
            )
        except KeyboardInterrupt:
            return fail(args[0], "interrupted; nothing was left half written.", 130)
