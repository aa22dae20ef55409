"""Checks of every operator."""

import math
from statistics import median
from typing import Any

import torch
from torch import Tensor

from .base import EXACT, Check, OperatorProbe, first_line, is_finite, relative_error, with_limit


def runs(probe: OperatorProbe) -> Check:
    what = "A(x) is a tensor of real numbers whose first axis is the image."
    try:
        with torch.no_grad():
            y: Any = probe.A(probe.x())
    except Exception as error:
        return Check(
            "runs",
            False,
            first_line(error),
            what,
            f"make A accept images of shape {probe.shape}, or pass shape=(c, h, w)",
        )
    if not isinstance(y, Tensor) or y.ndim < 2 or y.is_complex() or not y.is_floating_point():
        got = type(y).__name__
        if isinstance(y, Tensor):
            got = f"{y.dtype} of shape {tuple(y.shape)}"
        return Check(
            "runs",
            False,
            f"gives {got}",
            what,
            "return torch.view_as_real(y).flatten(1), or torch.cat(parts, 1)",
        )
    if len(y) != len(probe.x()):
        got = f"{len(y)} measurements of {probe.shape[0]} images"
        return Check(
            "runs", False, got, what, "keep the first axis: x.flatten(1), x.sum((1, 2, 3))"
        )
    return Check("runs", True, f"{probe.shape} to {tuple(y.shape)}", what)


def dtype_kept(probe: OperatorProbe) -> Check:
    got = probe.given(probe.x().float()).dtype
    fix = "make constants follow x: self.kernel.to(x)"
    return Check(
        "dtype kept",
        got == torch.float32,
        f"float32 to {got}",
        "Solvers work in float32 and mix x with y.",
        fix,
    )


def finite(probe: OperatorProbe) -> Check:
    tried = {"random": probe.x()}
    for name, value in (("black", -1.0), ("grey", 0.0), ("white", 1.0)):
        tried[name] = torch.full_like(tried["random"], value)
    bad, low, high = [], math.inf, -math.inf
    for name, x in tried.items():
        y = probe.A(x)
        low, high = min(low, float(y.min())), max(high, float(y.max()))
        if not is_finite(y):
            bad.append(name)
    what = "No NaN or infinity for any image in [-1, 1]."
    if not bad:
        return Check("finite", True, f"y from {low:.3g} to {high:.3g}", what)
    fix = "avoid the root, logarithm or quotient of 0: x.clamp(min=1e-6)"
    if all(is_finite(probe.A((x + 1) / 2)) for x in tried.values()):
        fix = "images are in [-1, 1], A seems to expect [0, 1]: lambda x: A((x + 1) / 2)"
    return Check("finite", False, f"NaN or infinite for {', '.join(bad)} images", what, fix)


def repeats(probe: OperatorProbe) -> Check:
    x = probe.x()
    off = relative_error(probe.A(x), probe.A(x))
    fix = (
        "draw what is random once, in __init__: self.matrix = "
        "torch.from_numpy(hrdis.rng.stream(seed, 'A')...)"
    )
    return Check(
        "repeats",
        off <= EXACT,
        with_limit(off),
        "Two calls agree: A is deterministic; noise is added elsewhere.",
        fix,
    )


def input_kept(probe: OperatorProbe) -> Check:
    x = probe.x()
    before = x.clone()
    probe.A(x)
    changed = float((x != before).double().mean())
    fix = "work on a copy: x = x.clone(), or x = x * mask instead of x *= mask"
    return Check(
        "input kept",
        changed == 0,
        f"{changed:.1%} of x changed",
        "A does not write into its argument.",
        fix,
    )


def images_apart(probe: OperatorProbe) -> Check:
    x = probe.x()
    y = probe.A(x)
    errors = []
    if len(x) > 1:  # the others of the batch are changed, the first must not notice
        changed = torch.cat([x[:1], -x[1:]])
        errors.append(relative_error(probe.A(changed)[:1], y[:1]))
    for i in range(len(x)):
        alone = probe.A.for_image(i)(x[i : i + 1])
        errors.append(relative_error(alone, y[i : i + 1]))
    worst = max(errors)
    fix = (
        "take norms, means and maxima per image: x.amax((1, 2, 3), keepdim=True); a mask each: "
        "define for_image(i)"
    )
    return Check(
        "images apart",
        worst <= EXACT,
        with_limit(worst),
        "y of an image does not depend on its batch.",
        fix,
    )


def image_size(probe: OperatorProbe) -> Check:
    got = tuple(probe.A.image_shape(tuple(probe.A(probe.x()).shape)))
    fix = (
        "def image_shape(self, y_shape): return (y_shape[0], "
        f"{', '.join(map(str, probe.shape[1:]))})"
    )
    return Check(
        "image size",
        got == probe.shape,
        f"{got}",
        "image_shape(y.shape) is the shape of the images.",
        fix,
    )


def gradient(probe: OperatorProbe) -> Check:
    what = "Autograd agrees with finite differences: HRDIS, RED-diff and DPS follow it."
    x, w = probe.x(), probe.normal(tuple(probe.A(probe.x()).shape))
    found = _gradient(probe, x, w)
    grey = _gradient(probe, torch.zeros_like(x), w)
    if found is None or grey is None:
        fix = "use torch operations throughout, without .detach(), .numpy() or torch.no_grad()"
        return Check("gradient", False, "there is none", what, fix)
    if not is_finite(found) or not is_finite(grey):
        fix = "keep away from the root or norm of 0: (x.square() + 1e-12).sqrt()"
        return Check("gradient", False, "NaN or infinite at a random or a grey image", what, fix)
    # Finite differences lose half of the digits there are.
    step, limit = 1e-2, 3e-2
    if probe.dtype == torch.float64:
        step, limit = 1e-5, 1e-4
    sizes, errors = [], []
    for _ in range(5):
        v = probe.normal(probe.shape)
        rise = ((probe.A(x + step * v) - probe.A(x - step * v)) * w).sum() / (2 * step)
        sizes.append(abs(float(rise)))
        errors.append(abs(float((found * v).sum()) - float(rise)))
    # Medians, for one step across a kink of A says nothing about its gradient.
    error = median(errors) / max(median(sizes), 1e-12)
    fix = "leave the rounding out of A and count it as noise: Problem(y, A, sigma_y=step / 12**0.5)"
    if not bool(found.any()):
        return Check("gradient", False, "0 everywhere: A ignores x, or rounds it", what, fix)
    return Check("gradient", error <= limit, with_limit(error, limit), what, fix)


def _gradient(probe: OperatorProbe, x: Tensor, w: Tensor) -> Tensor | None:
    """Return the gradient of <A(x), w>; None if autograd finds no way back to x."""
    with torch.enable_grad():
        at = x.clone().requires_grad_()
        loss = (probe.A(at) * w).sum()
        if not loss.requires_grad:
            return None
        return torch.autograd.grad(loss, at, allow_unused=True)[0]


def start(probe: OperatorProbe) -> Check:
    first = probe.A.pinv(probe.A(probe.x()))
    good = tuple(first.shape) == probe.shape and is_finite(first)
    what = "pinv(y) is a finite picture to start from."
    return Check(
        "start",
        good,
        f"{tuple(first.shape)}",
        what,
        "def pinv(self, y): return y.new_zeros(self.image_shape(y.shape))",
    )
