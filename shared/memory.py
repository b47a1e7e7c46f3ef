"""Memory of a process that holds much now and then."""

import ctypes
import resource
import sys
from pathlib import Path


def release_memory() -> None:
    """Return free memory to the system.

    glibc keeps what many small blocks leave behind for later; for a worker that would be a hundred
    megabytes until it ends. Elsewhere than under glibc nothing is done. See malloc_trim(3).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def resident_memory() -> int:
    """Bytes of memory that this process has; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
