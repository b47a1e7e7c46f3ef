"""Pages of rows in a file without a name, between the transaction that reads them and a format."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from tempfile import TemporaryFile
from types import TracebackType
from typing import Final, Self, cast
from uuid import UUID

import msgspec

from services.observables.list_formats.base import Row

_SIZE_BYTES: Final = 8
_WHOLE: Final = msgspec.msgpack.Decoder(list[tuple[str, str, int, int, datetime, UUID]])
_VALUES_ALONE: Final = msgspec.msgpack.Decoder(list[tuple[str, str]])


class ScratchPages:
    """Pages that are written once and then read, so that memory has one of them at a time.

    Args:
        values_alone: whether rows have type and value alone.
    """

    def __init__(self, *, values_alone: bool) -> None:
        self._file = TemporaryFile()  # noqa: SIM115  # closed when the block ends
        self._decoder = _VALUES_ALONE if values_alone else _WHOLE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, pages: Iterable[Sequence[Row]]) -> None:
        """Add pages."""
        encoder = msgspec.msgpack.Encoder()
        for page in pages:
            encoded = encoder.encode(page)
            self._file.write(len(encoded).to_bytes(_SIZE_BYTES))
            self._file.write(encoded)

    def read(self) -> Iterator[Sequence[Row]]:
        """All pages, in the order in which they were added."""
        self._file.seek(0)
        while size := self._file.read(_SIZE_BYTES):
            page = self._decoder.decode(self._file.read(int.from_bytes(size)))
            yield cast("Sequence[Row]", page)
