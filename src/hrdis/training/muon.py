"""Muon for the weights of the inner layers and AdamW for the rest, as one optimiser.

Reference:
    Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024. Amsel et al., The
    Polar Express, 2025, arXiv:2505.16932, for steps that are the best polynomials of their degree.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# (a, b, c) of the steps X <- a X + b (X X^T) X + c (X X^T)^2 X, which bring all singular values
# near 1.
POLYNOMIALS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
# Layers that see pixels: their rows are not features, so that AdamW suits them better.
OUTER = ("conv_in", "conv_out")


def orthogonalised(matrices: Tensor) -> Tensor:
    """Replace the singular values of each matrix by values near 1.

    The steps are applied to the Gram matrix of the smaller side, which is cheaper than to the
    matrix itself.

    Args:
        matrices: (k, m, n).

    Returns:
        (k, m, n), singular values between about 0.7 and 1.3.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    # The Frobenius norm bounds the largest singular value: all are at most 1 now.
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-12)
    gram = x @ x.mT
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    product = identity.expand_as(gram)
    for a, b, c in POLYNOMIALS:
        step = a * identity + b * gram + c * (gram @ gram)
        product = step @ product
        gram = step @ gram @ step
    x = product @ x
    return x.mT if tall else x


class MuonAdamW:
    """Muon for weights of two or more dimensions inside the network, AdamW for all other
    parameters.

    A step of Muon on a weight W of gradient g, with `orthogonalised` on u as a matrix (rows, rest):

        m <- 0.95 m + 0.05 g
        u = 0.05 g + 0.95 m
        W <- (1 - 0.1 lr) W - lr sqrt(max(1, rows / rest)) orthogonalised(u)

    AdamW has betas (0.9, 0.99) and weight decay 1e-4.

    Args:
        parameters: the network's, with their names.
    """

    momentum, decay = 0.95, 0.1
    betas, epsilon, adam_decay = (0.9, 0.99), 1e-8, 1e-4

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]]):
        self.matrices: dict[str, Tensor] = {}
        self.others: dict[str, Tensor] = {}
        #: Averages of the gradients, and of their squares for AdamW, by parameter.
        self.first: dict[str, Tensor] = {}
        self.second: dict[str, Tensor] = {}
        for name, parameter in parameters:
            self.first[name] = torch.zeros_like(parameter)
            if parameter.ndim >= 2 and not name.startswith(OUTER):
                self.matrices[name] = parameter
            else:
                self.others[name] = parameter
                self.second[name] = torch.zeros_like(parameter)
        self.updates = 0

    @torch.no_grad()
    def step(self, lr: float, adam_lr: float) -> None:
        """Update all parameters by their gradients.

        Args:
            lr: rate of Muon.
            adam_lr: rate of AdamW.
        """
        self.updates += 1
        if self.others:
            self._adamw(adam_lr)
        if self.matrices:
            self._muon(lr)

    def _muon(self, lr: float) -> None:
        weights = list(self.matrices.values())
        gradients = list(map(_gradient, weights))
        means = [self.first[name] for name in self.matrices]
        torch._foreach_lerp_(means, gradients, 1 - self.momentum)
        ahead = torch._foreach_lerp(gradients, means, self.momentum)  # Nesterov
        torch._foreach_mul_(weights, 1 - lr * self.decay)
        # Matrices of one shape are orthogonalised together: one product instead of many small.
        alike = defaultdict(list)
        for weight, update in zip(weights, ahead, strict=True):
            alike[tuple(weight.shape)].append((weight, update))
        for shape, pairs in alike.items():
            stacked = torch.stack([update.reshape(shape[0], -1) for _, update in pairs])
            directions = orthogonalised(stacked)
            rate = lr * max(1.0, stacked.shape[1] / stacked.shape[2]) ** 0.5
            for (weight, _), direction in zip(pairs, directions, strict=True):
                weight.sub_(direction.reshape(shape), alpha=rate)

    def _adamw(self, lr: float) -> None:
        weights = list(self.others.values())
        gradients = list(map(_gradient, weights))
        first = [self.first[name] for name in self.others]
        second = [self.second[name] for name in self.others]
        beta1, beta2 = self.betas
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        correction1, correction2 = 1 - beta1**self.updates, 1 - beta2**self.updates
        size = torch._foreach_sqrt(second)
        torch._foreach_div_(size, correction2**0.5)
        torch._foreach_add_(size, self.epsilon)
        torch._foreach_mul_(weights, 1 - lr * self.adam_decay)
        torch._foreach_addcdiv_(weights, first, size, -lr / correction1)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in (self.matrices | self.others).values():
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the averages, ``m.*`` of the gradients and ``v.*`` of their squares, not
        copied.
        """
        tensors = {}
        for name, tensor in self.first.items():
            tensors[f"m.{name}"] = tensor
        for name, tensor in self.second.items():
            tensors[f"v.{name}"] = tensor
        return tensors


def _gradient(parameter: Tensor) -> Tensor:
    """Return the gradient of a parameter, zero where the loss does not depend on it."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
