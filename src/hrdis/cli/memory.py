"""Memory of a command's process."""

import ctypes
import os

#: mallopt's names of two bounds, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Larger blocks go back to the system at once: whole photographs, not activations of a tile.
LARGEST = 2**25
#: Variables by which somebody tells the C library the same.
VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Keep what a network call frees for the next one, instead of returning it to the system.

    glibc returns it, and the system clears every page before it hands it out again. That takes 8 to
    11 % of a call of the embedded network from 128 x 128 pixels on. The most that is used at a time
    stays the same. A command's process has this one purpose; a library leaves such a choice to its
    caller.

    Returns:
        True if the C library took it; False without glibc, or where the environment decides.
    """
    if any(name in os.environ for name in VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # macOS, musl, Windows
        return False
    kept = mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, 2**30)
    return bool(kept)
