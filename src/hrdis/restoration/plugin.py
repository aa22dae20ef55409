"""Operators from a user's own python file, ``my.py:make``, and the files their measurements are
kept in.
"""

import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from ..files import write_atomically
from ..operators import Function, Operator, from_deepinv
from ..operators.deepinv import is_physics


def load(spec: str, shape: tuple[int, int, int]) -> Operator:
    """Execute ``FILE.py`` of ``FILE.py:NAME`` and return the operator that ``NAME`` is or makes.

    ``NAME`` is an operator, or a function of (h, w) or of nothing that returns one.

    Args:
        spec: ``my.py:make``.
        shape: (c, h, w) of the images; make gets h and w, a plain callable or a deepinv Physics all
            three.

    Raises:
        ValueError: if there is no such file or name, or either raises or gives something else.
    """
    path, name = split(spec)
    module = _execute(path)
    if not hasattr(module, name):
        defined = [
            n
            for n, v in vars(module).items()
            if callable(v) and getattr(v, "__module__", "") == module.__name__
        ]
        near = difflib.get_close_matches(name, defined, n=1, cutoff=0.5)
        raise ValueError(
            f"{path} has no {name!r}. It defines: "
            f"{', '.join(defined) or 'nothing that can be called'}. "
            + (
                f"Did you mean {near[0]!r}?"
                if near
                else f"A function is expected: def {name}(h, w): return A"
            )
        )
    made = getattr(module, name)
    if not (isinstance(made, Operator) or is_physics(made)) or inspect.isclass(made):
        made = _make(made, spec, *shape[1:])
    if isinstance(made, Operator):
        return made
    if is_physics(made):
        with running(spec):
            return from_deepinv(made, shape)
    if callable(made):
        return Function(made, shape=shape)
    raise ValueError(
        f"{spec} returned a {type(made).__name__}. A hrdis Operator or a callable x -> y is "
        "expected: return A"
    )


def task_or_operator(args: Any) -> None:
    """Raise unless exactly one of --task and --operator was given."""
    if bool(args.task) == bool(args.operator):
        given = "both were" if args.task else "neither was"
        raise ValueError(
            f"Either --task or --operator is expected, and {given} given: --task upscale"
        )


def split(spec: str) -> tuple[Path, str]:
    """File and name of ``my.py:make``, the file known to exist."""
    file, _, name = spec.rpartition(":")
    if not file or not name.isidentifier():
        raise ValueError(f"The operator is given as {spec!r}. FILE.py:NAME is expected: my.py:make")
    path = Path(file)
    if not path.is_file() or path.suffix != ".py":
        what = "does not exist" if not path.exists() else "is no python file"
        raise ValueError(
            f"{path} {what}. A python file that defines {name} is expected: my.py:{name}"
        )
    return path, name


def digest(spec: str) -> str | None:
    """SHA-256 of the file of an operator, for the record."""
    return sha256(split(spec)[0].read_bytes()).hexdigest() if spec else None


@contextmanager
def running(spec: str) -> Iterator[None]:
    """Around a user's own code: whatever it raises, but for our own refusals, becomes one
    message.
    """
    try:
        yield
    except (ValueError, TypeError):
        raise
    except Exception as error:
        raise ValueError(explain(spec, error)) from error


def explain(spec: str, error: BaseException) -> str:
    """Return one line that says what a user's code raised, and where."""
    file = spec.rpartition(":")[0]
    lines = [
        f.lineno
        for f in traceback.extract_tb(error.__traceback__)
        if Path(f.filename).name == Path(file).name
    ]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    where = f" (line {lines[-1]})" if lines else ""
    said = (str(error).strip() or "no message").splitlines()[0]
    return (
        f"{spec} raised {type(error).__name__}{where}: {said}. Try it alone: hrdis check operator "
        f"{spec}"
    )


def _execute(path: Path) -> Any:
    name = f"hrdis_operator_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None and found.loader is not None  # the suffix is .py
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses look their module up
    if str(path.parent.absolute()) not in sys.path:
        sys.path.append(str(path.parent.absolute()))  # for what lies beside it, as for a script
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(
            explain(f"{path}:", error).replace(f" Try it alone: hrdis check operator {path}:", "")
        ) from error
    return module


def _make(make: Any, spec: str, h: int, w: int) -> Any:
    wanted: tuple[int, ...] | None = None
    if callable(make):
        for given in ((h, w), ()):
            try:
                inspect.signature(make).bind(*given)
                wanted = given
                break
            except (TypeError, ValueError):
                continue
    if wanted is None:
        name = spec.rpartition(":")[2]
        raise ValueError(
            f"{spec} is a {type(make).__name__} that takes neither (h, w) nor nothing. A function "
            f"that makes the operator is expected: def {name}(h, w): return A"
        )
    try:
        return make(*wanted)
    except (Exception, SystemExit) as error:
        raise ValueError(explain(spec, error)) from error


# ---- measurements -------------------------------------------------------------------------------


def write_array(path: Path, y: Tensor) -> None:
    """Write a measurement as .npy, whole or not at all."""
    import numpy as np

    write_atomically(path, lambda file: np.save(file, y.detach().cpu().numpy()))


def is_picture(y: Tensor) -> bool:
    """Return True if a clean measurement can be a picture: grey or colour, within [-1, 1]."""
    return (
        y.ndim == 4 and y.shape[1] in (1, 3) and min(y.shape) > 0 and float(y.abs().max()) <= 1.001
    )
