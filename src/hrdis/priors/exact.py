"""Priors in closed form, with their posteriors for linear operators and Gaussian noise.

Solvers are measured against them. The exact noise estimate takes the place of a network, and the
result is compared with the exact posterior. Sums run in float64; results come back in the dtype of
the input and are differentiable.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ..linalg import matrix
from ..operators.base import LinearOperator
from ..problem import Problem
from ..rng import stream
from ..schedule import Schedule
from .base import Prediction, Prior


class GaussianPrior(Prior):
    """Prior of x0 ~ N(mean, covariance).

    With S = alpha_bar C + (1 - alpha_bar) I and d = x_t - sqrt(alpha_bar) m it predicts

        eps = sqrt(1 - alpha_bar) S^-1 d
        x0_hat = m + sqrt(alpha_bar) C S^-1 d

    Args:
        mean: (c, h, w).
        covariance: a variance for all entries, a tensor of variances of the mean's shape, or the
            full matrix (n, n) with n = c h w.
        schedule: the linear one by default.

    Raises:
        ValueError: if the covariance is not symmetric positive semidefinite or has another size.

    Cost:
        one product with an n x n orthogonal matrix per call where the matrix is full, else none.
    """

    mean: Tensor
    variances: Tensor
    basis: Tensor | None

    def __init__(self, mean: Tensor, covariance: Tensor | float, schedule: Schedule | None = None):
        super().__init__()
        self.schedule = schedule or Schedule.linear()
        mean = _floating("mean", mean)
        n = mean.numel()
        self.register_buffer("mean", mean)
        covariance = torch.as_tensor(covariance, dtype=torch.float64)
        basis: Tensor | None = None
        if covariance.ndim == 0 or covariance.shape == mean.shape:
            variances = covariance.expand(mean.shape).flatten().clone()
        elif covariance.shape == (n, n):
            if not torch.allclose(covariance, covariance.T, atol=1e-10):
                raise ValueError(
                    "The covariance is not symmetric. A positive semidefinite matrix is expected."
                )
            variances, basis = torch.linalg.eigh(covariance)
        else:
            raise ValueError(
                f"The covariance has shape {tuple(covariance.shape)} for a mean of shape "
                f"{tuple(mean.shape)}. A number, variances of the mean's shape, or a ({n}, {n}) "
                "matrix is expected."
            )
        if float(variances.min()) < -1e-9 * max(
            float(variances.max()), 1.0
        ):  # rounding of a certain picture passes
            raise ValueError(
                f"The covariance has a negative variance ({float(variances.min()):.3g}). A "
                "positive semidefinite one is expected."
            )
        self.register_buffer("variances", variances.clamp(min=0))
        self.register_buffer("basis", basis)

    def extra_repr(self) -> str:
        kind = "variances" if self.basis is None else "a full covariance"
        return f"mean={tuple(self.mean.shape)}, {kind}"

    @property
    def covariance(self) -> Tensor:
        """Covariance as a full matrix, (n, n)."""
        Q = torch.diag(torch.ones_like(self.variances)) if self.basis is None else self.basis
        return (Q * self.variances) @ Q.T

    def _rotate(self, v: Tensor, back: bool = False) -> Tensor:
        if self.basis is None:
            return v
        return v @ self.basis.T if back else v @ self.basis

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        q = self.schedule
        _check_size(self, x_t, self.mean)
        d = self._rotate((x_t.double() - q.signal(t) * self.mean).flatten(1))
        scaled = d / (q[t] * self.variances + 1 - q[t])
        eps = q.noise(t) * self._rotate(scaled, back=True)
        x0_hat = self.mean.flatten() + q.signal(t) * self._rotate(
            self.variances * scaled, back=True
        )
        return Prediction(x0_hat.reshape(x_t.shape).to(x_t), eps.reshape(x_t.shape).to(x_t))

    def posterior(self, problem: Problem) -> "list[GaussianPrior]":
        """Return the exact posterior of each image of the problem, in order."""
        return [GaussianPrior(m, C, self.schedule) for m, C, _ in _condition(self, problem)]

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Draw ``count`` images, (count, c, h, w) float64."""
        z = torch.from_numpy(stream(seed, "gaussian").standard_normal((count, self.mean.numel())))
        x = self._rotate(z * self.variances.sqrt(), back=True)
        return self.mean + x.reshape(count, *self.mean.shape)


