"""PDF documents, page by page."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    read_options,
)
from services.feeds.formats.prose import ProseOptions, ProseReader, read_binary_document
from services.feeds.formats.unit_account import UnitAccount
from shared.documents import pdf
from shared.errors import InvalidInput


class PdfFormat:
    """PDF documents with text; scanned pages hold none.

    `ref` is the page, the description the words around. Hashes and URLs that a line end breaks are
    joined again.
    """

    name: ClassVar[str] = "pdf"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = ("application/pdf", ".pdf")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`.

        Raises:
            MalformedDocument: also if the document is broken or encrypted.
        """
        prose = ProseReader(read_options(ProseOptions, options))
        return batched(_items(stream, prose))


def _items(
    stream: BinaryIO, prose: ProseReader
) -> Iterator[ParsedIndicator | DroppedItem | Note | UnitAccount]:
    notes: list[str] = []
    data = read_binary_document(stream)
    try:
        date = pdf.newest_date(data)
        for page in pdf.pages(data, notes):
            where = f"page {page.number}"
            if page.text is None:
                # What it mentions nobody knows: it counts as one mention.
                prose.account.total += 1
                prose.account.count("unreadable page")
                yield DroppedItem(where, "", "unreadable page", page.problem)
            else:
                yield from prose.indicators(page.text, ref=where, last_seen=date)
    except InvalidInput as problem:
        raise MalformedDocument(problem.message) from None
    yield from map(Note, notes)
    yield from prose.end()
