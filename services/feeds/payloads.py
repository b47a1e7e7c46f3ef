"""What was fetched or uploaded, kept as it came, under the SHA-256 of its bytes."""

import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from shared.errors import TooLargeInput

MAX_UPLOAD = 512 * 1024 * 1024


class Payloads:
    """A folder of payloads, shared by the service's processes.

    Args:
        data_dir: the installation's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "payloads"
        self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a payload is."""
        return self._folder / digest[:2] / digest

    def scratch(self) -> Path:
        """A place to write a payload to whose digest is not known yet."""
        handle, name = tempfile.mkstemp(dir=self._folder, prefix="incoming-")
        os.close(handle)
        return Path(name)

    def keep(self, scratch: Path, digest: str) -> Path:
        """Move a finished payload to its place."""
        final = self.path(digest)
        final.parent.mkdir(exist_ok=True)
        scratch.replace(final)
        return final

    async def receive(self, stream: AsyncIterator[bytes]) -> str:
        """Store an upload; its digest.

        Raises:
            TooLargeInput: it is larger than an upload may be; nothing is kept.
        """
        scratch, digest, size = self.scratch(), hashlib.sha256(), 0
        try:
            with scratch.open("wb") as file:
                async for chunk in stream:
                    size += len(chunk)
                    if size > MAX_UPLOAD:
                        raise TooLargeInput(f"An upload may have {MAX_UPLOAD:,} bytes.")
                    digest.update(chunk)
                    file.write(chunk)
            self.keep(scratch, digest.hexdigest())
        finally:
            scratch.unlink(missing_ok=True)
        return digest.hexdigest()
