"""JSON and JSON Lines: JMESPath expressions locate the items, and the fields of each item."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar, Final

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
    batched,
    counted,
    excerpt,
    keep_options,
    read_options,
    refuse_wide_network,
    refused_item,
    typed_value,
)
from services.feeds.formats.entry_relations import relate, set_own_aside
from services.feeds.formats.json_items import (
    described_fields,
    guess_row_values,
    guess_values,
    late_values,
    marking_paths,
)
from services.feeds.formats.json_lists import find_items
from services.feeds.formats.json_paths import JsonPath
from services.feeds.formats.misp_attributes import is_set
from services.feeds.formats.streams import (
    HEAD,
    decode_json,
    numbered_lines,
    read_text_document,
    text_head,
    with_legacy_letters,
)
from services.feeds.formats.table_headers import declared_by_path
from services.feeds.formats.table_layout import name_or_none
from services.feeds.formats.type_words import (
    SHAPELESS,
    Declared,
    TypeWords,
    as_types,
    value_of,
)
from services.feeds.formats.unit_account import UnitAccount, account_of_lines
from shared.stix import NotAnObservable

_HEAD_LINES: Final = 200
_SAMPLED_ITEMS: Final = 50
_BOOLEAN_FLAGS: Final = ("ioc", "is_ioc", "isIoc", "isIOC", "for_detection", "detection")
"""Flags by which tools say whether an entry is an indicator; elsewhere `ioc` is its value."""

_FLAGS: Final = frozenset({"to_ids", *_BOOLEAN_FLAGS})


class JsonOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a JSON feed. Those up to `ref` are JMESPath expressions on an item.

    Attributes:
        items: an expression on the document that gives its items. Without it they are the document
            itself if it is a list or holds an observable, else its list with most observables.
        value: the observable, or a list of them; several expressions give several observables.
        type_at: the observable's type in the source's words.
        type: the type of every value; without it and `type_at` each value's type is detected.
        types: type names at `type_at` beyond the usual ones.
        family: malware family of all items that name none.
        marking: the level of TLP or PAP, which becomes a tag; properties of this meaning are read
            by their names where no expression is given.
        lines: whether each line is an item (JSON Lines); without it the first lines decide.
    """

    items: str | None = None
    value: str | list[str] | None = None
    type_at: str | None = None
    confidence: str | None = None
    tags: str | list[str] | None = None
    marking: str | list[str] | None = None
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
    """JSON documents and JSON Lines. See `JsonOptions`."""

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
        json_options = read_options(JsonOptions, options)
        item_reader = _ItemReader(json_options)
        notes: list[str] = []
        data = with_legacy_letters(read_text_document(stream), notes)
        if notes:
            yield ParsedBatch(notes=notes)
        head = text_head(data[:HEAD]).decode("utf-8", "replace").split("\n")[:_HEAD_LINES]
        if _is_json_lines(head, json_options):
            reader = JsonLinesReader(item_reader, head)
            yield from _parse_lines(reader, numbered_lines(io.BytesIO(data)))
        else:
            yield from batched(_document_items(decode_json(data, Any), item_reader, json_options))

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> "JsonLinesReader | None":
        """See `LineFormat.reader`."""
        json_options = read_options(JsonOptions, options)
        if not _is_json_lines(head, json_options):
            return None
        return JsonLinesReader(_ItemReader(json_options), head)


def _is_json_lines(head: Sequence[str], options: JsonOptions) -> bool:
    """Whether the first two lines are an object each; a single line needs the option."""
    if options.lines is not None:
        return options.lines
    lines = [line for line in head if line.strip()][:2]
    try:
        return len(lines) == 2 and all(
            isinstance(msgspec.json.decode(line), dict) for line in lines
        )
    except (msgspec.DecodeError, RecursionError):
        return False


def _parse_lines(
    reader: "JsonLinesReader", blocks: Iterator[tuple[int, list[str]]]
) -> Iterator[ParsedBatch]:
    notes = list(reader.notes)
    for start, lines in blocks:
        result = reader.read(lines, range(start, start + len(lines)))
        yield ParsedBatch(result.indicators, result.dropped, notes, result.account)
        notes = []


def document_items(
    document: Any, options: JsonOptions
) -> Iterator[ParsedIndicator | DroppedItem | Note | UnitAccount]:
    """The items of a decoded document.

    Raises:
        MalformedDocument: it has no list of items, or it is in doubt which one is meant.
    """
    yield from _document_items(document, _ItemReader(options), options)


def _document_items(
    document: Any, item_reader: "_ItemReader", options: JsonOptions
) -> Iterator[ParsedIndicator | DroppedItem | Note | UnitAccount]:
    if options.items is None:
        located = find_items(document)
        items = located.items if located else None
        where = located.path if located else "$"
        columns = located.columns if located else ()
    else:
        columns = ()
        items = JsonPath(options.items, "items").search(document)
        where = options.items
    if not isinstance(items, list):
        raise MalformedDocument(f"there is no list of items at {where!r}", "$")
    with keep_options(options):
        notes = item_reader.guess_values(items, columns)
    yield from map(Note, notes)
    account = UnitAccount("item", len(items))
    for number, item in enumerate(items):
        yield from counted(item_reader.indicators(item, f"{where}[{number}]"), account)
    yield account


