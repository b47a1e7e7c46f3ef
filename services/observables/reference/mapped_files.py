"""Packed reference data as files: all processes of a machine map the same pages into their memory."""

import fcntl
import hashlib
import mmap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from shared.settings import load_settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_PATIENCE: Final = 2.0
"""Seconds to wait for somebody who writes; one who is frozen must not stop the others."""


def mapped(name: str, digest: str, fetch: Callable[[], bytes]) -> memoryview | bytes:
    """A set's packed bytes, from this machine's file of them, which is made or renewed where it has other ones.

    Args:
        name: of the set.
        digest: SHA-256 of its bytes, hexadecimal; a file that has another one is not read.
        fetch: reads the bytes from where they are kept.
    """
    folder = load_settings().data_dir / "reference"
    path = folder / name
    try:
        if (found := _read(path, digest)) is not None:
            return found
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.lock").open("w") as lock:
            if not _taken(lock.fileno()):
                return fetch()
            return _read(path, digest) or _renewed(path, digest, fetch())
    except OSError as error:
        # Sharing saves memory, no more.
        log.warning("reference.not_shared", dataset=name, reason=str(error))
        return fetch()


def _taken(lock: int) -> bool:
    """Whether it is for us to write: processes look at the same time, and who writes takes a moment."""
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def _read(path: Path, digest: str) -> memoryview | None:
    try:
        with path.open("rb") as file:
            found = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (FileNotFoundError, ValueError):  # an empty file cannot be mapped
        return None
    return found if hashlib.sha256(found).hexdigest() == digest else None


def _renewed(path: Path, digest: str, content: bytes) -> memoryview | bytes:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)  # who has the older one mapped keeps it
    # Data that is newer than the digest, by a moment, is good as well.
    return _read(path, digest) or content
