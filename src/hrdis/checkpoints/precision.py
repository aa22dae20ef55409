"""The fastest way to run a network on this machine, found by timed calls and remembered."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from math import log2
from pathlib import Path

import torch
from torch import Tensor

from ..devices import DTYPES, Precision
from ..files import cache_folder, read_json, write_json
from ..priors import Prior, has_onnxruntime, with_onnxruntime
from ..rng import ImageRNG

FILE = "precision.json"  # in the cache folder
GAIN = 0.95  # of fp32's time, which another way must be below to be taken
ROUNDS = 3
PART = 64  # pixels, the side of what gradients are compared on
TIME = 300  # at which ways are compared
#: Largest difference from fp32, relative to its root mean square, of outputs and of gradients.
TOLERANCES: dict[Precision, float] = {"onnx": 1e-4, "bf16": 0.05, "fp16": 0.01}


@dataclass(frozen=True)
class Way:
    """A way to run a network.

    Args:
        precision: "fp32", "onnx", "bf16" or "fp16".
        prior: the prior that runs so.
        why: the reason in a sentence.
    """

    precision: Precision
    prior: Prior
    why: str


def run_in(precision: Precision, prior: Prior, load: Callable[[torch.dtype], Prior]) -> Prior:
    """Return a prior in a precision.

    Args:
        precision: "fp32", "onnx", "bf16" or "fp16".
        prior: in fp32.
        load: loads it in another precision.

    Raises:
        ValueError: if it cannot run so.
    """
    if precision == "fp32":
        return prior
    if precision == "onnx":
        return with_onnxruntime(prior)
    return load(DTYPES[precision])


def fastest(
    prior: Prior,
    load: Callable[[torch.dtype], Prior],
    shape: tuple[int, ...],
    identity: str,
) -> Way:
    """Return the fastest way to run a prior whose results are those of fp32 up to rounding.

    On a CPU this is fp32 or onnx, since half precision changes more than the last digits of
    float32, and few processors have arithmetic for it. On other devices it is one of fp32, bf16 and
    fp16. Each way is compared with fp32 on one call, its gradient too, and then timed in turns with
    it. A way is taken if its best time is below 0.95 of that of fp32. The choice is kept in
    ``precision.json`` of the cache folder, for this machine, device, number of threads, torch,
    onnxruntime, network, and size up to a factor of about 1.4.

    Args:
        prior: in fp32, on the device where it will run.
        load: loads it in another precision.
        shape: (c, h, w) of the images of a call.
        identity: hash of the weights.

    Cost:
        some ten calls, the first time.
    """
    device = next((p.device for p in prior.parameters()), torch.device("cpu"))
    key = _key(device, shape, identity)
    file = cache_folder() / FILE
    known = _known(file)
    taken = known.get(key)
    if taken is None:
        x = ImageRNG([0], "precision").randn(shape).to(device)
        taken = timed(prior, load, x)
        write_json(file, _known(file) | {key: taken})
    best = min(taken, key=lambda precision: taken[precision])
    if taken[best] > GAIN * taken["fp32"]:
        best = "fp32"
    shown = ", ".join(f"{name} {1000 * seconds:.3g} ms" for name, seconds in taken.items())
    size = f"{shape[-2]} x {shape[-1]}"
    why = f"{best} is the fastest way here for {size} pixels (a call takes {shown})"
    return Way(best, run_in(best, prior, load), why)


def timed(prior: Prior, load: Callable[[torch.dtype], Prior], x: Tensor) -> dict[Precision, float]:
    """Return the best seconds of a call for fp32, and for every way that agrees with it."""
    ways: dict[Precision, Prior] = {"fp32": prior}
    seconds: dict[Precision, float] = {}
    on_cpu = x.device.type == "cpu"
    expected, slope = _answer(prior, x)
    for precision, tolerance in TOLERANCES.items():
        if on_cpu != (precision == "onnx") or (on_cpu and not has_onnxruntime()):
            continue
        try:
            other = run_in(precision, prior, load)
            found = _answer(other, x)
        except (ValueError, RuntimeError):  # a network or a device that cannot run so
            continue
        if _off(found[0], expected) <= tolerance and _off(found[1], slope) <= tolerance:
            ways[precision] = other
    for _ in range(ROUNDS):  # in turns, so that a busy moment slows down all
        for precision, way in ways.items():
            took = _seconds(way, x)
            seconds[precision] = min(seconds.get(precision, took), took)
    return seconds


@torch.enable_grad()
def _answer(prior: Prior, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the noise estimate, and the gradient of the sum of its squares for a small part of the
    images.
    """
    with torch.no_grad():
        eps = prior(x, TIME).eps
    # The graph of a whole tile may not fit into memory.
    given = x[..., :PART, :PART].clone().requires_grad_()
    (slope,) = torch.autograd.grad(prior(given, TIME).eps.square().sum(), given)
    return eps, slope


def _off(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().square().mean().sqrt() / expected.square().mean().sqrt())


@torch.no_grad()
def _seconds(prior: Prior, x: Tensor) -> float:
    # On a CPU other programs take turns with this one: its own time is what tells ways apart.
    clock = time.process_time if x.device.type == "cpu" else time.perf_counter
    started = clock()
    float(prior(x, TIME).eps.sum())  # waits for a GPU
    return clock() - started


def _key(device: torch.device, shape: tuple[int, ...], identity: str) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    runtime = version("onnxruntime") if has_onnxruntime() else "none"
    size = round(2 * log2(shape[-2] * shape[-1]))
    parts = (platform.node(), platform.machine(), name, torch.get_num_threads())
    return "|".join(map(str, (*parts, torch.__version__, runtime, identity[:16], size)))


def _known(file: Path) -> dict[str, dict[Precision, float]]:
    """Return the remembered times; none where there is no file, or a damaged one."""
    try:
        return read_json(file)
    except (OSError, ValueError):
        return {}
