"""When a ping task last ran in this worker's family of processes."""

import mmap
import struct
import time
from typing import Final

_TIME: Final = struct.Struct("d")

_ran_at = mmap.mmap(-1, _TIME.size)


def share() -> None:
    """Give this process, and those that it forks from now on, a note of their own."""
    global _ran_at  # noqa: PLW0603  # one per process family
    # An anonymous shared mapping: a child writes, the parent reads.
    _ran_at = mmap.mmap(-1, _TIME.size)


def record() -> None:
    """Note that a ping runs now."""
    _ran_at[:] = _TIME.pack(time.monotonic())


def last() -> float:
    """Time of the monotonic clock, which all processes of a machine share; 0 before the first."""
    (moment,) = _TIME.unpack(_ran_at[:])
    return float(moment)
