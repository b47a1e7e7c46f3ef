"""Memory of a process that reads a long list now and then."""

import ctypes
import sys


def release_memory() -> None:
    """Return free memory to the system.

    glibc keeps what many small blocks leave behind for later; for a worker that would be a hundred
    megabytes until it ends. Elsewhere than under glibc nothing is done. See malloc_trim(3).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
