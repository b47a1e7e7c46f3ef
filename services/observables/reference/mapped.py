"""Packed reference data as files: all processes of a machine map the same pages into their memory."""

import fcntl
import hashlib
import mmap
from collections.abc import Callable
from pathlib import Path

from shared.logging import get_logger
from shared.settings import load_settings

log = get_logger(__name__)


def mapped(name: str, digest: str, fetch: Callable[[], bytes]) -> memoryview | bytes:
    """A set's packed bytes, from this machine's file of them, which is made or renewed where it has other ones.

    Args:
        name: of the set.
        digest: SHA-256 of its bytes, hexadecimal; a file that has another one is not read.
        fetch: reads the bytes from where they are kept.
    """
    folder = load_settings().data_dir / "reference"
    try:
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # processes look at the same time, and one of them is to write
            return _read(folder / name, digest) or _renewed(folder / name, digest, fetch())
    except OSError as error:
        # Sharing saves memory, no more.
        log.warning("reference.not_shared", dataset=name, reason=str(error))
        return fetch()


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
