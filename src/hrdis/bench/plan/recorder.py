"""Recording of a run's steps: the answer so far, and the noisy state that the network sees."""

from types import TracebackType
from typing import Any

from torch import Tensor

from ...priors.base import Prior
from ...solvers.base import Solver, Step


class StepRecorder:
    """Context that keeps ``count`` steps of a run, evenly spread from the first to the last, on the
    CPU.

        with StepRecorder(8, solver, prior) as recorder:
            solve(solver, prior, problem, seeds=[0], on_step=recorder.record)

    Args:
        count: number of steps to keep; with 0 nothing is recorded and nothing slows the run down.
        solver, prior: those of the run.

    Args:
        times: network time of each step that was kept.
        pictures: (name, (b, c, h, w)), two per step: "000-answer" and "000-state".
    """

    def __init__(self, count: int, solver: Solver, prior: Prior):
        self.times: list[int] = []
        self.pictures: list[tuple[str, Tensor]] = []
        self._prior, self._count, self._steps_seen = prior, count, 0
        last = len(solver.times(prior.schedule)) - 2  # the final time is an end, not a step
        self._wanted = {round(k * last / max(count - 1, 1)) for k in range(count)}
        self._state: Tensor | None = None
        self._hook: Any = None

    def __enter__(self) -> "StepRecorder":
        # A hook, not a prior around the prior, which would have to repeat all its attributes.
        if self._count:

            def remember_state(_: object, arguments: tuple[Any, ...]) -> None:
                self._state = arguments[0].detach()

            self._hook = self._prior.register_forward_pre_hook(remember_state)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._hook is not None:
            self._hook.remove()

    def record(self, step: Step) -> None:
        """Keep a step if it is one of those wanted; to be called with every step."""
        if self._steps_seen in self._wanted:
            name = f"{len(self.times):03}"
            self.times.append(step.t)
            self.pictures.append((f"{name}-answer", step.x.cpu()))
            if self._state is not None:
                state = self._state
                if self._prior.latent:  # noisy latents are shown as the picture they stand for
                    state = self._prior.picture(state, tuple(step.x.shape))
                self.pictures.append((f"{name}-state", state.cpu()))
        self._steps_seen += 1
