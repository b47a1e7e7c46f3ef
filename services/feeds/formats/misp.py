"""MISP events: their attributes, and the attributes of their objects."""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    counted,
    excerpt,
    read_options,
)
from services.feeds.formats.misp_attributes import MispAttribute, attribute_items, is_set, tag_names
from services.feeds.formats.streams import decode_json, read_text_document
from services.feeds.formats.unit_account import UnitAccount


class MispOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of an event.

    Attributes:
        include_context: also take attributes that are not meant for detection (`to_ids` false).
    """

    include_context: bool = False


class _MispObject(msgspec.Struct):
    name: Any = None
    deleted: Any = False
    Attribute: list[msgspec.Raw] = msgspec.field(default_factory=list)


class _Event(msgspec.Struct):
    """An event, or attributes without one, as searches and streams of attributes give them.

    A stream's entries hold one attribute or object each, and no list of them.
    """

    info: Any = None
    Tag: Any = None
    Attribute: list[msgspec.Raw] | dict[str, msgspec.Raw] = msgspec.field(default_factory=list)
    Object: list[_MispObject] | _MispObject = msgspec.field(default_factory=list)
    type: Any = None
    value: Any = None

    def attributes(self) -> list[msgspec.Raw]:
        """Its attributes that belong to no object."""
        if isinstance(self.Attribute, dict):
            return [msgspec.Raw(msgspec.json.encode(self.Attribute))]
        return self.Attribute

    def objects(self) -> list[_MispObject]:
        """Its objects."""
        return self.Object if isinstance(self.Object, list) else [self.Object]


class _EventWrapper(_Event):
    Event: _Event | None = None

    def event(self) -> _Event | None:
        """The event in a wrapper, or the event that this is itself."""
        has_entries = bool(self.Attribute or self.Object)
        if self.Event is None:
            return self if has_entries else None
        if has_entries and not (self.Event.Attribute or self.Event.Object):
            self.info = self.Event.info
            self.Tag = self.Event.Tag
            return self
        return self.Event


class _Document(_EventWrapper):
    response: list[_EventWrapper] | _EventWrapper | None = None


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
    account = UnitAccount("attribute", sum(map(_count_attributes, events)))
    for number, event in enumerate(events):
        place = f"response[{number}].Event." if len(events) > 1 else ""
        if info := fields.short_text(event.info, 200):
            yield Note(f"event: {info}")
        event_tags = tag_names(event.Tag)
        for at, raw in enumerate(event.attributes()):
            where = f"{place}Attribute[{at}]"
            yield from counted(_attribute_items(where, raw, event_tags, options), account)
        for object_at, misp_object in enumerate(event.objects()):
            deleted = is_set(misp_object.deleted)
            for at, raw in enumerate(misp_object.Attribute):
                where = f"{place}Object[{object_at}].Attribute[{at}]"
                items = _attribute_items(where, raw, event_tags, options, deleted=deleted)
                yield from counted(items, account)
    yield account


def _count_attributes(event: _Event) -> int:
    of_objects = sum(len(misp_object.Attribute) for misp_object in event.objects())
    return len(event.attributes()) + of_objects


def _events(data: bytes) -> list[_Event]:
    is_list = data.lstrip()[:1] == b"["
    if is_list:
        wrappers: list[_EventWrapper] = decode_json(data, list[_EventWrapper])
    else:
        document: _Document = decode_json(data, _Document)
        response = document.response if document.response is not None else document
        wrappers = response if isinstance(response, list) else [response]
    if wrappers and all(map(_is_attribute, wrappers)):
        return [_Event(Attribute=decode_json(data, list[msgspec.Raw]) if is_list else [_raw(data)])]
    events = []
    for number, wrapper in enumerate(wrappers):
        event = wrapper.event()
        if event is None:
            raise MalformedDocument(
                'this is no MISP event: there is neither "Event" nor "Attribute"',
                f"$[{number}]" if number else "$",
            )
        events.append(event)
    return events


def _is_attribute(entry: _EventWrapper) -> bool:
    """Whether an entry is an attribute by itself, without a name for it and an event around it."""
    return entry.event() is None and isinstance(entry.type, str) and entry.value is not None


def _raw(data: bytes) -> msgspec.Raw:
    return msgspec.Raw(data.strip())


def _attribute_items(
    where: str,
    raw: msgspec.Raw,
    event_tags: list[str],
    options: MispOptions,
    *,
    deleted: bool = False,
) -> Iterator[ParsedIndicator | DroppedItem]:
    try:
        attribute = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        text = bytes(memoryview(raw)[:200]).decode("utf-8", "replace")
        yield DroppedItem(where, excerpt(text), "malformed attribute", str(problem))
        return
    yield from attribute_items(
        where, attribute, event_tags, include_context=options.include_context, deleted=deleted
    )


_decode = msgspec.json.Decoder(MispAttribute).decode
