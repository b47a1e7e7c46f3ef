"""The sizes of folders and of the disk below them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_BLOCK: Final = 512
"""Bytes of a block in `st_blocks`, whatever the file system."""


class PartSize(NamedTuple):
    """The size of one part of the installation.

    Attributes:
        bytes: that it occupies on the disk.
        free_bytes: that the installation may still use; None where that cannot be seen.
    """

    part: str
    bytes: int
    free_bytes: int | None = None


def disk_size(folder: Path) -> PartSize:
    """Return what is used, and free, of the file system that a folder lies on."""
    usage = shutil.disk_usage(folder)
    return PartSize("disk", usage.used, usage.free)


def folder_sizes(folder: Path) -> Iterator[PartSize]:
    """Return the size of each folder in a folder; what may not be read counts as empty."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in names:
        yield PartSize(f"data/{name}", occupied_bytes(folder / name))


def occupied_bytes(folder: Path) -> int:
    """Return the bytes on the disk of all files below a folder.

    Files with holes count for what they occupy, and a file that disappears meanwhile for nothing.
    """
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * _BLOCK  # noqa: PTH118
            except OSError:
                continue
    return total
