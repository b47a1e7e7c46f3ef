"""JSON and JSON Lines: JMESPath expressions say where the items are and what of an item is what."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar, Final

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
    batched,
    cut,
    dropped,
    read_options,
    typed,
)
from services.feeds.formats.columns import filled
from services.feeds.formats.streams import HEAD, decode_json, document, numbered_lines
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, ObservableType, detect

_USUAL_VALUES: Final = (
    *(
        "ioc",
        "ioc_value",
        "indicator",
        "value",
        "observable",
        "url",
        "ip",
        "ip_address",
        "domain",
        "host",
        "hostname",
    ),
    *("cidr", "sha256", "sha256_hash", "sha1", "md5", "hash", "cveID", "asn"),
)
_LOOKED_AT: Final = 50
_HEAD_LINES: Final = 200


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a JSON feed. All but the last four are JMESPath expressions, of an item unless said otherwise.

    Attributes:
        items: of the document: its items; the document itself when it is a list, else its first list of objects.
        value: the observable, or a list of them; several expressions give several observables per item.
        type_at: the observable's type in the source's words.
        type: the type of every value; detected value by value when neither is given.
        types: what the words at `type_at` mean, beyond the usual ones.
        family: malware family of all items that name none.
        lines: whether each line is an item (JSON Lines); told by the first line when not given.
    """

    items: str | None = None
    value: str | list[str] | None = None
    type_at: str | None = None
    confidence: str | None = None
    tags: str | list[str] | None = None
    malware: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    valid_until: str | None = None
    description: str | None = None
    ref: str | None = None
    type: str | None = None
    types: dict[str, str] = msgspec.field(default_factory=dict)
    family: str | None = None
    lines: bool | None = None


class JsonFormat:
    """JSON documents and JSON Lines. See `Options`."""

    name: ClassVar[str] = "json"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = (
        "application/json",
        "application/x-ndjson",
        ".json",
        ".jsonl",
        ".ndjson",
    )

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        chosen = read_options(Options, options)
        item = _Item(chosen)
        data = document(stream)
        head = data[:HEAD].decode("utf-8", "replace").split("\n")[:_HEAD_LINES]
        if _by_lines(head, chosen):
            yield from _parse_lines(LineItems(item, head), numbered_lines(io.BytesIO(data)))
        else:
            yield from batched(_items(data, item, chosen))

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "LineItems | None":
        """See `LineFormat.reader`."""
        chosen = read_options(Options, options)
        return LineItems(_Item(chosen), head) if _by_lines(head, chosen) else None


def _by_lines(head: Sequence[str], options: Options) -> bool:
    """Whether the first two lines are a JSON document each; of a single one only the option tells."""
    if options.lines is not None:
        return options.lines
    full = [line for line in head if line.strip()][:2]
    try:
        return len(full) == 2 and all(isinstance(msgspec.json.decode(line), dict) for line in full)
    except (msgspec.DecodeError, RecursionError):
        return False


def _parse_lines(
    reader: "LineItems", blocks: Iterator[tuple[int, list[str]]]
) -> Iterator[ParsedBatch]:
    notes = list(reader.notes)
    for start, lines in blocks:
        found = reader.read(lines, range(start, start + len(lines)))
        yield ParsedBatch(found.indicators, found.dropped, notes)
        notes = []


def _items(
    data: bytes, item: "_Item", options: Options
) -> Iterator[ParsedIndicator | DroppedItem | Note]:
    decoded = decode_json(data, Any)
    if options.items is None:
        listed, where = _first_list(decoded)
    else:
        listed, where = _search(_expression(options.items, "items"), decoded), options.items
    if not isinstance(listed, list):
        raise MalformedDocument(f"there is no list of items at {where!r}", "$")
    if note := item.learn(listed):
        yield Note(note)
    for number, one in enumerate(listed):
        yield from item.indicators(one, f"{where}[{number}]")


def _first_list(decoded: Any) -> tuple[Any, str]:
    if isinstance(decoded, list):
        return decoded, "$"
    if isinstance(decoded, dict):
        # Some providers key their items by an id: {"1234": [{…}], …}.
        if len(decoded) > 1 and all(isinstance(value, list) for value in decoded.values()):
            return [one for value in decoded.values() for one in value], "*[]"
        for name, value in decoded.items():
            if isinstance(value, list) and value and isinstance(value[0], dict | str):
                return value, name
    return None, "$"


