"""MISP events: their attributes, and the attributes of their objects."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar, NamedTuple, TypeVar

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    count_unit,
    counted,
    excerpt,
    read_options,
)
from services.feeds.formats.misp_attributes import (
    MispAttribute,
    attribute_items,
    read_flag,
    tag_names,
)
from services.feeds.formats.streams import decode_json, json_lines, read_text_document
from services.feeds.formats.unit_account import UnitAccount


class MispOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of an event.

    Attributes:
        include_context: also take attributes that are not meant for detection (`to_ids` false).
    """

    include_context: bool = False


_Decoded = TypeVar("_Decoded")
_Entries = list[msgspec.Raw] | dict[str, msgspec.Raw] | None
"""Entries of an event. A stream's events hold one attribute or object each, and no list of them."""


class _MispObject(msgspec.Struct):
    name: Any = None
    deleted: Any = False
    Attribute: _Entries = None


class _Event(msgspec.Struct):
    """An event, or attributes without one, as searches and streams of attributes give them."""

    info: Any = None
    uuid: Any = None
    date: Any = None
    timestamp: Any = None
    Tag: Any = None
    Attribute: _Entries | msgspec.UnsetType = msgspec.UNSET
    Object: _Entries | msgspec.UnsetType = msgspec.UNSET
    type: Any = None
    value: Any = None

    @property
    def stated_date(self) -> str | None:
        """The date of the event, or else of its last change, as RFC 3339."""
        changed = None if self.timestamp in (0, "0") else fields.timestamp(self.timestamp)
        return fields.timestamp(self.date) or changed

    @property
    def is_event(self) -> bool:
        """Whether this has a property of an event: other software writes "Event", too."""
        return (
            self.Attribute is not msgspec.UNSET
            or self.Object is not msgspec.UNSET
            or isinstance(self.info, str)
            or isinstance(self.uuid, str)
        )


class _EventContext(NamedTuple):
    """What an event says of all its attributes: its tags and its date."""

    tags: list[str]
    date: str | None


class _EventWrapper(_Event):
    Event: _Event | None = None

    def event(self) -> _Event | None:
        """The event in a wrapper, or the event that this is itself."""
        has_entries = bool(self.Attribute or self.Object)
        if self.Event is None:
            return self if has_entries else None
        if has_entries and not (self.Event.Attribute or self.Event.Object):
            self.info = self.Event.info
            self.date = self.Event.date
            self.timestamp = self.Event.timestamp
            self.Tag = self.Event.Tag
            return self
        return self.Event if self.Event.is_event else None

    @property
    def is_attribute(self) -> bool:
        """Whether this is an attribute by itself, without a name for it and an event around it."""
        return self.event() is None and isinstance(self.type, str) and self.value is not None


class _Document(msgspec.Struct):
    response: msgspec.Raw = msgspec.Raw(b"")


class MispFormat:
    """MISP event JSON: one event with or without its wrapper, or a search's `response` with many.

    Tags of the event and of the attribute become tags. Of galaxies only ATT&CK's techniques and
    groups do, as `attack:T1059`; a galaxy's malware becomes the family. What is deleted retracts.
    """

    name: ClassVar[str] = "misp"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = ("application/vnd.misp+json", ".misp.json")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        misp_options = read_options(MispOptions, options)
        return batched(_items(stream, misp_options))


def _items(
    stream: BinaryIO, options: MispOptions
) -> Iterator[ParsedIndicator | DroppedItem | Note | UnitAccount]:
    events = _events(read_text_document(stream))
    account = UnitAccount("attribute")
    for number, event in enumerate(events):
        place = f"response[{number}].Event." if len(events) > 1 else ""
        if isinstance(event, DroppedItem):
            # How many attributes it holds nobody knows: it counts as one.
            account.total += 1
            yield from counted([event], account)
            continue
        if info := fields.short_text(event.info, 200):
            yield Note(f"event: {info}")
        yield from _event_items(place, event, options, account)
    yield account


