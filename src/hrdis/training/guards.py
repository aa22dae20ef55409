"""Checks that keep a network which cannot learn from being trained.

They look at its gradients before the first step, and at the movement of its parameters after
`STEPS`.

The first embedded prior was trained through `torch.compile`, which returned gradients of exactly
zero for 95 % of its parameters. Its loss fell all the same, because the rest learned.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..rng import ImageRNG
from .network import predict

#: Largest difference of a parameter's gradients, relative to the plain ones, that is still
#: rounding.
TOLERANCE = {"fp32": 2e-3, "bf16": 0.3}
STEPS = 50  # after so many steps every parameter must have moved
MOVED = 1e-5  # relative to its start, beyond a common factor


@dataclass(frozen=True)
class Execution:
    """A way to run the network.

    Args:
        compile: through `torch.compile`.
        bf16: under autocast to bfloat16.
        channels_last: weights and images in channels-last memory.
    """

    compile: bool = False
    bf16: bool = False
    channels_last: bool = True

    def prepare(self, net: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
        """Return a function (x_t, t) -> v that runs the network in this way, on the network's own
        parameters.
        """
        form = torch.channels_last if self.channels_last else torch.contiguous_format
        net.to(memory_format=form)  # type: ignore[call-overload]
        call: Any = torch.compile(net, dynamic=False) if self.compile else net

        def run(x_t: Tensor, t: Tensor) -> Tensor:
            with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.bf16):
                return predict(call, x_t.contiguous(memory_format=form), t).float()

        return run

    def __str__(self) -> str:
        names = []
        if self.compile:
            names.append("compiled")
        if self.bf16:
            names.append("bf16")
        if self.channels_last:
            names.append("channels-last")
        return ", ".join(names) or "plain"


PLAIN = Execution(channels_last=False)


@torch.enable_grad()
def gradients(
    net: nn.Module, execution: Execution, x_t: Tensor, t: Tensor, v: Tensor
) -> dict[str, Tensor]:
    """Return the gradient of mean (v_hat - v)^2 for every parameter, by name; zero where there is
    none.
    """
    net.zero_grad(set_to_none=True)
    (execution.prepare(net)(x_t, t) - v).square().mean().backward()
    found = {}
    for name, p in net.named_parameters():
        found[name] = torch.zeros_like(p) if p.grad is None else p.grad.detach().clone()
    net.zero_grad(set_to_none=True)
    return found


def differences(
    plain: dict[str, Tensor], other: dict[str, Tensor], tolerance: float
) -> dict[str, float]:
    """Return the parameters whose gradients differ by more than rounding, with the relative
    difference.

    The difference is measured against the norm of the parameter's own plain gradient, or a
    thousandth of all where that is larger.
    """
    whole = torch.stack([g.norm() for g in plain.values()]).norm()
    found = {}
    for name, gradient in plain.items():
        size = max(float(gradient.norm()), 1e-3 * float(whole), 1e-30)
        off = float((other[name] - gradient).norm()) / size
        if not off <= tolerance:
            found[name] = off
    return found


@contextmanager
def _without_zeros(net: nn.Module) -> Iterator[None]:
    """Fill parameters that are zero with small draws for a while.

    Behind a zero layer all gradients are zero.
    """
    zeros = [p for p in net.parameters() if not p.any()]
    rng = ImageRNG([0], "gradient check")
    with torch.no_grad():
        for p in zeros:
            p.copy_(0.05 * rng.randn(tuple(p.shape))[0])
    try:
        yield
    finally:
        with torch.no_grad():
            for p in zeros:
                p.zero_()


def checked(net: nn.Module, asked: Execution, x_t: Tensor, t: Tensor, v: Tensor) -> Execution:
    """Return the execution that is asked for, less what changes the gradients of one batch by more
    than rounding.

    Args:
        net: its parameters keep their values.
        asked: how it is to be run.
        x_t: (b, 3, h, w), a batch as training has it.
        t: (b,), times.
        v: (b, 3, h, w), the target.

    Raises:
        ValueError: if parameters have no gradient even when the network runs plainly: it cannot
            learn.

    Cost:
        one forward and backward pass plainly, and one for every execution that is tried.
    """
    with _without_zeros(net):
        plain = gradients(net, PLAIN, x_t, t, v)
        dead = [name for name, gradient in plain.items() if not gradient.any()]
        if dead:
            raise ValueError(
                f"{len(dead)} of {len(plain)} parameters get no gradient: {_listed(dead)}. Every "
                "parameter of the network is expected to take part in its output."
            )
        tried = [asked]  # then simpler ones
        if asked.compile:
            tried.append(replace(asked, compile=False))
        if asked.bf16:
            tried.append(replace(asked, compile=False, bf16=False))
        if asked.channels_last:
            tried.append(PLAIN)
        for execution in tried:
            try:
                found = gradients(net, execution, x_t, t, v)
            except Exception as error:
                if not execution.compile:
                    raise
                # Compilers need a toolchain that may not be there.
                warnings.warn(
                    f"The network cannot be compiled here ({type(error).__name__}). Training goes "
                    "on without.",
                    stacklevel=2,
                )
                continue
            off = differences(plain, found, TOLERANCE["bf16" if execution.bf16 else "fp32"])
            if not off:
                return execution
            worst = max(off, key=lambda name: off[name])
            warnings.warn(
                f"Run {execution}, the network has other gradients than run plainly: {len(off)} "
                f"of {len(plain)} parameters differ, {worst} by {off[worst]:.1%}. Training goes "
                "on without.",
                stacklevel=2,
            )
    return PLAIN


class Movement:
    """The weights a run begins with, to tell which of them never moved.

    Args:
        net: at the beginning.
    """

    def __init__(self, net: nn.Module):
        self.start = {name: p.detach().clone() for name, p in net.named_parameters()}

    @torch.no_grad()
    def unmoved(self, net: nn.Module) -> list[str]:
        """Return the parameters that are still a multiple of their start, which is what weight
        decay alone leaves.
        """
        names = []
        for name, p in net.named_parameters():
            start = self.start[name].double().flatten()
            now = p.detach().double().flatten()
            size = float(start.norm())
            factor = 1.0 if size == 0 or len(now) == 1 else float(now @ start) / size**2
            if float((now - factor * start).norm()) <= MOVED * size:
                names.append(name)
        return names

    def check(self, net: nn.Module, step: int) -> None:
        """Raise if a parameter has not moved.

        Raises:
            RuntimeError: naming them.
        """
        names = self.unmoved(net)
        if names:
            raise RuntimeError(
                f"After {step} steps {len(names)} of {len(self.start)} parameters have not moved "
                f"from their start: {_listed(names)}. Training was stopped, since they would never "
                "learn. Their gradients are zero: look at how the network is built and run "
                "(compile, precision)."
            )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