class JsonLinesReader:
    """Reads the lines of a JSON Lines document, each independently."""

    def __init__(self, item_reader: "_ItemReader", head: Sequence[str]) -> None:
        items = [item for line in head if (item := _decode_or_none(line)) is not None]
        self._item_reader = item_reader
        self.notes: Sequence[str] = item_reader.guess_values(items)
        self.layout = item_reader.layout()

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """See `LineReader.read`."""
        result = ReadLines([], [], [])
        reasons: list[tuple[int, str]] = []
        blank = 0
        for at, line in enumerate(lines):
            if not line.strip():
                blank += 1
                continue
            try:
                decoded = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as problem:
                result.dropped.append(
                    DroppedItem(
                        f"line {numbers[at]}", excerpt(line), "malformed item", str(problem)
                    )
                )
                reasons.append((at, "malformed item"))
                continue
            for item in self._item_reader.indicators(decoded, f"line {numbers[at]}"):
                if isinstance(item, ParsedIndicator):
                    result.indicators.append(item)
                    result.lines.append(at)
                else:
                    result.dropped.append(item)
                    reasons.append((at, item.reason))
        account = account_of_lines(len(lines), result.lines, reasons, {"blank": blank})
        return result._replace(account=account, dropped_lines=[at for at, _ in reasons])


def _decode_or_none(line: str) -> Any:
    try:
        return msgspec.json.decode(line) if line.strip() else None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def _as_list(texts: str | list[str] | None) -> list[str]:
    if texts is None:
        return []
    return texts if isinstance(texts, list) else [texts]


def _declared(path: str) -> Declared | None:
    """The type that the name of a property declares, where values do not tell it themselves."""
    kind = declared_by_path([part.strip('"') for part in path.split(".")])
    return kind if kind in SHAPELESS else None


