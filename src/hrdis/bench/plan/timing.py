"""Time and memory of a piece of work: of the device, or of the process."""

import ctypes
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor

from ...priors.base import Prior

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Context that measures the most memory in use during a piece of work on one device.

    Args:
        device: device of the work.
        host: measure the memory of the process, too, where that is the device's. The process has to
            give back what it does not need and to take it again, which costs a percent of a short
            run.

    Args:
        allocated: on CUDA the most bytes that tensors took; else, with ``host``, the growth of the
            process at its largest, None where the system does not tell (only Linux does).
        reserved: on CUDA the most bytes that the allocator held, else None.
    """

    allocated: int | None = None
    reserved: int | None = None

    def __init__(self, device: torch.device, *, host: bool = False):
        self.device, self.host = device, host
        self._before: int | None = None

    def wait(self) -> None:
        """Wait until the device has done all work it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def __enter__(self) -> "PeakMemory":
        self.wait()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif self.host:
            # Free memory goes back to the system, or its next use would not count (glibc only).
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)
            # Writing "5" makes the kernel forget the highest value so far.
            with suppress(OSError):
                CLEAR.write_text("5")
                self._before = process_memory("VmRSS")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.device.type == "cuda":
            self.allocated = torch.cuda.max_memory_allocated(self.device)
            self.reserved = torch.cuda.max_memory_reserved(self.device)
        elif self._before is not None:
            highest = process_memory("VmHWM")
            if highest is not None:
                self.allocated = max(0, highest - self._before)


def process_memory(name: str) -> int | None:
    """Return VmRSS (now) or VmHWM (the highest so far) of this process in bytes; None where the
    system does not tell.
    """
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def time_call(prior: Prior, x: Tensor, *, backward: bool = False, repeats: int = 3) -> float:
    """Return the seconds of one network call, the median of ``repeats`` after a first one.

    Args:
        prior: the prior.
        x: images of the size to be timed.
        backward: include the gradient with respect to x.
        repeats: number of timed calls.
    """
    seconds = []
    for _ in range(repeats + 1):
        with PeakMemory(x.device) as peak:
            started = time.perf_counter()
            if backward:
                with torch.enable_grad():
                    x = x.detach().requires_grad_()
                    torch.autograd.grad(prior(x, 1).x0_hat.sum(), x)
            else:
                with torch.no_grad():
                    prior(x, 1)
            peak.wait()
            seconds.append(time.perf_counter() - started)
    # The first call warms caches and, on CUDA, chooses kernels: it is not counted.
    return sorted(seconds[1:])[repeats // 2]
