"""A GPU's rules, held to on a CPU: nothing mixes devices, and little crosses between them.

The counts are what makes an accelerator fast: every upload and every read stops its queue.
"""

from dataclasses import fields, replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor

import hrdis
from hrdis.linalg import PATIENCE
from hrdis.operators import LinearOperator, Operator
from hrdis.operators.base import STEPS
from hrdis.priors import Prediction
from tests.common.device import Traffic, device, sent
from tests.common.toys import LINEAR, NONLINEAR, normal, pixels

TASKS = ("inpaint-scratches", "sr4", "hdr", "phase")


class Shrinking(hrdis.Prior):
    """The prior of independent N(0, 1) pixels: nearly free."""

    schedule, channels, name = hrdis.Schedule.linear(), None, "shrinking"

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        signal, noise = float(self.schedule.signal(t)), float(self.schedule.noise(t))
        x0_hat = x_t * signal / (signal**2 + noise**2)
        return Prediction(x0_hat, (x_t - signal * x0_hat) / noise)


def on_device(A: Operator) -> Operator:
    """The operator with its buffers sent to the device."""
    if list(A.buffers()):
        A._apply(sent)
    return A


# ---- solvers ------------------------------------------------------------------------------------


@lru_cache
def measured(task: str) -> hrdis.Problem:
    x = normal(2, 3, 32, 32, dtype=torch.float32).clamp(-1, 1)
    return hrdis.measure(hrdis.TASKS[task].build(32, 32, 0, 0), x, seeds=[0, 1])


def small(name: str, steps: int) -> hrdis.Solver:
    solver = hrdis.SOLVERS[name][0]()
    changes = {"steps": steps, "langevin_steps": 2, "ode_steps": 1}
    return replace(solver, **{f.name: changes[f.name] for f in fields(solver) if f.name in changes})


@lru_cache
def run_there(name: str, steps: int, task: str) -> tuple[hrdis.Result, Traffic]:
    """A run on the device with a fresh operator, and what crossed during it."""
    solver, problem = small(name, steps), measured(task)
    with device() as traffic:
        A = on_device(hrdis.TASKS[task].build(32, 32, 0, 0))
        there = hrdis.Problem(sent(problem.y), A, problem.sigma_y)
        # Making a problem looks at y, once.
        traffic.uploads.clear()
        traffic.reads.clear()
        result = hrdis.solve(solver, Shrinking(), there, seeds=[0, 1])
    return result, traffic


PAIRS = []
for solver_name in hrdis.SOLVERS:
    for task_name in TASKS:
        needed = small(solver_name, 4).needs()
        if isinstance(measured(task_name).A, needed):
            PAIRS.append((solver_name, task_name))


def looks(solver: hrdis.Solver, task: str, calls: int) -> int:
    """Reads that a run may make: one at its end, and what iterating to convergence costs."""
    if isinstance(solver, hrdis.OverRelaxed) and task in ("hdr", "phase"):
        # Gauss-Newton: whether the first move falls, and whether 20 products were needed.
        return 1 + calls * solver.newton_steps * (1 + 20 // PATIENCE)
    if task == "inpaint-scratches":  # the biharmonic start is found on the CPU: mask and y, twice
        return 5
    return 1


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_solver_on_a_device_crosses_as_little_in_five_steps_as_in_three(name, task):
    _, short = run_there(name, 3, task)
    result, long = run_there(name, 5, task)
    assert len(long.uploads) <= len(short.uploads), long.uploads
    assert len(long.reads) <= looks(small(name, 5), task, result.nfe), long.reads


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_solver_on_a_device_gives_what_it_gives_on_the_cpu(name, task):
    there, _ = run_there(name, 3, task)
    here = hrdis.solve(small(name, 3), Shrinking(), measured(task), seeds=[0, 1])
    # The same operations on the same numbers; only where memory lies may differ.
    torch.testing.assert_close(there.x.held, here.x, rtol=1e-5, atol=1e-5)


# ---- operators ----------------------------------------------------------------------------------

OPERATORS: dict[str, tuple[int, int, int, int]] = {}
for row_name, row in LINEAR.items():
    OPERATORS[row_name] = row.fit(2, 3, 12, 12)
for row_name in NONLINEAR:
    OPERATORS[row_name] = (2, 3, 16, 16)


def made(name: str) -> Operator:
    return (LINEAR | NONLINEAR)[name](*OPERATORS[name])


def reads_of(name: str, method: str) -> int:
    """Reads that a method may make: none, but for those that must look at numbers."""
    own = {("low light", "pinv"): 1, ("low light", "smooth"): 1}
    if name.startswith("inpaint") and method == "smooth":
        # The biharmonic fill of two images: the mask of each, and y by channels of one mask.
        return 8 if "channel" in name else 4
    if name in LINEAR and LINEAR[name].iterative and method != "forward":
        return STEPS // PATIENCE
    return own.get((name, method), 0)


@pytest.mark.parametrize(
    "name",
    [
        # its system matrix is solved by many steps, each of them watched
        pytest.param(name, marks=pytest.mark.slow) if name.startswith("ct") else name
        for name in OPERATORS
    ],
)
def test_operator_on_a_device_sends_its_constants_once(name):
    A, there = made(name), made(name)
    x = 0.3 * normal(*OPERATORS[name], dtype=torch.float32)
    y = A(x)
    methods = ["forward", "pinv", "smooth"]
    if isinstance(A, LinearOperator):
        methods.append("adjoint")
    with device() as traffic:
        on_device(there)
        x_there, y_there = sent(x), sent(y)
        for method in methods:
            given = (x, x_there) if method == "forward" else (y, y_there)
            for again in (False, True):
                traffic.uploads.clear()
                traffic.reads.clear()
                found = getattr(there, method)(given[1])
                biharmonic = name.startswith("inpaint") and method == "smooth"
                if again and not biharmonic:
                    assert not traffic.uploads, method
                assert len(traffic.reads) <= reads_of(name, method), (method, traffic.reads)
            expected = getattr(A, method)(given[0])
            torch.testing.assert_close(found.held, expected, rtol=1e-5, atol=1e-5)


def test_a_device_that_mixes_is_noticed():
    with device(), pytest.raises(RuntimeError, match="same device"):
        sent(pixels(4, 4)) + pixels(4, 4)
