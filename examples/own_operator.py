"""A researcher's own measurement in 30 lines, checked and used.

A camera whose exposure fades to the right and whose sensor sums pairs of rows. It is linear, so the
function is all there is to write: adjoint and pseudo-inverse follow from it.

    python examples/own_operator.py        (check it, then solve with an exact prior)
    hrdis check operator examples/own_operator.py:make
    hrdis degrade photo.png --operator examples/own_operator.py:make -o y.npy
    hrdis restore y.npy --operator examples/own_operator.py:make --image-size 96 96 -o restored.png
"""

import torch

import hrdis


def make(h: int, w: int) -> hrdis.operators.Operator:
    exposure = torch.linspace(1.0, 0.3, w)

    def fading_camera(x: torch.Tensor) -> torch.Tensor:
        return (exposure.to(x) * x).unflatten(-2, (-1, 2)).sum(-2)

    return hrdis.operators.LinearFunction(fading_camera, shape=(3, h, w))


def main() -> None:
    A = make(16, 16)
    print(hrdis.check_operator(A, shape=(3, 16, 16)))

    prior = hrdis.priors.Gaussian(
        mean=torch.zeros(3, 16, 16), covariance=0.1
    )  # where the answer is known
    x = prior.sample(1).float()
    problem = hrdis.measure(A, x, hrdis.noise.Gaussian(0.01), seeds=[0])
    result = hrdis.solve(hrdis.HRDIS(steps=100), prior, problem, seeds=[0])
    print(
        f"\nresidual {float((A(result.x) - problem.y).square().mean().sqrt()):.3f}, noise "
        f"{problem.sigma_y}"
    )


if __name__ == "__main__":
    main()
