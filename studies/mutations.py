"""Change the code as a tool chooses, not as its authors do: does a test notice?

    pip install cosmic-ray
    python studies/mutations.py --each 6    # changes in every file of the heart
    python studies/mutations.py --again     # those that no test noticed, once more
    python studies/mutations.py --each 1 --seed 1  # others, once tests were written for these
    python studies/mutations.py --tests 50  # tests drawn from the suite, each to be made to fail

cosmic-ray makes the changes: another operator (a * b becomes a + b), another comparison, a number
one larger or smaller, True for False, a loop that does not run. One is drawn for each drawn place.
All are inside functions; defaults, decorators and constants of modules are not reached.

First the tests run once in a fork of this process, which notes the functions that each of them
calls. Then every change is put into the functions of another fork, which runs the tests that call
them until one fails: those of the file's own name first, then the quick ones, for at most `BUDGET`
seconds of the processor. With ``--tests`` it is the other way round: a test is drawn, and changes
of the functions that it calls are tried until it fails. Tests that call no function of the package
in their own process (those that read files, or start commands) are drawn again.

Changes without effect on any result (a size of memory, a guard that a second one follows) cannot
be noticed. They are told apart by hand in docs/data/mutations.toml, each with its reason, and
``--again`` leaves them as they are. A change whose line is there no more counts as deleted.
"""

import functools
import gc
import json
import os
import signal
import sys
import tempfile
import threading
import time
import tomllib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import parso  # noqa: F401  # before cosmic_ray, whose own import of it is circular
import pytest
import torch
import tyro
from common import rows
from common.pages import DOCS, ROOT, rewrite, table
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.plugins import get_operator, operator_names

from hrdis.rng import stream

PAGE, DATA = DOCS / "measurements" / "reliability.md", DOCS / "data" / "mutations.csv"
BROKEN, WHY = DOCS / "data" / "broken-tests.csv", DOCS / "data" / "mutations.toml"
SOURCE = ROOT / "src" / "hrdis"
#: The rooms of the heart, and its files beside them.
ROOMS = ("operators", "priors", "solvers")
FILES = ("schedule.py", "driver.py", "linalg.py", "noise.py", "problem.py", "rng.py")
#: The tests that may notice a change in the heart. The others start commands or a page.
TESTS = (
    "operators", "priors", "solvers", "common", "check", "test_driver.py", "test_schedule.py",
    "test_linalg.py", "test_noise.py", "test_rng.py", "test_golden.py", "test_tasks.py",
    "test_presets.py", "test_restarts.py", "test_interop.py", "test_run.py", "test_arguments.py",
    "checkpoints",
)  # fmt: skip
BUDGET = 90  #: seconds of the processor for one change
PLUGINS = ("cacheprovider", "unraisableexception", "threadexception")  # of pytest, not needed
TRIES = 40  #: changes for one drawn test

Key = tuple[str, str]  #: a function: its file below src/hrdis, and its qualified name


@dataclass(frozen=True)
class Change:
    """One change of one place, and what became of it."""

    file: str
    line: int
    operator: str
    before: str
    """The line as it stands."""
    after: str
    function: str
    first: str = ""
    """What became of it when it was drawn: killed or survived."""
    outcome: str = ""
    """What became of it since: killed, survived, or deleted with its line."""
    test: str = ""
    """The first test that failed."""
    tests: int = 0
    """How many call the function; of a drawn test, how many changes were tried."""
    seed: int = 0
    """Of the draw."""


# ---- changes ------------------------------------------------------------------------------------