class LineItems:
    """Reads the lines of a JSON Lines document, each by itself."""

    def __init__(self, item: "_Item", head: Sequence[str]) -> None:
        note = item.learn([decoded for line in head if (decoded := _decoded(line)) is not None])
        self._item = item
        self.notes: Sequence[str] = [note] if note else []
        self.layout = note or ""

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        found = ReadLines([], [], [])
        for at, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                decoded = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as problem:
                found.dropped.append(
                    DroppedItem(f"line {numbers[at]}", cut(line), "malformed item", str(problem))
                )
                continue
            for one in self._item.indicators(decoded, f"line {numbers[at]}"):
                if isinstance(one, ParsedIndicator):
                    found.indicators.append(one)
                    found.lines.append(at)
                else:
                    found.dropped.append(one)
        return found


def _decoded(line: str) -> Any:
    try:
        return msgspec.json.decode(line) if line.strip() else None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _expression(text: str, name: str) -> ParsedResult:
    try:
        return jmespath.compile(text)
    except JMESPathError as problem:
        first = str(problem).splitlines()[0]
        raise InvalidInput(
            f"{text!r} is no JMESPath expression: {first}", field=f"options.{name}"
        ) from None


def _search(expression: ParsedResult, item: Any) -> Any:
    try:
        return expression.search(item)
    except JMESPathError:
        return None  # a function met a value of another type: there is nothing at that place of this item


def _listed(value: str | list[str] | None) -> list[str]:
    return value if isinstance(value, list) else [] if value is None else [value]


class _Item:
    """Takes items apart: the options' expressions, compiled."""

    def __init__(self, options: Options) -> None:
        self._kind = fields.type_option(options.type)
        self._values = [_expression(text, "value") for text in _listed(options.value)]
        self._tags = [_expression(text, "tags") for text in _listed(options.tags)]
        self._type = None if options.type_at is None else _expression(options.type_at, "type_at")
        for name in options.types.values():
            fields.type_option(name, "options.types")
        said = {
            word.strip().lower(): fields.TYPES[name.strip().lower()]
            for word, name in options.types.items()
        }
        self._types = {**fields.TYPES, **said}
        self._family = options.family
        self._others = [
            (name, _expression(text, name), read)
            for name, read in _READERS.items()
            if (text := getattr(options, name)) is not None
        ]

    def learn(self, items: Sequence[Any]) -> str | None:
        """Find out where the values are, if that was not said; a note about it.

        Raises:
            MalformedDocument: no usual name holds observables.
        """
        sample = items[:_LOOKED_AT]
        if self._values or not sample:
            return None
        if all(isinstance(one, str) for one in sample):
            self._values = [_expression("@", "value")]
            return "each item is taken as a value"
        counts = {name: sum(_is_observable(one, name) for one in sample) for name in _USUAL_VALUES}
        best = max(counts, key=counts.__getitem__)
        if not counts[best]:
            names = sorted(
                {str(name)[:40] for one in sample if isinstance(one, dict) for name in one}
            )[:30]
            raise MalformedDocument(
                f"no usual property holds observables; there are {', '.join(names)}", "$"
            )
        self._values = [_expression(f'"{best}"', "value")]
        return f"values taken from {best!r}: {counts[best]} of the first {len(sample)} items hold observables there"

    def indicators(self, item: Any, where: str) -> Iterator[ParsedIndicator | DroppedItem]:
        """The observables of an item."""
        values = [
            value for expression in self._values for value in _flat(_search(expression, item))
        ]
        if not values:
            yield DroppedItem(where, cut(item), "no value", "nothing is at the place of the value")
            return
        context = self._context(item)
        kind = self._kind_of(item)
        for value in values:
            try:
                yield ParsedIndicator(*typed(kind, value), **context)
            except NotAnObservable as refusal:
                yield dropped(where, value, refusal)

    def _kind_of(self, item: Any) -> ObservableType | None:
        word = None if self._type is None else _search(self._type, item)
        return (
            self._types.get(word.strip().lower(), self._kind)
            if isinstance(word, str)
            else self._kind
        )

    def _context(self, item: Any) -> dict[str, Any]:
        context: dict[str, Any] = {
            name: read(_search(expression, item)) for name, expression, read in self._others
        }
        if self._tags:
            context["tags"] = fields.tags(*(_search(expression, item) for expression in self._tags))
        if self._family and not context.get("malware"):
            context["malware"] = self._family
        return context


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, list):
        for one in value:
            yield from _flat(one)


def _is_observable(item: Any, name: str) -> bool:
    value = item.get(name) if isinstance(item, dict) else None
    try:
        return isinstance(value, str) and bool(detect(value))
    except NotAnObservable:
        return False


def _name(value: Any) -> str | None:
    return filled(value) if isinstance(value, str) else None


_READERS = {
    "confidence": fields.confidence,
    "malware": _name,
    "first_seen": fields.timestamp,
    "last_seen": fields.timestamp,
    "valid_until": fields.timestamp,
    "description": fields.words,
    "ref": fields.words,
}
