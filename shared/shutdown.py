"""A process's request to stop, seen by the processes that it forked as well.

A Celery worker gets the signal, and its children do the work. Work that takes long asks between its
steps, hands its row back and ends, so that another worker goes on at once and nothing looks as if a
worker had died over it.
"""

import mmap

_flag: mmap.mmap | None = None


def share() -> None:
    """Let this process, and those that it forks from now on, see a later request."""
    global _flag  # noqa: PLW0603  # one per process family
    # An anonymous shared mapping: one byte that parent and children see.
    _flag = mmap.mmap(-1, 1)


def request() -> None:
    """Ask for the stop; nothing happens in a process that does not share."""
    if _flag is not None:
        _flag[0] = 1


def is_requested() -> bool:
    """Whether the stop was asked for."""
    return _flag is not None and _flag[0] == 1
