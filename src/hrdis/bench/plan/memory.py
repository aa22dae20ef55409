"""The most memory that something needed, in bytes: of the device, or of the process."""

import ctypes
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """Around a piece of work on one device.

    Args:
        device: where the work is done.
        host: measure the memory of the process, too, where that is the device's. It has to give
            back what it does not need and to take it again, which costs a percent of a short run.

    Attributes:
        allocated: on CUDA the most that tensors took; else, with ``host``, by how much the process
            grew at its largest, None where the system does not tell (only Linux does).
        reserved: on CUDA the most that the allocator held, else None.
    """

    allocated: int | None = None
    reserved: int | None = None

    def __init__(self, device: torch.device, *, host: bool = False):
        self.device, self.host = device, host
        self._before: int | None = None

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def __enter__(self) -> "Peak":
        self.wait()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif self.host:
            _give_back()
            self._before = resident("VmRSS") if _forget_peak() else None
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
        elif self._before is not None and (now := resident("VmHWM")) is not None:
            self.allocated = max(0, now - self._before)


def resident(name: str) -> int | None:
    """VmRSS (now) or VmHWM (at most since it was last forgotten) of this process."""
    try:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024


def _give_back() -> None:
    """Return free memory to the system, or what is used again would not count (glibc only)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _forget_peak() -> bool:
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True
