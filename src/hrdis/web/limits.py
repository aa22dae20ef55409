"""Limits of one restoration on the page, so that one request does not keep the machine from all
others.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..restoration import Job

SAMPLES = 8  # the most the page's slider offers


@dataclass(frozen=True)
class Limits:
    """The most a restoration may take.

    Args:
        work: pixels x network calls x samples; a step without the network counts as a twentieth of
            a call. The default is 64 megapixels, 100 calls and 8 samples, twice over.
        memory: pixels x particles, which are all held at once.
        seconds: from the first step on.
    """

    work: float = 1e11
    memory: float = 256e6
    seconds: float = 4 * 3600.0

    def check_samples(self, samples: int) -> None:
        """Raise unless so many restorations can be asked for.

        Raises:
            ValueError: if not.
        """
        if not 1 <= samples <= SAMPLES:
            raise ValueError(
                f"{samples} restorations were asked for. From 1 to {SAMPLES} are expected."
            )

    def check_picture(self, height: int, width: int, calls: int) -> None:
        """Raise if so many network calls on a picture are more than is allowed.

        Raises:
            ValueError: if they are.
        """
        if height * width > self.memory or height * width * calls > self.work:
            raise ValueError(
                f"A picture of {width} x {height} pixels is too large for this page. Take a "
                "smaller picture."
            )

    def check(self, job: "Job") -> None:
        """Raise if a restoration takes more than is allowed.

        Raises:
            ValueError: with what it would take, and how to take less.
        """
        h, w = job.problem.image_shape[-2:]
        particles, samples = _setting(job, "particles", 1), job.options.samples
        # Steps between two calls apply the operator alone, which is much cheaper than the network.
        inner = _setting(job, "langevin_steps", 0) + _setting(job, "cg_steps", 0)
        calls = job.calls / len(job.pixels) + inner * len(job.times) / 20
        calls *= (1 + job.solver.passes()) * particles
        asked = f"A restoration of {w} x {h} pixels"
        if samples > 1:
            asked = f"{samples} restorations of {w} x {h} pixels"
        if h * w * particles > self.memory:
            raise ValueError(
                f"{asked} with {particles} particles each takes too much memory for this page. "
                "Take fewer particles, or a smaller picture."
            )
        work = sum(job.pixels) * samples * calls
        if work > self.work:
            raise ValueError(
                f"{asked} in {job.calls} network calls each is {work / self.work:.1f} times what "
                "this page may take. Take fewer steps, fewer restorations, or a smaller picture."
            )

    def check_time(self, seconds: float, left: float) -> None:
        """Raise if a run has lasted as long as is allowed.

        Raises:
            ValueError: with how long it would have gone on.
        """
        if seconds > self.seconds:
            raise ValueError(
                f"The restoration was ended after {_time(self.seconds)}, the most that this page "
                f"allows; it would have gone on for {_time(left)}. Take fewer steps, fewer "
                "restorations, or a smaller picture."
            )


def _setting(job: "Job", name: str, otherwise: int) -> int:
    """Return a setting of the solver, and ``otherwise`` if it has none of that name."""
    value: Any = getattr(job.solver, name, otherwise)
    return int(value)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