def functions_of(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the functions and methods of a module's code, not those inside of them."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if constant.co_flags & 1:  # CO_OPTIMIZED: a function; the body of a class is none
                yield constant
            else:
                yield from functions_of(constant)


def same(one: types.CodeType, other: types.CodeType) -> bool:
    """Whether two functions do the same, whatever their lines."""
    for name in ("co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars"):
        if getattr(one, name) != getattr(other, name):
            return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    for a, b in zip(one.co_consts, other.co_consts, strict=True):
        if isinstance(a, types.CodeType) and isinstance(b, types.CodeType):
            if not same(a, b):
                return False
        elif (type(a), repr(a)) != (type(b), repr(b)):
            return False
    return True


@functools.cache
def places(file: str) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """Return the changes that cosmic-ray knows, by their place: its operator and its number."""
    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    tree = get_ast((SOURCE / file).read_text())
    for name in operator_names():
        if name.endswith(("VariableReplacer", "VariableInserter", "RemoveDecorator")):
            continue
        operator, number = get_operator(name)(), 0
        for node in ast_nodes(tree):
            for start, _ in operator.mutation_positions(node):
                found.setdefault(start, []).append((name, number))
                number += 1
    return found


def made(file: str, operator: str, number: int) -> tuple[Change, types.CodeType] | None:
    """Make a change; return it with the changed function, or None where it is in none."""
    path = SOURCE / file
    source = path.read_text()
    text = MutationVisitor.mutate_code(source, get_operator(operator)(), number)
    try:
        codes = [compile(one, str(path), "exec", dont_inherit=True) for one in (source, text)]
    except (SyntaxError, ValueError):
        return None
    for sound, changed in zip(*map(functions_of, codes), strict=False):
        if sound.co_qualname == changed.co_qualname and not same(sound, changed):
            lines = zip(source.splitlines(), text.splitlines(), strict=False)
            at, before, after = next((k, a, b) for k, (a, b) in enumerate(lines, 1) if a != b)
            about = Change(
                file, at, operator.removeprefix("core/"), before.strip(), after.strip(),
                sound.co_qualname,
            )  # fmt: skip
            return about, changed
    return None


def drawn(file: str, count: int, seed: int) -> Iterator[tuple[Change, types.CodeType]]:
    """Yield changes of a file, at most one for each place."""
    draw, found = stream(seed, "mutations", file), places(file)
    left = count
    for place in draw.permutation(len(found)):
        if left == 0:
            return
        choices = found[sorted(found)[place]]
        change = made(file, *choices[int(draw.integers(len(choices)))])
        if change is not None:
            left -= 1
            yield replace(change[0], seed=seed), change[1]


# ---- tests --------------------------------------------------------------------------------------


@dataclass
class Calls:
    """Which functions of the package a test calls, and how long it takes."""

    seconds: dict[str, float]
    functions: dict[str, list[Key]]

    def of(self, key: Key) -> list[str]:
        """Return the tests that call a function: those of its file first, then quick ones."""
        stem = Path(key[0]).stem
        found = [name for name, keys in self.functions.items() if key in keys]
        return sorted(found, key=lambda name: (f"test_{stem}.py" not in name, self.seconds[name]))


class Loop:
    """A plugin of pytest that does something else than to run the collected tests."""

    def __init__(self, work: Callable[[list[Any]], None]):
        self.work = work

    def pytest_runtestloop(self, session: Any) -> bool:
        """Do it."""
        self.work(session.items)
        return True


def with_tests(paths: list[str], work: Callable[[list[Any]], None]) -> None:
    """Collect tests, and do something with them."""
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT)]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    without = [word for name in PLUGINS for word in ("-p", f"no:{name}")]
    words = ["-q", "-q", "--no-header", *without, *paths]
    if pytest.main(words, plugins=[Loop(work)]) not in (0, 5):
        raise SystemExit("The tests could not be collected.")


def run(item: Any, after: Any = None) -> bool:
    """Run a test, and keep the fixtures that the one after it shares; return whether it passed."""
    before = item.session.testsfailed
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
    return bool(item.session.testsfailed == before)


