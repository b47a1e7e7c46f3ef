"""Files that a child gets as descriptors, or that it gets as bytes of the parent's memory."""

import mmap
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO


@contextmanager
def reopened(descriptor: int) -> Iterator[BinaryIO]:
    """The file of a descriptor, from its beginning; the descriptor stays open."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        yield file


@contextmanager
def memory_file(content: memoryview | bytes) -> Iterator[int]:
    """A descriptor of a file in memory with some bytes, for a child to map."""
    if sys.platform == "linux":
        opened = os.fdopen(os.memfd_create("sandbox"), "w+b")
    else:
        opened = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    with opened as file:
        file.write(content)
        file.flush()
        yield file.fileno()


def mapped(descriptor: int) -> mmap.mmap:
    """The content of a `memory_file`, not copied."""
    return mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
