"""The store of fetched and uploaded documents: unwrapped, compressed, under their SHA-256."""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard

from services.feeds.payloads.unpack import Unpacked
from services.feeds.payloads.unpack_job import document_pieces
from services.feeds.sandbox import document_sandbox
from shared.durable_files import sync_folder
from shared.errors import InvalidInput, TooLargeInput

MAX_UPLOAD: Final = 512 * 1024 * 1024
_UPLOAD: Final = "upload"
_GRACE_SECONDS: Final = 24 * 3600.0
"""A run that has not committed yet may use a file that is younger."""


class PackedPayload(NamedTuple):
    """A payload that is not in its place yet.

    Attributes:
        content: what was unwrapped.
        file: its compressed bytes, in a scratch folder.
    """

    content: Unpacked
    file: Path


class PayloadStore:
    """A folder of payloads, shared by the service's processes.

    Args:
        data_dir: the installation's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "payloads"
        self._incoming = self._folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """The file of a payload."""
        return self._folder / digest[:2] / f"{digest}.zst"

    def size(self, digest: str) -> int:
        """Bytes that a payload takes; 0 when it is not stored."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what is not complete yet; removed afterwards."""
        folder = Path(tempfile.mkdtemp(dir=self._incoming))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, file: Path) -> Unpacked:
        """Unwrap a file, and store its content: `pack`, then `keep`."""
        packed = self.pack(file)
        self.keep(packed)
        return packed.content

    def add_content(self, content: bytes) -> str:
        """Store a document that this platform has written itself; its digest."""
        digest = hashlib.sha256(content).hexdigest()
        if self.path(digest).exists():
            return digest
        with self.scratch() as folder:
            packed = folder / "document.zst"
            with packed.open("wb") as target:
                target.write(
                    zstandard.ZstdCompressor(level=1, write_checksum=True).compress(content)
                )
                target.flush()
                os.fsync(target.fileno())
            self.keep(PackedPayload(Unpacked(digest, len(content), ()), packed))
        return digest

    def pack(self, file: Path) -> PackedPayload:
        """Unwrap a file (gzip, zip, zstd), compress its content beside it, and remove the file.

        A child process unwraps it; its digest is computed here, where no document can reach.

        Raises:
            MalformedDocument: see `unpack`; nothing is left.
            SandboxLimitExceeded: it takes too much to unwrap it; nothing is left.
        """
        packed = file.with_name(f"{file.name}.zst")
        digest = hashlib.sha256()
        size = 0
        wrapping: list[str] = []
        compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
        try:
            with (
                file.open("rb") as source,
                packed.open("wb") as target,
                compressor.stream_writer(target, closefd=False) as sink,
            ):
                for piece in document_pieces(document_sandbox(), source, wrapping):
                    digest.update(piece)
                    size += len(piece)
                    sink.write(piece)
            with packed.open("rb") as written:
                os.fsync(written.fileno())
        except BaseException:
            packed.unlink(missing_ok=True)
            raise
        finally:
            file.unlink(missing_ok=True)
        return PackedPayload(Unpacked(digest.hexdigest(), size, tuple(wrapping)), packed)

    def keep(self, packed: PackedPayload) -> None:
        """Move a payload to its place, where it stays as long as something refers to it."""
        final = self.path(packed.content.sha256)
        final.parent.mkdir(exist_ok=True)
        packed.file.replace(final)
        # A run is pinned to it, also after a power cut.
        sync_folder(final.parent)

    def file(self, digest: str) -> BinaryIO:
        """A payload's file, as it is stored: for a child process to read.

        Raises:
            InvalidInput: it is not stored any more.
        """
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise InvalidInput(
                "This payload is not kept any more; fetch or upload it again."
            ) from None

    @contextmanager
    def open(self, digest: str) -> Iterator[BinaryIO]:
        """A payload's content, from its beginning.

        Raises:
            InvalidInput: it is not stored any more.
        """
        with self.file(digest) as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            yield stream

    async def receive(self, stream: AsyncIterator[bytes], folder: Path) -> Path:
        """An upload as a file in a scratch folder.

        Raises:
            TooLargeInput: it is larger than an upload may be.
        """
        path = folder / _UPLOAD
        size = 0
        with path.open("wb") as file:  # into the page cache, piece by piece
            async for chunk in stream:
                size += len(chunk)
                if size > MAX_UPLOAD:
                    raise TooLargeInput(f"An upload may have {MAX_UPLOAD:,} bytes.")
                file.write(chunk)
        return path

    def prune(self, referenced: Container[str]) -> int:
        """Remove payloads that are not referenced any more; how many there were.

        Args:
            referenced: digests of those that stay.
        """
        oldest = time.time() - _GRACE_SECONDS
        removed = 0
        for path in self._folder.glob("??/*.zst"):
            if path.stem not in referenced and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                removed += 1
        for folder in self._incoming.iterdir():
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
        return removed


def received_bytes(folder: Path) -> int:
    """Bytes of the upload that has come into a scratch folder, complete or not."""
    try:
        return (folder / _UPLOAD).stat().st_size
    except FileNotFoundError:
        return 0
