"""Files that no other account of the machine can read."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_GROUP_PASSES: Final = stat.S_IXGRP
"""One group may be let through a folder, to what is its own below; it cannot list the folder."""


def keep_files_private() -> int:
    """Let whatever this process and its children create belong to its account alone.

    Returns:
        The umask of before.
    """
    return os.umask(_OTHERS)


@contextmanager
def private_files() -> Iterator[None]:
    """Keep files private while a block runs."""
    before = keep_files_private()
    try:
        yield
    finally:
        os.umask(before)


def close_folder(folder: Path) -> None:
    """Make a folder that belongs to its owner alone, and close one that was open, with its files.

    A folder that is closed already is not searched: nobody else could have reached its files.

    Raises:
        PermissionError: the folder is open, and belongs to another account.
    """
    folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS & ~_GROUP_PASSES:
        # The files first: when this is cut short, the next call finds the folder open again.
        _close_content(folder)
        folder.chmod(mode & ~_OTHERS)


def let_group_pass(folder: Path, group: int) -> None:
    """Let a group's accounts through a folder, which they cannot list, unless all may pass it.

    Args:
        folder: has no other group's files.
        group: its id.
    """
    status = folder.stat()
    if status.st_mode & stat.S_IXOTH:
        return
    if status.st_gid != group:
        os.chown(folder, -1, group)
    folder.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS | _GROUP_PASSES)


def _close_content(folder: Path) -> None:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            # What somebody else owns, or has removed, is not this account's to close.
            with suppress(FileNotFoundError, PermissionError):
                _close(Path(parent) / name)


def _close(path: Path) -> None:
    mode = path.lstat().st_mode
    # The mode of a link is that of its target, which may be outside.
    if not stat.S_ISLNK(mode) and mode & _OTHERS:
        path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner can ever read it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123  # a descriptor, not a path
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
