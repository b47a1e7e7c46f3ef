"""What was fetched or uploaded, without its wrapping, kept by zstd under the SHA-256 of its bytes."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import zstandard

from services.feeds.runs.unpack import Unpacked, unpack
from shared.errors import InvalidInput, TooLargeInput

MAX_UPLOAD: Final = 512 * 1024 * 1024
_GRACE: Final = 24 * 3600.0
"""Seconds that a file may be in use by somebody who has not said so yet."""


class Payloads:
    """A folder of payloads, shared by the service's processes.

    Args:
        data_dir: the installation's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "payloads"
        self._incoming = self._folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a payload is."""
        return self._folder / digest[:2] / f"{digest}.zst"

    def size(self, digest: str) -> int:
        """Bytes that a payload takes; 0 when it is not kept."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what is not complete yet; gone afterwards."""
        folder = Path(tempfile.mkdtemp(dir=self._incoming))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, file: Path) -> Unpacked:
        """Unwrap a file (gzip, zip, zstd), store its content, and remove it.

        Raises:
            MalformedDocument, TooLarge: see `unpacking.unpack`; nothing is kept.
        """
        packed = file.with_name(f"{file.name}.zst")
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        try:
            with (
                file.open("rb") as source,
                packed.open("wb") as target,
                compressor.stream_writer(target, closefd=False) as sink,
            ):
                unpacked = unpack(source, sink)
            final = self.path(unpacked.sha256)
            final.parent.mkdir(exist_ok=True)
            packed.replace(final)
        finally:
            packed.unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        return unpacked

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """A payload's content, from its beginning.

        Raises:
            InvalidInput: it is not kept any more.
        """
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError:
            raise InvalidInput(
                "This payload is not kept any more; fetch or upload it again."
            ) from None
        with file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            yield stream

    async def receive(self, stream: AsyncIterator[bytes], folder: Path) -> Path:
        """An upload as a file in a scratch folder.

        Raises:
            TooLargeInput: it is larger than an upload may be.
        """
        path, size = folder / "upload", 0
        with path.open("wb") as file:  # into the page cache, piece by piece
            async for chunk in stream:
                size += len(chunk)
                if size > MAX_UPLOAD:
                    raise TooLargeInput(f"An upload may have {MAX_UPLOAD:,} bytes.")
                file.write(chunk)
        return path

    def prune(self, wanted: Container[str]) -> int:
        """Remove payloads that nobody wants any more; how many."""
        old = time.time() - _GRACE
        removed = 0
        for path in self._folder.glob("??/*.zst"):
            if path.stem not in wanted and path.stat().st_mtime < old:
                path.unlink(missing_ok=True)
                removed += 1
        for folder in self._incoming.iterdir():
            if folder.stat().st_mtime < old:
                shutil.rmtree(folder, ignore_errors=True)
        return removed
