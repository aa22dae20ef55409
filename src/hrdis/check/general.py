"""What is expected of every operator."""

from statistics import median
from typing import Any

import torch
from torch import Tensor

from .base import EXACT, Check, Trial, is_finite, limited, rel, said


def runs(trial: Trial) -> Check:
    what = "A(x) is a tensor of real numbers whose first axis is the image."
    try:
        with torch.no_grad():
            y: Any = trial.A(trial.x())
    except Exception as error:
        return Check(
            "runs",
            False,
            said(error),
            what,
            f"make A accept images of shape {trial.shape}, or pass shape=(c, h, w)",
        )
    if not isinstance(y, Tensor) or y.ndim < 2 or y.is_complex() or not y.is_floating_point():
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        return Check(
            "runs",
            False,
            f"gives {got}",
            what,
            "return torch.view_as_real(y).flatten(1), or torch.cat(parts, 1)",
        )
    if len(y) != len(trial.x()):
        got = f"{len(y)} measurements of {trial.shape[0]} images"
        return Check(
            "runs", False, got, what, "keep the first axis: x.flatten(1), x.sum((1, 2, 3))"
        )
    return Check("runs", True, f"{trial.shape} to {tuple(y.shape)}", what)


def dtype_kept(trial: Trial) -> Check:
    got = trial.given(trial.x().float()).dtype
    fix = "make constants follow x: self.kernel.to(x)"
    return Check(
        "dtype kept",
        got == torch.float32,
        f"float32 to {got}",
        "Solvers work in float32 and mix x with y.",
        fix,
    )


def finite(trial: Trial) -> Check:
    plain = [
        torch.full(trial.shape, v, dtype=trial.dtype, device=trial.device) for v in (-1.0, 0.0, 1.0)
    ]
    ys = [trial.A(x) for x in (trial.x(), *plain)]
    bad = [
        n for n, y in zip(("random", "black", "grey", "white"), ys, strict=True) if not is_finite(y)
    ]
    low, high = min(float(y.min()) for y in ys), max(float(y.max()) for y in ys)
    fix = "avoid the root, logarithm or quotient of 0: x.clamp(min=1e-6)"
    if bad and all(is_finite(trial.A((x + 1) / 2)) for x in (trial.x(), *plain)):
        fix = "images are in [-1, 1], A seems to expect [0, 1]: lambda x: A((x + 1) / 2)"
    said = (
        f"NaN or infinite for {', '.join(bad)} images" if bad else f"y from {low:.3g} to {high:.3g}"
    )
    return Check("finite", not bad, said, "No NaN or infinity for any image in [-1, 1].", fix)


def repeats(trial: Trial) -> Check:
    x = trial.x()
    off = rel(trial.A(x), trial.A(x))
    fix = (
        "draw what is random once, in __init__: self.matrix = "
        "torch.from_numpy(hrdis.rng.stream(seed, 'A')...)"
    )
    return Check(
        "repeats",
        off <= EXACT,
        limited(off),
        "Two calls agree: A is deterministic; noise is added elsewhere.",
        fix,
    )


def input_kept(trial: Trial) -> Check:
    x = trial.x()
    before = x.clone()
    trial.A(x)
    changed = float((x != before).double().mean())
    fix = "work on a copy: x = x.clone(), or x = x * mask instead of x *= mask"
    return Check(
        "input kept",
        changed == 0,
        f"{changed:.1%} of x changed",
        "A does not write into its argument.",
        fix,
    )


def images_apart(trial: Trial) -> Check:
    x = trial.x()
    y, neighbour = trial.A(x), x.clone()
    neighbour[1:] = -neighbour[1:]
    off = [rel(trial.A(neighbour)[:1], y[:1])] if len(x) > 1 else []
    off += [rel(trial.A.for_image(i)(x[i : i + 1]), y[i : i + 1]) for i in range(len(x))]
    fix = (
        "take norms, means and maxima per image: x.amax((1, 2, 3), keepdim=True); a mask each: "
        "define for_image(i)"
    )
    return Check(
        "images apart",
        max(off) <= EXACT,
        limited(max(off)),
        "y of an image does not depend on its batch.",
        fix,
    )


def image_size(trial: Trial) -> Check:
    got = tuple(trial.A.image_shape(tuple(trial.A(trial.x()).shape)))
    fix = (
        "def image_shape(self, y_shape): return (y_shape[0], "
        f"{', '.join(map(str, trial.shape[1:]))})"
    )
    return Check(
        "image size",
        got == trial.shape,
        f"{got}",
        "image_shape(y.shape) is the shape of the images.",
        fix,
    )


def gradient(trial: Trial) -> Check:
    what = "Autograd agrees with finite differences: HRDIS, RED-diff and DPS follow it."
    x, w = trial.x(), trial.normal(tuple(trial.A(trial.x()).shape))
    with torch.enable_grad():
        at = x.clone().requires_grad_()
        loss = (trial.A(at) * w).sum()
        found = torch.autograd.grad(loss, at, allow_unused=True)[0] if loss.requires_grad else None
        plain = torch.zeros_like(x).requires_grad_()
        grey = (
            torch.autograd.grad((trial.A(plain) * w).sum(), plain)[0] if found is not None else None
        )
    if found is None or grey is None:
        fix = "use torch operations throughout, without .detach(), .numpy() or torch.no_grad()"
        return Check("gradient", False, "there is none", what, fix)
    if not is_finite(found) or not is_finite(grey):
        fix = "keep away from the root or norm of 0: (x.square() + 1e-12).sqrt()"
        return Check("gradient", False, "NaN or infinite at a random or a grey image", what, fix)
    step = 1e-5 if trial.dtype == torch.float64 else 1e-2
    slopes = []
    for _ in range(5):
        v = trial.normal(trial.shape)
        rise = ((trial.A(x + step * v) - trial.A(x - step * v)) * w).sum() / (2 * step)
        slopes.append((float((found * v).sum()), float(rise)))
    size = max(median(abs(b) for _, b in slopes), 1e-12)
    off = median(abs(a - b) for a, b in slopes) / size
    flat = not bool(found.any())
    limit = 1e-4 if trial.dtype == torch.float64 else 3e-2
    fix = "leave the rounding out of A and count it as noise: Problem(y, A, sigma_y=step / 12**0.5)"
    said = "0 everywhere: A ignores x, or rounds it" if flat else limited(off, limit)
    return Check("gradient", not flat and off <= limit, said, what, fix)


def start(trial: Trial) -> Check:
    first = trial.A.pinv(trial.A(trial.x()))
    good = tuple(first.shape) == trial.shape and is_finite(first)
    what = "pinv(y) is a finite picture to start from."
    return Check(
        "start",
        good,
        f"{tuple(first.shape)}",
        what,
        "def pinv(self, y): return y.new_zeros(self.image_shape(y.shape))",
    )
