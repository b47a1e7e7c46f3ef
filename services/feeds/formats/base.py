"""What every format speaks: records, what was left out and why, and documents that cannot be read at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from shared.errors import InvalidInput
from shared.stix import NotAnObservable, detect, normalise
from shared.stix.vocabulary import ObservableType

BATCH = 1000
"""Items of a batch: what one event carries."""

_RAW_KEPT = 200
_Options = TypeVar("_Options", bound=msgspec.Struct)


class ParsedIndicator(msgspec.Struct, omit_defaults=True, gc=False):
    """What the source says about one observable.

    Attributes:
        type: observable type, a `shared.stix.ObservableType`.
        value: canonical value.
        confidence: 0 to 100, when the source gives one.
        tags: labels the source gives this observable.
        malware: malware family the source names.
        first_seen: RFC 3339, when the source says it saw it first.
        last_seen: RFC 3339, when the source says it saw it last.
        valid_until: RFC 3339, when the source takes the claim back by itself.
        description: the source's words about it.
        ref: the source's own id or address of the entry.
        retracted: the source takes back what it said of this observable.
    """

    type: str
    value: str
    confidence: int | None = None
    tags: tuple[str, ...] = ()
    malware: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    valid_until: str | None = None
    description: str | None = None
    ref: str | None = None
    retracted: bool = False


class DroppedItem(msgspec.Struct, omit_defaults=True, gc=False):
    """A piece that was left out.

    Attributes:
        where: its place, such as "line 17", "objects[3].pattern" or "Object[2].Attribute[0]".
        raw: the piece, cut to 200 characters.
        reason: a short stable code to count by.
        detail: one sentence for people.
    """

    where: str
    raw: str
    reason: str
    detail: str = ""


class Note(msgspec.Struct, frozen=True):
    """Something a format decided by itself and the reader of a run should know."""

    text: str


class ParsedBatch(msgspec.Struct):
    """Up to about 1,000 items of a document, in its order."""

    indicators: list[ParsedIndicator] = msgspec.field(default_factory=list)
    dropped: list[DroppedItem] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)


class MalformedDocument(InvalidInput):
    """The document as a whole is not what it should be; `where` names the place."""

    code = "malformed-document"

    def __init__(self, message: str, where: str = "document") -> None:
        super().__init__(f"{where}: {message}", where=where)
        self.where = where


class Format(Protocol):
    """A feed format. Stateless: one instance parses any number of documents, also at once.

    Attributes:
        name: what catalogues and the command line call it.
        media: media types and file endings (".csv") it is known by.
        incremental: whether only the first batch can raise `MalformedDocument`: then what is yielded may be used at
            once, otherwise only when the document has ended.
    """

    name: ClassVar[str]
    media: ClassVar[tuple[str, ...]]
    incremental: ClassVar[bool]

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """The document's records, in batches. Nothing but `stream.read(n)` is called; nothing is closed.

        The same bytes and options give the same batches. An observable named twice comes twice.

        Raises:
            MalformedDocument: before anything was yielded, or at any time if the format is not `incremental`; what was
                yielded must then not be used.
            InvalidInput: the options are wrong; the `field` names which.
        """
        ...


class ReadLines(NamedTuple):
    """What some lines hold.

    Attributes:
        records: in the order of the lines.
        lines: for each record, the index of its line among those that were given.
        dropped: what was left out of them.
    """

    indicators: list[ParsedIndicator]
    lines: list[int]
    dropped: list[DroppedItem]


class LinesNotIndependent(Exception):  # tells how to go on, not what went wrong
    """A line means something only together with its neighbours: the document has to be parsed as a whole."""


class LineReader(Protocol):
    """Reads lines of one document, each by itself: a line that was read once need not be read again.

    Attributes:
        layout: all that decides, beside the line, what is read from it: delimiter, columns, types.
        notes: what the format decided by itself.
    """

    layout: str
    notes: Sequence[str]

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """The observables of some lines, which need not be neighbours.

        Args:
            lines: without their ends.
            numbers: the number of each in the document, from 1; headers are known by theirs and left out.

        Raises:
            LinesNotIndependent: one of them begins or ends within something longer.
        """
        ...


@runtime_checkable
class LineFormat(Format, Protocol):
    """A format whose documents are lines that mean the same wherever they stand."""

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> LineReader | None:
        """How a document is read whose first lines are `head`; None when its lines do not stand for themselves.

        Raises:
            MalformedDocument, InvalidInput: as `parse`.
        """
        ...


def read_options(
    kind: type[_Options], options: Mapping[str, Any], field: str = "options"
) -> _Options:
    """`options` as the format's, or the collector's, own structure.

    Raises:
        InvalidInput: an option is unknown or has the wrong type.
    """
    try:
        return msgspec.convert(dict(options), kind)
    except msgspec.ValidationError as problem:
        raise InvalidInput(f"{field}: {problem}", field=field) from None


def dropped(where: str, raw: object, refusal: NotAnObservable) -> DroppedItem:
    """A refusal, at its place."""
    return DroppedItem(where, cut(raw), refusal.reason, refusal.detail)


def cut(raw: object) -> str:
    """At most 200 characters of a piece, storable as it is."""
    text = raw if isinstance(raw, str) else "" if raw is None else repr(raw)
    text = text[:_RAW_KEPT]
    if text.isascii() and text.isprintable():
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def typed(kind: ObservableType | None, raw: str) -> tuple[str, str]:
    """Type and canonical value of `raw`, detected where `kind` is None.

    Raises:
        NotAnObservable: it is none.
    """
    if kind is not None:
        return kind, normalise(kind, raw)
    found = detect(raw)
    return found.type, found.value


def batched(items: Iterable[ParsedIndicator | DroppedItem | Note]) -> Iterator[ParsedBatch]:
    """Items in batches of at most `BATCH`."""
    batch, count = ParsedBatch(), 0
    for item in items:
        if isinstance(item, ParsedIndicator):
            batch.indicators.append(item)
        elif isinstance(item, DroppedItem):
            batch.dropped.append(item)
        else:
            batch.notes.append(item.text)
        count += 1
        if count == BATCH:
            yield batch
            batch, count = ParsedBatch(), 0
    if count:
        yield batch