def forked(work: Callable[[], Any]) -> Any:
    """Do something in a fork of this process without its output; return its result, or None."""
    with tempfile.NamedTemporaryFile("r") as told:
        child = os.fork()
        if child == 0:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            try:
                Path(told.name).write_text(json.dumps(work()))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        text = told.read()
    return json.loads(text) if text else None


def calls_of(items: list[Any], kept: Path | None = None) -> Calls:
    """Run tests, and note what they call; those that fail are left out.

    Of those that the file ``kept`` tells of, nothing is found out again.
    """
    told = json.loads(kept.read_text()) if kept is not None and kept.exists() else []
    names = {item.nodeid for item in items}
    told = [entry for entry in told if entry[0] in names]
    known = {entry[0] for entry in told}
    new = [item for item in items if item.nodeid not in known]
    told += forked(lambda: told_by(new)) or []
    if kept is not None:
        kept.write_text(json.dumps(told))
    return Calls(
        {name: seconds for name, seconds, _ in told},
        {name: [(file, function) for file, function in keys] for name, _, keys in told},
    )


def told_by(items: list[Any]) -> list[Any]:
    """Run tests; return the name, the seconds and the functions of each that passes."""
    start = f"{SOURCE}{os.sep}"

    told = []
    for item, after in zip(items, [*items[1:], None], strict=True):
        seen: set[types.CodeType] = set()

        def note(frame: Any, event: str, _: Any, seen: Any = seen) -> None:
            seen.add(frame.f_code)

        began = time.process_time()
        threading.settrace(note)
        sys.settrace(note)
        passed = run(item, after)
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        if passed:
            own = {
                (code.co_filename.removeprefix(start), code.co_qualname.split(".<locals>")[0])
                for code in seen
                if code.co_filename.startswith(start)
            }
            told.append([item.nodeid, time.process_time() - began, sorted(own)])
    return told


@functools.cache
def functions() -> dict[Key, list[types.FunctionType]]:
    """Return the functions of the package that are loaded."""
    found: dict[Key, list[types.FunctionType]] = {}
    start = f"{SOURCE}{os.sep}"
    for value in gc.get_objects():
        if isinstance(value, types.FunctionType):
            code = value.__code__
            if code.co_filename.startswith(start):
                key = (code.co_filename.removeprefix(start), code.co_qualname)
                found.setdefault(key, []).append(value)
    return found


def put_in(key: Key, code: types.CodeType) -> None:
    """Let a function do something else, and forget what was computed before."""
    for function in functions()[key]:
        function.__code__ = code
    for value in gc.get_objects():
        cached = isinstance(value, functools._lru_cache_wrapper)
        if cached and str(value.__module__).startswith(("hrdis", "tests")):
            value.cache_clear()


def first_failing(change: Change, code: types.CodeType, items: list[Any]) -> str | None:
    """Return the test that fails, "" if none does, None where the change cannot be put in."""
    key = (change.file, change.function)
    if key not in functions():
        return None

    def work() -> str | None:
        try:
            put_in(key, code)
        except ValueError:  # another number of free variables
            return None
        end = time.process_time() + BUDGET
        for item, after in zip(items, [*items[1:], None], strict=True):
            signal.setitimer(signal.ITIMER_PROF, BUDGET)
            signal.alarm(20 * BUDGET)
            Path(at.name).write_text(item.nodeid)
            if not run(item, after):
                return str(item.nodeid)
            if time.process_time() > end:
                break
        return ""

    with tempfile.NamedTemporaryFile("r") as at:
        found = forked(lambda: [work()])
        return found[0] if found else at.read()  # a process that ended otherwise, or hung


# ---- the study ----------------------------------------------------------------------------------


def heart() -> list[str]:
    """Return the files of the heart."""
    found = [f"{room}/{path.name}" for room in ROOMS for path in (SOURCE / room).glob("*.py")]
    return [*sorted(name for name in found if not name.endswith("__init__.py")), *FILES]