def _event_items(
    place: str, event: _Event, options: MispOptions, account: UnitAccount
) -> Iterator[ParsedIndicator | DroppedItem]:
    context = _EventContext(tag_names(event.Tag), event.stated_date)
    attributes = _as_list(event.Attribute)
    account.total += len(attributes)
    for at, raw in enumerate(attributes):
        where = f"{place}Attribute[{at}]"
        items = _attribute_items(where, raw, context, options)
        count_unit(items, account)
        yield from items
    for object_at, raw_object in enumerate(_as_list(event.Object)):
        object_place = f"{place}Object[{object_at}]"
        misp_object = _decoded(object_place, raw_object, _decode_object, "malformed object")
        if isinstance(misp_object, DroppedItem):
            account.total += 1
            yield from counted([misp_object], account)
            continue
        deleted = read_flag(misp_object.deleted)
        of_object = _as_list(misp_object.Attribute)
        account.total += len(of_object)
        for at, raw in enumerate(of_object):
            where = f"{object_place}.Attribute[{at}]"
            items = _attribute_items(where, raw, context, options, deleted=deleted)
            count_unit(items, account)
            yield from items


def _as_list(entries: _Entries | msgspec.UnsetType) -> list[msgspec.Raw]:
    if isinstance(entries, dict):
        return [msgspec.Raw(msgspec.json.encode(entries))]
    return entries or []


def _events(data: bytes) -> list[_Event | DroppedItem]:
    """The events of a document; a bad one costs itself.

    Raises:
        MalformedDocument: none of its entries is an event or an attribute.
    """
    entries = _entries(data)
    if len(entries) == 1:
        decode_json(bytes(entries[0]), _EventWrapper)
    wrappers = [
        _decoded(f"response[{at}]", raw, _decode_wrapper, "malformed event")
        for at, raw in enumerate(entries)
    ]
    if wrappers and all(map(_is_attribute, wrappers)):
        return [_Event(Attribute=entries)]
    events = [
        _event(f"response[{at}]", entry, raw)
        for at, (entry, raw) in enumerate(zip(wrappers, entries, strict=True))
    ]
    if events and all(isinstance(event, DroppedItem) for event in events):
        raise MalformedDocument(
            'this is no MISP event: there is neither "Event" nor "Attribute"', "$"
        )
    return events


def _is_attribute(entry: _EventWrapper | DroppedItem) -> bool:
    return isinstance(entry, _EventWrapper) and entry.is_attribute


def _event(
    where: str, entry: _EventWrapper | DroppedItem, raw: msgspec.Raw
) -> _Event | DroppedItem:
    if isinstance(entry, DroppedItem):
        return entry
    if entry.is_attribute:
        return _Event(Attribute=[raw])
    detail = "neither an event nor an attribute"
    return entry.event() or _dropped(where, raw, "malformed event", detail)


def _entries(data: bytes) -> list[msgspec.Raw]:
    """The events and attributes of a document, not yet decoded."""
    if data.lstrip()[:1] == b"[":
        return _decode_list(data)
    if lines := json_lines(data):
        return [msgspec.Raw(line) for line in lines]
    document: _Document = decode_json(data, _Document)
    response = bytes(document.response)
    if not response or response == b"null":
        return [msgspec.Raw(data.strip())]
    if response[:1] == b"[":
        return _decode_list(response)
    return [msgspec.Raw(response)]


def _decode_list(data: bytes) -> list[msgspec.Raw]:
    entries: list[msgspec.Raw] = decode_json(data, list[msgspec.Raw])
    return entries


def _decoded(
    where: str, raw: msgspec.Raw, decode: Callable[[msgspec.Raw], _Decoded], reason: str
) -> _Decoded | DroppedItem:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        return _dropped(where, raw, reason, str(problem))


def _dropped(where: str, raw: msgspec.Raw, reason: str, detail: str) -> DroppedItem:
    text = bytes(memoryview(raw)[:200]).decode("utf-8", "replace")
    return DroppedItem(where, excerpt(text), reason, detail)


def _attribute_items(
    where: str,
    raw: msgspec.Raw,
    event: _EventContext,
    options: MispOptions,
    *,
    deleted: bool | None = False,
) -> Sequence[ParsedIndicator | DroppedItem]:
    attribute = _decoded(where, raw, _decode_attribute, "malformed attribute")
    if isinstance(attribute, DroppedItem):
        return (attribute,)
    if deleted is None:
        detail = "the flag deleted of its object says neither yes nor no"
        return (_dropped(where, raw, "malformed attribute", detail),)
    return attribute_items(
        where,
        attribute,
        event.tags,
        include_context=options.include_context,
        deleted=deleted,
        event_date=event.date,
    )


_decode_wrapper = msgspec.json.Decoder(_EventWrapper).decode
_decode_object = msgspec.json.Decoder(_MispObject).decode
_decode_attribute = msgspec.json.Decoder(MispAttribute).decode
