"""The noise schedule: how much of the image is left at time t, and which times a solver visits.

x_t = sqrt(alpha_bar[t]) x_0 + sqrt(1 - alpha_bar[t]) z, z ~ N(0, I), t = 0 ... T - 1, and t = -1 is
the clean image (alpha_bar = 1). Tables are float64 and stay on the CPU, whatever torch's default
device is. A 0-d float64 coefficient times a float32 image is float32, on any device. Nothing here
draws a random number.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Schedule:
    """Variance-preserving discrete schedule.

    Args:
        alpha_bar: the products of (1 - beta) up to each time, shape (T,), strictly falling in (0,
            1).
    """

    def __init__(self, alpha_bar: Tensor | Sequence[float]):
        table = torch.as_tensor(alpha_bar, dtype=torch.float64, device="cpu").detach()
        if table.ndim != 1 or len(table) == 0:
            raise ValueError(
                f"alpha_bar has shape {tuple(table.shape)}. A table of shape (T,) is expected."
            )
        falling = bool((table.diff() < 0).all())
        if not (falling and float(table.min()) > 0 and float(table.max()) < 1):
            raise ValueError(
                "alpha_bar is not a strictly falling table of numbers between 0 and 1. Pass the "
                "cumulative product of 1 - beta: Schedule((1 - betas).cumprod(0))."
            )
        self.alpha_bar = table
        # A last entry of 1, so that index -1 is the clean image. The roots are taken once, not in
        # every step of every run.
        self._with_clean = torch.cat([table, table.new_ones(1)])
        self._signal = self._with_clean.sqrt()
        self._noise = (1 - self._with_clean).sqrt()
        self._sigma = ((1 - self._with_clean) / self._with_clean).sqrt()

    @classmethod
    def linear(cls, length: int = 1000, first: float = 1e-4, last: float = 0.02) -> "Schedule":
        """Return the schedule of DDPM and ADM: beta rises linearly from ``first`` to ``last``."""
        beta = torch.linspace(first, last, length, dtype=torch.float64, device="cpu")
        return cls((1 - beta).cumprod(0))

    @classmethod
    def cosine(cls, length: int = 1000) -> "Schedule":
        """Return the schedule of improved DDPM and of guided-diffusion's 64 x 64 network.

        Nichol and Dhariwal 2021, Eq. 17: beta = min(0.999, 1 - f((t + 1) / T) / f(t / T)) with
        f(u) = cos^2((u + 0.008) / 1.008 pi / 2).
        """
        u = torch.arange(length + 1, dtype=torch.float64, device="cpu") / length
        f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
        return cls((1 - beta).cumprod(0))

    def __repr__(self) -> str:
        return (
            f"Schedule({len(self)} times, sigma {float(self.sigma(0)):.3g} to "
            f"{float(self.sigma(len(self) - 1)):.3g})"
        )

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and torch.equal(self.alpha_bar, other.alpha_bar)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, t: int) -> Tensor:
        """alpha_bar at time t, a 0-d float64 tensor; 1 at t = -1."""
        return self._at(self._with_clean, t)

    def _at(self, table: Tensor, t: int) -> Tensor:
        if not -1 <= t < len(self):
            raise ValueError(
                f"Time {t} is outside the schedule. Times run from 0 to {len(self) - 1}; -1 is "
                "clean."
            )
        return table[t]

    def signal(self, t: int) -> Tensor:
        """Return sqrt(alpha_bar), the share of the clean image in x_t."""
        return self._at(self._signal, t)

    def noise(self, t: int) -> Tensor:
        """Return sqrt(1 - alpha_bar), the standard deviation of the noise in x_t."""
        return self._at(self._noise, t)

    def sigma(self, t: int) -> Tensor:
        """Return sqrt((1 - alpha_bar) / alpha_bar), noise over signal: sigma_t / alpha_t."""
        return self._at(self._sigma, t)

    def nearest(self, sigma: float) -> int:
        """Return the time whose noise over signal is closest to ``sigma``."""
        if not 0 < sigma < math.inf:
            raise ValueError(
                f"sigma is {sigma}. A positive noise level in units of the image is expected."
            )
        table = ((1 - self.alpha_bar) / self.alpha_bar).sqrt()
        return int((table - sigma).abs().argmin())

    # ---- forward noise ------------------------------------------------------------------------

    def diffuse(self, x0: Tensor, t: int, z: Tensor) -> Tensor:
        """Return x_t = sqrt(alpha_bar[t]) x0 + sqrt(1 - alpha_bar[t]) z."""
        return weighted_sum(self.signal(t), x0, self.noise(t), z)

    def denoised(self, x_t: Tensor, t: int, eps: Tensor) -> Tensor:
        """(x_t - sqrt(1 - alpha_bar[t]) eps) / sqrt(alpha_bar[t]): the clean image that eps
        implies.
        """
        return torch.sub(x_t, eps, alpha=float(self.noise(t))).div_(self.signal(t))

    # ---- one step of the reverse process, from time t to an earlier s
    # ------------------------------

    def ddim_share(self, t: int, s: int, eta: float) -> Tensor:
        """Share of fresh noise in a DDIM step, for ``diffuse(x0_hat, s, mix(eps, z, share))``; 0-d
        float64.

        eta sqrt(1 - alpha_bar[t] / alpha_bar[s]) / sqrt(1 - alpha_bar[t]). With eta = 1 that is
        ancestral sampling with the small variance. At s = -1, where nothing is noisy any more, it
        is 0.
        """
        if s < 0:
            return torch.zeros((), dtype=torch.float64, device="cpu")
        return eta * ((1 - self[t] / self[s]) / (1 - self[t])).sqrt()

    def ancestral(self, t: int, s: int, v: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of x0_hat and x_t in the mean of q(x_s | x_t, x0_hat), and a standard deviation;
        0-d float64.

        With beta = 1 - alpha_bar[t] / alpha_bar[s] they are, in this order:

            sqrt(alpha_bar[s]) beta / (1 - alpha_bar[t])
            sqrt(1 - beta) (1 - alpha_bar[s]) / (1 - alpha_bar[t])
            sqrt(beta (1 - alpha_bar[s]) / (1 - alpha_bar[t]))

        A network that learned the variance says with v in [-1, 1], per pixel, where it lies between
        that one (-1) and beta (1) on a logarithmic scale. There std^2 = beta^f small^(1 - f) with f
        = (v + 1) / 2 (Nichol and Dhariwal 2021, Eq. 15). At s = -1 the small one is 0, and so is
        the answer.
        """
        beta, rest = 1 - self[t] / self[s], 1 - self[t]
        left = (1 - self[s]) / rest
        std = (beta * left).sqrt()
        if v is not None:
            f = (v + 1) / 2
            std = beta.sqrt() ** f * std ** (1 - f) if s >= 0 else torch.zeros_like(v)
        return self.signal(s) * beta / rest, (1 - beta).sqrt() * left, std

    # ---- which times are visited: descending, ending in -1 --------------------------------------

    def uniform(self, steps: int, start: int | None = None) -> list[int]:
        """Return exactly ``steps`` evenly spaced times from ``start`` down to 0, then -1.

        Args:
            steps: the number of network calls.
            start: the largest time; by default the top of an even grid, e.g. 990 for 100 steps of
                1000.

        Example:
            >>> Schedule.linear().uniform(4)
            [750, 500, 250, 0, -1]
        """
        if start is None:
            start = (steps - 1) * len(self) // steps if steps > 1 else len(self) - 1
        if not 0 <= start < len(self):
            raise ValueError(f"start is {start}. A time from 0 to {len(self) - 1} is expected.")
        if not 1 <= steps <= start + 1:
            raise ValueError(
                f"{steps} steps do not fit between time {start} and 0. At most {start + 1} are "
                "possible."
            )
        if steps == 1:
            return [start, -1]
        return [k * start // (steps - 1) for k in reversed(range(steps))] + [-1]

    def stride(self, steps: int, start: int | None = None, end: int = 0) -> list[int]:
        """Return the grid of the authors' code, every skip-th time of [end, start).

        skip is (start - end) // steps. It holds ``steps`` points only where skip divides the range:
        100 gives 100 (990 ... 0), but
        150 gives 167 and 300 gives 334.

        Args:
            steps: the number asked for, not always the number got.
            start: first time *not* visited; by default the schedule's length.
            end: the lowest time visited.
        """
        start = len(self) if start is None else start
        if not 0 <= end < start <= len(self):
            raise ValueError(f"The range [{end}, {start}) does not lie in [0, {len(self)}).")
        skip = (start - end) // steps if steps > 0 else 0
        if skip == 0:
            raise ValueError(
                f"{steps} steps do not fit into [{end}, {start}). At most {start - end} are "
                "possible."
            )
        return [*reversed(range(end, start, skip)), -1]

    def quadratic(self, steps: int, start: int | None = None) -> list[int]:
        """DiffPIR's grid, densest at low noise: T - 1 - floor(T sqrt(i / (steps - 1))) for i = 0,
        1, ..., then -1.

        Args:
            steps: the number of network calls.
            start: the largest time, T - 1; by default the schedule's last.

        Example:
            >>> Schedule.linear().quadratic(5)
            [999, 499, 292, 133, 0, -1]
        """
        top = self.top(start)
        if steps == 1:
            return [top, -1]
        if not 1 <= steps <= top + 1:
            raise ValueError(
                f"{steps} steps do not fit between time {top} and 0. At most {top + 1} are "
                "possible."
            )
        times = [max(top - int((top + 1) * math.sqrt(i / (steps - 1))), 0) for i in range(steps)]
        if len(set(times)) < steps:
            raise ValueError(
                f"{steps} steps are too many for a quadratic grid from time {top}, where "
                f"{len(set(times))} of them differ. Take fewer steps."
            )
        return [*times, -1]

    def logarithmic(self, steps: int, start: int | None = None, end: int = 0) -> list[int]:
        """Exactly ``steps`` distinct times whose noise levels are evenly spaced in ln sigma, then
        -1.

        Each level is served by the nearest time of the table. Low levels lie so close that several
        may share one; they then take the next free times above.

        Args:
            steps: the number of network calls.
            start: the largest time, visited; by default the schedule's last.
            end: the lowest time, visited unless ``steps`` is 1.

        Example:
            >>> Schedule.linear().logarithmic(5)
            [999, 722, 302, 30, 0, -1]
        """
        top = self.top(start)
        if not 0 <= end <= top:
            raise ValueError(
                f"A run from time {top} cannot end at {end}. An end from 0 to its start is "
                "expected."
            )
        if not 1 <= steps <= top - end + 1:
            raise ValueError(
                f"{steps} steps do not fit between time {top} and {end}. At most {top - end + 1} "
                "are possible."
            )
        if steps == 1:
            return [top, -1]
        low, high = math.log(self.sigma(end)), math.log(self.sigma(top))
        times: list[int] = []
        for k in range(steps):  # from the low end up, where times are scarce
            wanted = self.nearest(math.exp(low + (high - low) * k / (steps - 1)))
            free = times[-1] + 1 if times else end
            last = top - (steps - 1 - k)  # so that those still to come fit below the top
            times.append(min(max(wanted, free), last))
        return [*reversed(times), -1]

    def top(self, start: int | None) -> int:
        """Return the largest time of a run, ``start`` if given, or else the schedule's last."""
        top = len(self) - 1 if start is None else start
        if not 0 <= top < len(self):
            raise ValueError(f"start is {start}. A time from 0 to {len(self) - 1} is expected.")
        return top

    def travel(self, times: Sequence[int], length: int, repeat: int) -> list[int]:
        """Insert time travel into a descending grid: climb ``length`` points back, ``repeat`` - 1
        times.

        Climbs start on reaching index 0, length, 2 length, ... below N - length, counted from the
        clean end.
        """
        if length < 1 or repeat < 1:
            raise ValueError(
                f"length is {length} and repeat is {repeat}. Both are expected to be >= 1."
            )
        ascending = list(times)[-2::-1]
        left = {i: repeat - 1 for i in range(0, len(ascending) - length, length)}
        i, visited = len(ascending), []
        while i > 0:
            i -= 1
            visited.append(ascending[i])
            if left.get(i, 0) > 0:
                left[i] -= 1
                visited += ascending[i + 1 : i + length + 1]
                i += length
        return [*visited, -1]


def mix(old: Tensor, new: Tensor, share: float | Tensor) -> Tensor:
    """Return sqrt(1 - share^2) old + share new.

    It keeps unit variance when both are independent unit noise.
    """
    if isinstance(share, Tensor):
        return weighted_sum((1 - share**2).sqrt(), old, share, new)
    return weighted_sum(math.sqrt(1 - share**2), old, share, new)


def weighted_sum(a: float | Tensor, x: Tensor, b: float | Tensor, y: Tensor) -> Tensor:
    """Return a x + b y for two numbers a and b.

    What such a sum costs is the reading and writing of memory. So it is made in two passes instead
    of three, with one rounding less.
    """
    ax = a * x
    if ax.dtype != y.dtype or ax.shape != y.shape:
        return ax + b * y
    return ax.add_(y, alpha=float(b))