def judged(
    chosen: list[tuple[Change, types.CodeType]], calls: Calls, items: dict[str, Any]
) -> Iterator[Change]:
    """Yield each change with its outcome."""
    for change, code in chosen:
        names = calls.of((change.file, change.function))
        failing = first_failing(change, code, [items[name] for name in names])
        if failing is None:
            continue
        outcome = "killed" if failing else "survived"
        change = replace(
            change, first=change.first or outcome, outcome=outcome, test=failing, tests=len(names)
        )
        print(
            f"{outcome:9}{change.file}:{change.line} {change.before!r} -> {change.after!r} "
            f"{failing or len(names)}",
            flush=True,
        )
        yield change


def again(change: Change) -> tuple[Change, types.CodeType] | None:
    """Make a change of the table once more, if its line still stands."""
    lines = (SOURCE / change.file).read_text().splitlines()
    if change.before not in [line.strip() for line in lines]:
        return None
    for choices in places(change.file).values():
        for operator, number in choices:
            if operator == f"core/{change.operator}":
                found = made(change.file, operator, number)
                if found and (found[0].before, found[0].after) == (change.before, change.after):
                    return replace(found[0], first=change.first, seed=change.seed), found[1]
    raise SystemExit(f"{change.file} has the line {change.before!r}, but it cannot be changed.")


def of_heart(
    files: list[str], each: int, seed: int, write: bool, once_more: bool, kept: Path | None
) -> None:
    """Draw changes of files of the heart, or take those that survived, and judge them."""

    def work(collected: list[Any]) -> None:
        items, calls = {item.nodeid: item for item in collected}, calls_of(collected, kept)
        print(f"{len(calls.seconds)} of {len(items)} tests pass", flush=True)
        for file in files:
            known = rows.read(DATA, Change)
            mine = [change for change in known if change.file == file]
            if once_more:
                chosen, done = [], []
                for change in mine:
                    if change.outcome != "survived" or name_of(change) in explained():
                        done.append(change)
                    elif (found := again(change)) is None:
                        done.append(replace(change, outcome="deleted"))
                    else:
                        chosen.append(found)
            else:
                chosen = list(drawn(file, each, seed))
                done = [change for change in mine if change.seed != seed]
            done += judged(chosen, calls, items)
            if write:
                others = [change for change in known if change.file != file]
                rows.write(DATA, Change, [*others, *done])

    with_tests([f"tests/{name}" for name in TESTS], work)


def of_tests(count: int, seed: int, write: bool) -> None:
    """Draw tests of the whole suite, and change what they call until they fail."""

    def work(found: list[Any]) -> None:
        draw, done = stream(seed, "broken tests"), list[Change]()
        for place in draw.permutation(len(found)):
            if len(done) == count:
                break
            item = found[place]
            keys = [key for names in calls_of([item]).functions.values() for key in names]
            if not keys:
                continue
            done.append(broken(item, keys, seed))
            print(done[-1], flush=True)
            if write:
                rows.write(BROKEN, Change, done)

    with_tests(["tests"], work)


@functools.cache
def reach(file: str) -> dict[str, range]:
    """Return the lines of the functions of a file, by their qualified names."""
    path = SOURCE / file
    found = {}
    for code in functions_of(compile(path.read_text(), str(path), "exec", dont_inherit=True)):
        lines = [line for _, _, line in code.co_lines() if line is not None]
        found[code.co_qualname] = range(min(lines), max(lines) + 1)
    return found


def broken(item: Any, keys: list[Key], seed: int) -> Change:
    """Return the first drawn change that makes a test fail; without an outcome if none did."""
    inside = []
    for file, name in sorted(keys):
        lines = reach(file).get(name, range(0))
        for (line, _), choices in sorted(places(file).items()):
            if line in lines:
                inside += [(file, *choice) for choice in choices]
    draw, tried = stream(seed, "broken", item.nodeid), 0
    for number in draw.permutation(len(inside)):
        found = made(*inside[number])
        if found is None or (found[0].file, found[0].function) not in keys:
            continue
        tried += 1
        if failing := first_failing(*found, [item]):
            return replace(found[0], outcome="killed", test=failing, tests=tried)
        if tried == TRIES:
            break
    return Change("", 0, "", "", "", "", "", "survived", item.nodeid, tried)