class _ItemReader:
    """Takes items apart with the compiled expressions of the options."""

    def __init__(self, options: JsonOptions) -> None:
        self._refuses_wide_networks = options.value is None
        self._kind = fields.type_option(options.type)
        is_declared = options.type is not None or options.type_at is not None
        self._values = [
            (JsonPath(text, "value"), None if is_declared else _declared(text))
            for text in _as_list(options.value)
        ]
        self._sampled: frozenset[str] | None = None
        self._header: Any = None
        self._tags = [JsonPath(text, "tags") for text in _as_list(options.tags)]
        self._markings = [JsonPath(text, "marking") for text in _as_list(options.marking)]
        self._type = None if options.type_at is None else JsonPath(options.type_at, "type_at")
        self._words = TypeWords(fields.types_option(options.types), self._kind)
        self._family = options.family
        texts = {name: getattr(options, name) for name in _FIELD_READERS}
        self._context_fields = _field_expressions(texts)

    def layout(self) -> str:
        """What was guessed: `LineReader.layout`."""
        kinds = [
            (path.text, sorted(as_types(kind)) if kind else None) for path, kind in self._values
        ]
        described = [path.text for _, path, _ in self._context_fields]
        described += [path.text for path in (*self._tags, *self._markings)]
        type_text = self._type and self._type.text
        return repr((kinds, type_text, described, sorted(self._sampled or ())))

    def guess_values(self, items: Sequence[Any], columns: Sequence[str] = ()) -> list[str]:
        """Guess the expressions of the values unless an option gives them; the notes about them.

        Args:
            items: all items, or the first ones.
            columns: the names of the columns of items that are rows.

        Raises:
            MalformedDocument: no property holds observables, or it is in doubt which ones do.
        """
        if self._values or not items:
            values = [path.text for path, _ in self._values]
            self._describe(described_fields(items[:_SAMPLED_ITEMS], values))
            self._mark(marking_paths(items[:_SAMPLED_ITEMS]))
            return []
        if all(isinstance(item, str) for item in items[:_SAMPLED_ITEMS]):
            self._values = [(JsonPath("@", "value"), None)]
            return ["each item is taken as a value"]
        rows = [item for item in items[:_SAMPLED_ITEMS] if isinstance(item, list)]
        if rows and len(rows) == len(items[:_SAMPLED_ITEMS]):
            guess, has_header = guess_row_values(rows, columns)
            self._header = rows[0] if has_header else None
        else:
            guess = guess_values(items)
            sample = [item for item in items[:_SAMPLED_ITEMS] if isinstance(item, dict)]
            self._sampled = frozenset(name for item in sample for name in item)
        self._describe(guess.fields)
        self._mark(guess.markings)
        if self._type is None and self._kind is None and guess.type_name is not None:
            self._type = JsonPath(guess.type_name, "type_at")
        # The words of types are about the property that names no type itself.
        has_words = self._type is not None and len(guess.names) == 1
        is_declared = has_words or self._kind is not None
        self._values = [
            (JsonPath(name, "value"), None if is_declared else kind)
            for name, kind in zip(guess.names, guess.kinds, strict=True)
        ]
        return guess.notes

    def _describe(self, texts: Mapping[str, str]) -> None:
        """Take the expressions of what describes the values, unless options give some."""
        if not self._context_fields and not self._tags:
            self._context_fields = _field_expressions(texts)
            self._tags = [JsonPath(texts["tags"], "tags")] if "tags" in texts else []

    def _mark(self, texts: Sequence[str]) -> None:
        """Take the expressions of markings, unless an option gives some: a marking binds."""
        self._markings = self._markings or [JsonPath(text, "marking") for text in texts]

    def indicators(self, item: Any, where: str) -> Iterator[ParsedIndicator | DroppedItem]:
        """The indicators of an item."""
        is_object = isinstance(item, dict)
        may_be_unread = (is_object and not _FLAGS.isdisjoint(item)) or item is self._header
        if may_be_unread and (unread := self._unread_item(item, where)):
            yield unread
            return
        values = [
            (kind, value)
            for expression, kind in self._values
            for value in _texts(expression.search(item))
        ]
        sampled = self._sampled
        if sampled is not None and is_object and not sampled.issuperset(item):
            values += self._late_values(item, sampled)
        if not values:
            detail = "nothing is at the place of the value"
            yield DroppedItem(where, excerpt(item), "no value", detail)
            return
        items = [*self._value_items(item, values, where)]
        if len(self._values) > 1 and len(items) > 1:
            items = set_own_aside(items, where)
        yield from relate(items) if len(items) > 1 else items

    def _unread_item(self, item: Any, where: str) -> DroppedItem | None:
        """The item for an entry that is not meant as an indicator; None for others."""
        if isinstance(item, dict) and (flag := _unset_flag(item)):
            detail = f"its {flag} is not set"
            return DroppedItem(where, excerpt(item), "not for detection", detail)
        if self._header is not None and item is self._header:
            return DroppedItem(where, excerpt(item), "context", "it names the columns")
        return None

    def _late_values(
        self, item: dict[str, Any], sampled: frozenset[str]
    ) -> list[tuple[Declared | None, str]]:
        """The values of properties that the first items do not have."""
        late = late_values(item, sampled)
        return [(kind, text) for name, kind in late for text in _texts(item[name])]

    def _value_items(
        self, item: Any, values: Sequence[tuple[Declared | None, str]], where: str
    ) -> Iterator[ParsedIndicator | DroppedItem]:
        context = self._context(item)
        word = None if self._type is None else self._type.search(item)
        for kind, value in values:
            try:
                if kind is None and word is None:
                    type_, canonical = typed_value(self._kind, value)
                else:
                    declared = kind or self._words.type_of(word if isinstance(word, str) else "")
                    type_, canonical = value_of(declared, value)
                if self._refuses_wide_networks and "/" in canonical:
                    refuse_wide_network(type_, canonical, "value")
                yield ParsedIndicator(type_, canonical, **context)
            except NotAnObservable as refusal:
                yield refused_item(where, value, refusal)

    def _context(self, item: Any) -> dict[str, Any]:
        context: dict[str, Any] = {
            name: read_field(expression.search(item))
            for name, expression, read_field in self._context_fields
        }
        if self._tags:
            context["tags"] = fields.tags(*(expression.search(item) for expression in self._tags))
        marks = (fields.marking(path.text, path.search(item)) for path in self._markings)
        if markings := [tag for tags in marks for tag in tags]:
            context["tags"] = fields.tags(context.get("tags", ()), markings)
        if self._family and not context.get("malware"):
            context["malware"] = self._family
        return context


def _unset_flag(item: Mapping[str, Any]) -> str | None:
    """The name of a flag that says that an item is no indicator; None if there is none."""
    if "to_ids" in item and not is_set(item["to_ids"]):
        return "to_ids"
    return next((name for name in _BOOLEAN_FLAGS if item.get(name) is False), None)


def _texts(value: Any) -> Iterator[str]:
    """The texts and numbers in a value and in the lists within it."""
    if isinstance(value, str):
        if value.strip():
            yield value.strip()
    elif isinstance(value, int) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, list):
        for element in value:
            yield from _texts(element)


def _field_expressions(
    texts: Mapping[str, str | None],
) -> list[tuple[str, JsonPath, Callable[[Any], Any]]]:
    """The expressions and readers of the fields for which a text is given."""
    return [
        (name, JsonPath(text, name), read_field)
        for name, read_field in _FIELD_READERS.items()
        if (text := texts.get(name)) is not None
    ]


def _family(value: Any) -> str | None:
    return name_or_none(value) if isinstance(value, str) else None


_FIELD_READERS: dict[str, Callable[[Any], Any]] = {
    "confidence": fields.confidence,
    "malware": _family,
    "first_seen": fields.timestamp,
    "last_seen": fields.timestamp,
    "valid_until": fields.timestamp,
    "description": fields.short_text,
    "ref": fields.short_text,
}
