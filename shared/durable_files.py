"""Files that outlast a power cut, their digests, and the id of a data folder."""

import hashlib
import os
from pathlib import Path
from typing import Final
from uuid import uuid4

_FOLDER_ID: Final = "data-folder-id"


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def sync_folder(folder: Path) -> None:
    """Let the names in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def folder_id(folder: Path) -> str:
    """The id of a data folder, which is made when it has none.

    Whoever finds another id than before looks at another folder.
    """
    path = folder / _FOLDER_ID
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"{_FOLDER_ID}.{uuid4().hex}"
        with fresh.open("w") as file:
            file.write(uuid4().hex)
            file.flush()
            os.fsync(file.fileno())
        try:
            # Of several processes the first one names the folder.
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        sync_folder(folder)
    return path.read_text().strip()
