"""Bundles on their way into the database: a folder of files, one per import."""

import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Final
from uuid import UUID

from shared.errors import TooLargeInput

MAX_BYTES: Final = 256 * 1024 * 1024
"""A bundle may have this size; the largest, of Enterprise, has about 50 MB."""

_STALE_SECONDS: Final = 24 * 3600


class BundleFiles:
    """The folder, shared by the service's processes.

    Args:
        data_dir: the installation's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "mitre"
        self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, import_id: UUID) -> Path:
        """The file of an import's bundle."""
        return self._folder / f"{import_id}.json"

    async def receive(self, stream: AsyncIterator[bytes], import_id: UUID) -> str:
        """Store an upload; the file's name.

        Raises:
            TooLargeInput: it is larger than a bundle may be; nothing is stored.
        """
        final = self.path(import_id)
        part = final.with_suffix(".part")
        size = 0
        try:
            with part.open("wb") as file:
                async for chunk in stream:
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise TooLargeInput(f"A bundle may have {MAX_BYTES:,} bytes.")
                    file.write(chunk)
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)
        return final.name

    def discard(self, import_id: UUID) -> None:
        """Remove the bundle of an import that is done."""
        self.path(import_id).unlink(missing_ok=True)

    def sweep(self, open_imports: Collection[UUID]) -> int:
        """Remove files of crashed imports, older than a day; how many there were."""
        names = {str(import_id) for import_id in open_imports}
        limit = time.time() - _STALE_SECONDS
        stale = [
            file
            for file in self._folder.iterdir()
            if file.stem not in names and file.stat().st_mtime < limit
        ]
        for file in stale:
            file.unlink(missing_ok=True)
        return len(stale)
