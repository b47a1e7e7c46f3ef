"""Packed datasets as files: all processes of a machine map the same pages into their memory."""

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

_LOCK_SECONDS: Final = 2.0
"""Seconds to wait for a process that writes; a frozen one must not stop the others."""


def map_dataset(name: str, digest: str, fetch: Callable[[], bytes]) -> memoryview | bytes:
    """A dataset's packed bytes from this machine's file, which is written where it is outdated.

    Sharing only saves memory. Where it fails, the bytes are used as they were fetched.

    Args:
        name: of the dataset.
        digest: SHA-256 of its bytes, hexadecimal; a file with another digest is not used.
        fetch: reads the bytes from the database.
    """
    folder = load_settings().data_dir / "reference"
    path = folder / name
    try:
        if (mapped := _map_file(path, digest)) is not None:
            return mapped
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.lock").open("w") as lock:
            if not _acquire(lock.fileno()):
                return fetch()
            # Another process may have written it while this one waited for the lock.
            return _map_file(path, digest) or _write(path, digest, fetch())
    except OSError as error:
        log.warning("reference.map_failed", dataset=name, reason=str(error))
        return fetch()


def _acquire(lock: int) -> bool:
    """Take the lock of writers: all processes look for newer data at about the same time."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def _map_file(path: Path, digest: str) -> memoryview | None:
    try:
        with path.open("rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (FileNotFoundError, ValueError):  # an empty file cannot be mapped
        return None
    return mapped if hashlib.sha256(mapped).hexdigest() == digest else None


def _write(path: Path, digest: str, content: bytes) -> memoryview | bytes:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    # Renaming replaces the directory entry: processes that mapped the older file keep it.
    part.replace(path)
    # The database may have newer bytes than the digest by a moment; these are good as well.
    return _map_file(path, digest) or content