class GaussianMixture(Prior):
    """Prior of x0 ~ sum_k w_k N(m_k, s_k^2 I).

    Args:
        means: (k, c, h, w).
        weights: (k,), positive; normalised.
        stds: (k,), or one number for all.
        schedule: the linear one by default.
    """

    means: Tensor
    weights: Tensor
    stds: Tensor

    def __init__(
        self, means: Tensor, weights: Tensor, stds: Tensor | float, schedule: Schedule | None = None
    ):
        super().__init__()
        self.schedule = schedule or Schedule.linear()
        means = _floating("means", means)
        weights = torch.as_tensor(weights, dtype=torch.float64)
        stds = torch.as_tensor(stds, dtype=torch.float64).expand(len(means)).clone()
        if weights.shape != (len(means),) or not bool((weights > 0).all()):
            raise ValueError(
                f"weights are {weights.tolist()}. {len(means)} positive numbers are expected."
            )
        if not bool((stds > 0).all()):
            raise ValueError(
                f"stds are {stds.tolist()}. Positive standard deviations are expected."
            )
        self.register_buffer("means", means)
        self.register_buffer("weights", weights / weights.sum())
        self.register_buffer("stds", stds)

    def extra_repr(self) -> str:
        return f"means={tuple(self.means.shape)}"

    def forward(self, x_t: Tensor, t: int) -> Prediction:
        q = self.schedule
        _check_size(self, x_t, self.means[0])
        m, var = self.means.flatten(1), self.stds**2
        v = q[t] * var + 1 - q[t]  # (k,) variance of x_t within a component
        d = x_t.double().flatten(1)[:, None] - q.signal(t) * m  # (b, k, n)
        log_share = self.weights.log() - 0.5 * m.shape[1] * v.log() - 0.5 * d.square().sum(-1) / v
        share = log_share.softmax(1)  # (b, k) which component x_t came from
        eps = q.noise(t) * torch.einsum("bk,bkn->bn", share / v, d)
        x0_hat = share @ m + q.signal(t) * torch.einsum("bk,bkn->bn", share * var / v, d)
        return Prediction(x0_hat.reshape(x_t.shape).to(x_t), eps.reshape(x_t.shape).to(x_t))

    def posterior(self, problem: Problem) -> "list[MixturePosterior]":
        """Return the exact posterior of each image of the problem, in order.

        Each is a mixture of correlated Gaussians.
        """
        parts = [
            _condition(GaussianPrior(m, float(s) ** 2, self.schedule), problem)
            for m, s in zip(self.means, self.stds, strict=True)
        ]
        out = []
        for i in range(len(problem.y)):
            log_w = self.weights.log() + torch.stack([part[i][2] for part in parts])
            components = [GaussianPrior(part[i][0], part[i][1], self.schedule) for part in parts]
            out.append(MixturePosterior(components, log_w.softmax(0)))
        return out


class MixturePosterior:
    """Mixture of Gaussians with arbitrary covariances: its first two moments, and samples.

    Args:
        components: the Gaussians.
        weights: (k,), their probabilities.
    """

    def __init__(self, components: list[GaussianPrior], weights: Tensor):
        self.components, self.weights = components, weights

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture, (c, h, w)."""
        return sum(w * g.mean for w, g in zip(self.weights, self.components, strict=True))

    @property
    def covariance(self) -> Tensor:
        """Covariance of the mixture, (n, n)."""
        centre = self.mean.flatten()
        total = centre.new_zeros(len(centre), len(centre))
        for w, g in zip(self.weights, self.components, strict=True):
            d = g.mean.flatten() - centre
            total += w * (g.covariance + torch.outer(d, d))
        return total

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Draw ``count`` images, (count, c, h, w) float64, in random order."""
        counts = stream(seed, "mixture").multinomial(
            count, self.weights.numpy() / self.weights.numpy().sum()
        )
        draws = [
            g.sample(int(n), seed + 1 + k)
            for k, (g, n) in enumerate(zip(self.components, counts, strict=True))
        ]
        order = stream(seed, "mixture order").permutation(count)
        return torch.cat(draws)[torch.from_numpy(np.ascontiguousarray(order))]


def _floating(name: str, value: Tensor) -> Tensor:
    """Convert a tensor, array or list to float64."""
    try:
        return torch.as_tensor(value, dtype=torch.float64).detach()
    except (ValueError, TypeError, RuntimeError):
        raise TypeError(
            f"{name} is a {type(value).__name__} that torch cannot read. A tensor is expected."
        ) from None


def _check_size(prior: Prior, x: Tensor, mean: Tensor) -> None:
    if x[0].numel() != mean.numel():
        raise ValueError(
            f"The images have shape {tuple(x.shape[1:])}, but {type(prior).__name__} was made for "
            f"{tuple(mean.shape)}. Both must agree."
        )


def _condition(prior: GaussianPrior, problem: Problem) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return mean, covariance and log evidence of each image's posterior under y = A x + sigma_y z,
    in float64.
    """
    A = problem.A
    if not isinstance(A, LinearOperator):
        raise TypeError(
            f"The posterior needs a LinearOperator, but A is a {type(A).__name__}. It is known in "
            "closed form for linear operators only."
        )
    if not problem.image_shape[1:] == tuple(prior.mean.shape):
        raise ValueError(
            f"The problem is about images of shape {problem.image_shape[1:]}, the prior about "
            f"{tuple(prior.mean.shape)}. Both must agree."
        )
    C, m, out = prior.covariance, prior.mean.flatten(), []
    for i, y in enumerate(problem.y.double().flatten(1)):
        H = matrix(A.for_image(i), tuple(prior.mean.shape))
        keep = (H != 0).any(1)  # rows of holes contain neither signal nor noise
        H, r = H[keep], y[keep] - H[keep] @ m
        S = H @ C @ H.T + problem.sigma_y**2 * torch.eye(
            len(H), dtype=torch.float64, device=H.device
        )
        gain = torch.linalg.lstsq(S, H @ C, driver="gelsd").solution.T  # C H^T S^+
        covariance = C - gain @ H @ C
        eigenvalues = torch.linalg.eigvalsh(S)
        # Rows that repeat others add nothing to the evidence.
        eigenvalues = eigenvalues[eigenvalues > 1e-12 * eigenvalues.max()]
        quadratic = r @ torch.linalg.lstsq(S, r[:, None], driver="gelsd").solution[:, 0]
        evidence = -0.5 * (quadratic + (2 * math.pi * eigenvalues).log().sum())
        out.append(
            ((m + gain @ r).reshape(prior.mean.shape), (covariance + covariance.T) / 2, evidence)
        )
    return out
