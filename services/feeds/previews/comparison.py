"""The records of a document, and how they change when it is read in another way."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from services.feeds.formats.base import DroppedItem, ParsedIndicator
from services.feeds.formats.registry import format_named, guess_format
from services.feeds.formats.streams import HEAD
from services.feeds.formats.unit_account import UnitAccount
from services.feeds.snapshots.document_parser import OpenDocument, parser_of
from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.indicator_texts import Indices
from services.feeds.snapshots.parse_report import ParseReport
from services.feeds.snapshots.snapshot import FeedSnapshot, compare

MAX_RECORDS: Final = 50
"""Records shown of each sort."""


class DocumentPreview(msgspec.Struct, frozen=True):
    """The first records of a document.

    Attributes:
        format: it was read in.
        reason: why that format was chosen.
        listed: distinct observables.
        types: these by type.
        retracted: the first indicators that the source takes back.
        dropped: counts of what was left out, by reason.
        examples: the first items of these.
        notes: decisions of the format.
        named: indicators that its units gave; each is among `listed`, or counted in `dropped` as a
            duplicate, as taken back, or as too large.
        account: what became of the document's units.
        bytes: size of the unpacked document; None where it was not unpacked.
    """

    format: str
    reason: str
    listed: int = msgspec.field(name="taken")
    types: dict[str, int]
    records: list[ParsedIndicator]
    retracted: list[ParsedIndicator]
    dropped: dict[str, int]
    examples: list[DroppedItem]
    notes: list[str]
    named: int
    account: UnitAccount | None
    bytes: int


class RecordSample(msgspec.Struct, frozen=True):
    """The number of records of a sort, and the first of them."""

    count: int
    records: list[ParsedIndicator]


class ParserComparison(msgspec.Struct, frozen=True):
    """The changes if a stored document is read in another way.

    Attributes:
        listed: distinct observables it would list.
        before: how many the feed's snapshot lists.
        types: those it would list, by type.
        dropped, examples, notes, account: see `DocumentPreview`.
    """

    listed: int = msgspec.field(name="taken")
    before: int
    types: dict[str, int]
    new: RecordSample
    changed: RecordSample
    gone: RecordSample
    dropped: dict[str, int]
    examples: list[DroppedItem]
    notes: list[str]
    account: UnitAccount | None


def preview_document(
    document: OpenDocument,
    *,
    name: str,
    format_name: str | None,
    options: Mapping[str, Any],
    size: int,
) -> DocumentPreview:
    """The first records of a document, and what would be left out.

    Args:
        document: opens it.
        name: its file name or address, which may tell its format.
        format_name: guessed when None.
        options: the format's.
        size: bytes of the document.

    Raises:
        MalformedDocument, InvalidInput: it cannot be read so.
    """
    reason = "it was given"
    if format_name is None:
        format_name, reason = guess_document_format(document, name)
    report = ParseReport()
    reader = DocumentReader("", None, report)
    snapshot = reader.read_all(parser_of(format_named(format_name), options, document))
    difference = compare(None, snapshot)
    report.count_repeated(reader.named - difference.listed)
    report.count_retracted(len(reader.retracted))
    return DocumentPreview(
        format=format_name,
        reason=reason,
        listed=difference.listed,
        types=difference.types,
        records=_first_records(snapshot, difference.seen),
        retracted=reader.retracted[:MAX_RECORDS],
        dropped=dict(report.dropped),
        examples=report.examples,
        notes=report.notes,
        named=report.named,
        account=report.account,
        bytes=size,
    )


def compare_parsers(
    document: OpenDocument,
    before: FeedSnapshot | None,
    format_name: str,
    options: Mapping[str, Any],
) -> ParserComparison:
    """Compare a stored document, read in another way, with the feed's snapshot.

    Args:
        document: opens it.
        before: the feed's snapshot as it stands.
        format_name: the format to read it in.
        options: the format's.

    Raises:
        MalformedDocument, InvalidInput: it cannot be read so.
    """
    report = ParseReport()
    provenance = before.provenance_digest if before else ""
    reader = DocumentReader(provenance, None, report)
    snapshot = reader.read_all(parser_of(format_named(format_name), options, document))
    difference = compare(before, snapshot)
    seen = difference.seen
    was_listed = np.zeros(len(seen), bool)
    gone: list[ParsedIndicator] = []
    if before is not None:
        was_listed = np.isin(snapshot.ids[seen], before.ids)
        gone = _first_records(before, difference.gone)
    return ParserComparison(
        listed=difference.listed,
        before=difference.before,
        types=difference.types,
        new=_sample(snapshot, seen[~was_listed]),
        changed=_sample(snapshot, seen[was_listed]),
        gone=RecordSample(len(difference.gone), gone),
        dropped=dict(report.dropped),
        examples=report.examples,
        notes=report.notes,
        account=report.account,
    )


def guess_document_format(document: OpenDocument, name: str) -> tuple[str, str]:
    """The probable format of a document, and why."""
    with document() as stream:
        return guess_format(name, stream.read(HEAD))


def _sample(snapshot: FeedSnapshot, rows: Indices) -> RecordSample:
    return RecordSample(len(rows), _first_records(snapshot, rows))


def _first_records(snapshot: FeedSnapshot, rows: Indices) -> list[ParsedIndicator]:
    texts = snapshot.indicators(rows[:MAX_RECORDS])
    return [msgspec.json.decode(text, type=ParsedIndicator) for text in texts]
