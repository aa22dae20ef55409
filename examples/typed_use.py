"""Ten lines of a user's own that pass ``mypy --strict``: the package is typed (PEP 561).

python examples/typed_use.py
"""

import torch

import hrdis


def residual(y: torch.Tensor, scale: int, seed: int) -> float:
    """Return the root mean square residual of an enlargement of y."""
    A = hrdis.operators.SuperResolution(scale=scale)
    problem: hrdis.Problem = hrdis.Problem(y, A)
    prior: hrdis.Prior = hrdis.priors.Gaussian(mean=torch.zeros(3, 16, 16), covariance=0.1)
    result: hrdis.Result = hrdis.solve(hrdis.DDNM(steps=5), prior, problem, seeds=[seed])
    difference: torch.Tensor = A(result.x) - y
    return float(difference.square().mean().sqrt())


if __name__ == "__main__":
    print(f"residual {residual(torch.zeros(1, 3, 4, 4), scale=4, seed=0):.1e}")
