"""Reports as plain text: prose that names observables."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

from services.feeds.formats.base import (
    DroppedItem,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    read_options,
)
from services.feeds.formats.prose import LOST_LETTER, ProseOptions, ProseReader
from services.feeds.formats.streams import read_text_document, with_legacy_letters
from services.feeds.formats.unit_account import UnitAccount


class ProseFormat:
    """Plain text. The line of each indicator, or the part around it, becomes its description."""

    name: ClassVar[str] = "report"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = ("text/markdown", ".md", ".report")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        prose = ProseReader(read_options(ProseOptions, options))
        return batched(_items(stream, prose))


def _items(
    stream: BinaryIO, prose: ProseReader
) -> Iterator[ParsedIndicator | DroppedItem | Note | UnitAccount]:
    notes: list[str] = []
    text = with_legacy_letters(read_text_document(stream), notes).decode("utf-8", "replace")
    yield from map(Note, notes)
    if LOST_LETTER in text:
        yield Note("the text is not UTF-8: some of its characters are lost")
    yield from prose.indicators(text)
    yield from prose.end()
