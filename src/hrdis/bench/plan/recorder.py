"""Pictures of a run's course: the answer so far, and the noisy state that the network sees."""

from torch import Tensor

from ...priors.base import Prediction, Prior
from ...solvers import Solver, Step


class _Watched(Prior):
    """A prior that remembers what it was last asked about."""

    def __init__(self, prior: Prior):
        super().__init__()
        self.prior = prior
        self.schedule, self.channels, self.name, self.presets = (
            prior.schedule,
            prior.channels,
            prior.name,
            prior.presets,
        )
        self.seen: Tensor | None = None

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        self.seen = x_t.detach()
        return self.prior(x_t, t)


class Film:
    """Keeps ``count`` steps of a run, evenly spread from the first to the last, on the CPU.

    Attributes:
        prior: what the solver is to be run with.
        times: the network time of each frame.
        shots: (name, (b, c, h, w)), two per frame: "000-answer" and "000-state".
    """

    def __init__(self, count: int, solver: Solver, prior: Prior):
        self.prior = _Watched(prior) if count else prior
        steps = len(solver.times(prior.schedule)) - 1
        self.wanted = {round(k * (steps - 1) / max(count - 1, 1)) for k in range(count)}
        self.at = 0
        self.times: list[int] = []
        self.shots: list[tuple[str, Tensor]] = []

    def watch(self, step: Step) -> None:
        """Called with every step."""
        if self.at in self.wanted and isinstance(self.prior, _Watched):
            name = f"{len(self.times):03}"
            self.times.append(step.t)
            self.shots.append((f"{name}-answer", step.x.cpu()))
            if self.prior.seen is not None:
                self.shots.append((f"{name}-state", self.prior.seen.cpu()))
        self.at += 1
