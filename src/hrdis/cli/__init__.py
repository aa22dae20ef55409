"""The command line: ``hrdis COMMAND``, each with ``--help``. Commands are imported when they are
run.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any

#: The commands in groups, what people do first at the top.
GROUPS: dict[str, dict[str, str]] = {
    "repair pictures": {
        "fix": "find what is wrong with pictures and repair it, or leave them as they are",
        "restore": "repair a picture in a way you name: fill holes, enlarge, sharpen, remove noise",
        "serve": "a web page that does the same: paint over the damage, compare, download",
        "demo": "restore three photographs of the package, before, after and truth side by side",
    },
    "look up": {
        "list": "list the tasks, the solvers or the models",
        "cite": "print BibTeX: hrdis and the papers of the solvers you used",
    },
    "models": {
        "model": "download, add or show a model",
        "train": "train a model on a folder of your own pictures",
        "tune": "search the settings of solvers that suit a model of your own",
    },
    "measure and check": {
        "degrade": "damage a good picture, to try the others on",
        "check": "check an operator or a model of your own",
        "replay": "run a restoration again from its record, and compare every pixel",
        "bench": "rerun the paper's tables and figures, or your own plan",
    },
}
COMMANDS = {name: says for group in GROUPS.values() for name, says in group.items()}
#: What the exit statuses mean, for all commands ("") and where a command's own are told apart.
STATUS: dict[int, dict[str, str]] = {
    0: {
        "": "done",
        "check": "all checks passed",
        "replay": "every picture is equal",
        "serve": "ended with Ctrl-C",
    },
    1: {
        "": "the run failed: a full disk, a result that became NaN, a download that broke",
        "check": "a check failed",
        "replay": "a picture differs, or could not be made again",
        "fix": "a file of several failed, or the run did; the others are done",
    },
    2: {
        "": "the input is wrong: an unknown option or name, a file that is missing or does not "
        "fit; nothing was done",
    },
    129: {"": "ended because its terminal was closed (SIGHUP)"},
    130: {"": "stopped with Ctrl-C"},
    143: {"": "ended by SIGTERM", "train": "ended by SIGTERM; the present step is saved"},
}
#: Modules that are not called like their command.
MODULES = {"list": "listing"}

OVERVIEW = """\
usage: hrdis COMMAND [options]

Repair photographs, and reconstruct images from incomplete or noisy data, with a diffusion model.
{commands}

examples:
  hrdis demo
  hrdis fix photo.jpg
  hrdis restore small.jpg --task upscale --scale 4 -o large.png
  hrdis restore scratched.png --task inpaint --mask scratches.png -o whole.png --samples 4

`hrdis COMMAND --help` shows the options of a command; `hrdis --version` the version.
"""


def overview() -> str:
    """Return the help of the whole program, its commands in groups."""
    width = max(map(len, COMMANDS))
    lines = []
    for title, group in GROUPS.items():
        lines += ["", f"{title}:"]
        for name, says in group.items():
            lines.append(f"  {name:<{width}}  {says}")
    return OVERVIEW.format(commands="\n".join(lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status, a key of `STATUS`."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if args else 2
    if args[0] == "--version":
        from hrdis import __version__

        print(f"hrdis {__version__}")
        return 0
    from .memory import keep_freed_memory
    from .streams import tolerant_stderr

    if argv is None:  # a process of its own, not a call from Python
        keep_freed_memory()
    # The name of a file may be no text of this system; a result is printed all the same.
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    # Work does not end because nobody reads its progress any more.
    with warnings.catch_warnings(), tolerant_stderr():
        return _run(args)


def _run(args: list[str]) -> int:
    """Run a command, and say in one line what is no fault of the program."""
    from hrdis.ending import raise_if_asked
    from hrdis.messages import for_command, without_python

    from .parsing import BadInput, choose, fail
    from .renamed import command_today, options_today
    from .signals import Terminated, ended_by_signals

    args = command_today(args)
    for kind in (UserWarning, RuntimeWarning):
        # what is said of a person's own files is for that person to see
        warnings.simplefilter("default", kind)
    own = args[:2] == ["check", "operator"] or "--operator" in args  # Python is what they write
    told = for_command if own else lambda message: without_python(for_command(message))
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        """Print a warning once. A file that is read twice is warned of at two places."""
        line = f"hrdis {args[0]}: {told(message)}"
        if line not in said:
            said.add(line)
            print(line, file=sys.stderr)

    warnings.showwarning = show
    try:
        with ended_by_signals():
            command = choose("command", args[0], COMMANDS)
            module = import_module(f".{MODULES.get(command, command)}", __name__)
            status = int(module.main(options_today(command, args[1:])))
            if status:  # a failure that a signal caused; what was done all the same is done
                raise_if_asked()
            return status
    except BadInput as error:
        return fail(args[0], told(error), 2)
    except BrokenPipeError:  # `hrdis list solvers | head -1`: nobody is reading any more
        sys.stdout = None
        return 0
    except OSError as error:  # a full disk, a folder that vanished: files are whole or absent
        text = f"{for_command(error)}. What was finished is whole; nothing was left half written."
        return fail(args[0], text, 1)
    except (MemoryError, RuntimeError) as error:
        what = _trouble_of_the_machine(error)
        if not what:
            raise
        return fail(args[0], what, 1)
    except Terminated as error:
        return fail(
            args[0], "ended by a signal; nothing was left half written.", 128 + error.number
        )
    except KeyboardInterrupt:
        return fail(args[0], "interrupted; nothing was left half written.", 130)


def _trouble_of_the_machine(error: Exception) -> str:
    """Return one line about memory or a GPU that failed; "" for an error of the program."""
    kind, said = type(error).__name__, str(error).split("\n")[0][:200]
    said = said.replace("DefaultCPUAllocator: ", "")  # torch's name for the memory of the CPU
    if (
        "OutOfMemory" in kind
        or isinstance(error, MemoryError)
        or "DefaultCPUAllocator" in str(error)
    ):
        return (
            "there is not enough memory. Fewer samples, a smaller picture or smaller tiles take "
            "less: --tile 256"
        )
    if "Accelerator" in kind or "CUDA error" in said:
        return f"the GPU failed. Run the command again, or use --device cpu. It says: {said}"
    return ""