def name_of(change: Change) -> str:
    """Return what docs/data/mutations.toml calls a change: its file and the line it makes."""
    return f"{change.file}: {change.after}"


@functools.cache
def explained() -> dict[str, str]:
    """Return why changes have no effect, by their names."""
    if not WHY.exists():
        return {}
    found = tomllib.loads(WHY.read_text())
    return {f"{entry['file']}: {entry['after']}": entry["why"] for entry in found["change"]}


def summary(changes: list[Change]) -> str:
    """Return the table of the changes of the heart, by room."""
    rooms: dict[str, list[Change]] = {room: [] for room in (*ROOMS, "beside them")}
    draws: dict[str, list[Change]] = {}
    for change in sorted(changes, key=lambda change: change.seed):
        rooms[change.file.split("/")[0] if "/" in change.file else "beside them"].append(change)
        draws.setdefault(f"`--seed {change.seed}`", []).append(change)
    heads = (
        "files", "changes", "noticed at first", "noticed now", "line deleted", "without effect",
        "not noticed",
    )  # fmt: skip
    by_room = [[room, *counts(mine)] for room, mine in rooms.items()]
    by_draw = [[name, *counts(mine)] for name, mine in draws.items()]
    by_room.append(["all", *counts(changes)])
    return "\n\n".join([table(("room", *heads), by_room), table(("draw", *heads), by_draw)])


def counts(changes: list[Change]) -> list[int]:
    """Return how many files and changes there are, and what became of these."""
    survived = [change for change in changes if change.outcome == "survived"]
    told = sum(name_of(change) in explained() for change in survived)
    return [
        len({change.file for change in changes}), len(changes),
        sum(change.first == "killed" for change in changes),
        sum(change.outcome == "killed" for change in changes),
        sum(change.outcome == "deleted" for change in changes), told, len(survived) - told,
    ]  # fmt: skip


def summary_of_tests(drawn: list[Change]) -> str:
    """Return the table of the drawn tests: how many changes were tried until each failed."""
    failed = [change.tests for change in drawn if change.outcome == "killed"]
    row = [
        "drawn tests", len(drawn), sum(tries == 1 for tries in failed),
        sum(1 < tries <= 5 for tries in failed), sum(tries > 5 for tries in failed),
        len(drawn) - len(failed),
    ]  # fmt: skip
    heads = (
        "", "number", "failed at the first change", "at the 2nd to 5th",
        f"at the 6th to {TRIES}th", "never failed",
    )  # fmt: skip
    return table(heads, [row])


def main(
    each: int = 0,
    again: bool = False,
    tests: int = 0,
    only: tuple[str, ...] = (),
    seed: int = 0,
    calls: Path | None = None,
    write: bool = True,
) -> None:
    """Change the code and see whether a test notices.

    Args:
        each: draw so many changes of each file of the heart.
        again: take the changes that survived.
        tests: draw so many tests, and look for a change that makes each fail.
        only: files, for instance operators/blur.py.
        seed: of the draws.
        calls: file for which tests call what, so that the next run need not find it out.
        write: keep the results in docs/data, and rewrite the tables of the page.
    """
    torch.set_num_threads(1)
    if each or again:
        of_heart(list(only) or heart(), each, seed, write, again, calls)
    if tests:
        of_tests(tests, seed, write)
    if write and not tests:
        rewrite(PAGE, "changes", summary(rows.read(DATA, Change)))
    if write and tests:
        rewrite(PAGE, "broken", summary_of_tests(rows.read(BROKEN, Change)))


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
