"""A noise of one's own: anything with a ``sigma_y`` and an ``add``, here the rounding of a coarse
converter.

Noise draws from the source it is handed, so that image i's noise is a function of its seed and of
nothing else.

    python examples/own_noise.py
"""

from dataclasses import dataclass

import torch
from torch import Tensor

import hrdis
from hrdis.rng import ImageRNG, Replay


@dataclass(frozen=True)
class Uniform:
    """y + u with u uniform between -width / 2 and width / 2, in units of y."""

    width: float

    @property
    def sigma_y(self) -> float:
        """What solvers are told: the standard deviation, width / sqrt(12)."""
        return self.width / 12**0.5

    def add(self, y: Tensor, rng: ImageRNG | Replay) -> Tensor:
        u = rng.rand(y.shape[1:], like=y)  # [0, 1), float64, drawn on the CPU
        return y + (self.width * (u - 0.5)).to(y)


def main() -> None:
    A, x = hrdis.operators.SuperResolution(2), torch.zeros(2, 3, 64, 64)
    problem = hrdis.measure(A, x, Uniform(0.2), seeds=[0, 1])
    print(f"standard deviation {float(problem.y.std()):.4f}, told to solvers {problem.sigma_y:.4f}")

    alone = hrdis.measure(A, x[1:], Uniform(0.2), seeds=[1])
    print("the second image alone has the same noise:", torch.equal(alone.y[0], problem.y[1]))

    prior = hrdis.priors.Gaussian(mean=torch.zeros(3, 64, 64), covariance=0.1)
    result = hrdis.solve(hrdis.DDRM(steps=20), prior, problem, seeds=[0, 1])
    print(f"DDRM: {result.nfe} calls, finite: {result.finite.tolist()}")


if __name__ == "__main__":
    main()
