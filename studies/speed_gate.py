"""Compare the time of every solver in two commits, in one run; exit with 1 where one became slower.

    make speed BASE=HEAD~1
    python studies/speed_gate.py --base v0.2.0 --solvers hrdis ddrm --side 128

A process for each commit runs the same solver on the same problem, in turns, so that a machine that
slows down slows both. Compared is processor time: of the whole run, and of all but the network's
passes. The files of the present commit are those of the working tree.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from common.clock import parts_of, problem_for, settings
from common.pages import ROOT, table

import hrdis

WORKER = "--as-worker"


def work() -> None:
    """Answer requests [solver, side, calls] on stdin with [whole, own] processor seconds."""
    torch.set_num_threads(1)
    prior: Any = hrdis.load_prior("default")
    for line in sys.stdin:
        name, side, calls = json.loads(line)
        if name not in hrdis.SOLVERS:
            print("null", flush=True)
            continue
        parts = parts_of(settings(name, calls), prior, problem_for(name, side, 1))
        own = parts.operator + parts.noise + parts.solver
        print(json.dumps([parts.network + own, own]), flush=True)


class Commit:
    """A process that runs the package of a source tree.

    Args:
        tree: its root.
    """

    def __init__(self, tree: Path):
        environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def seconds(self, name: str, side: int, calls: int) -> tuple[float, float] | None:
        """Return the processor seconds of a run, whole and own; None if it has no such solver."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, side, calls]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return None if answer is None else (answer[0], answer[1])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def compare(
    old: Commit, new: Commit, name: str, side: int, calls: int, rounds: int
) -> tuple[float, float] | None:
    """Return new over old, of the whole run and of the solver's own part: the least of each, which
    a busy neighbour disturbs less than the median.
    """
    best: dict[Commit, list[float]] = {}
    for k in range(rounds + 1):
        for commit in (old, new) if k % 2 else (new, old):
            found = commit.seconds(name, side, calls)
            if found is None:
                return None
            if k:  # the first is a rehearsal
                whole, own = best.get(commit, found)
                best[commit] = [min(whole, found[0]), min(own, found[1])]
    return best[new][0] / best[old][0], best[new][1] / best[old][1]


def main(
    base: str = "HEAD",
    solvers_to_run: Annotated[tuple[str, ...], tyro.conf.arg(name="solvers")] = tuple(
        hrdis.SOLVERS
    ),
    side: int = 64,
    calls: int = 8,
    rounds: int = 7,
    slower: float = 1.05,
    slower_own: float = 1.25,
) -> int:
    """Compare the working tree with a commit.

    Args:
        base: the commit.
        solvers_to_run: keys of hrdis.SOLVERS.
        side: of the pictures.
        calls: steps of a run.
        rounds: runs of each solver and commit.
        slower: ratio of whole runs that is a failure.
        slower_own: ratio of the solver's own part that is a failure.
    """
    rows, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "-q", str(tree), base], check=True)
        old, new = Commit(tree), Commit(ROOT)
        try:
            for name in solvers_to_run:
                found = compare(old, new, name, side, calls, rounds)
                if found is not None and (found[0] > slower or found[1] > slower_own):
                    # Chance alone makes one of twenty slower now and then: it has to be so again.
                    found = compare(old, new, name, side, calls, 2 * rounds)
                if found is None:
                    continue
                rows.append([name, f"{found[0]:.3f}", f"{found[1]:.3f}"])
                print(*rows[-1], flush=True)
                if found[0] > slower or found[1] > slower_own:
                    failed.append(name)
        finally:
            old.close()
            new.close()
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    print(table(["solver", f"time over that of {base}", "own part"], rows))
    if failed:
        print(f"Slower than {base}: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] == [WORKER]:
        work()
    else:
        sys.exit(tyro.cli(main, description=__doc__))
