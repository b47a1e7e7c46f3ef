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
    """An event, or a list of attributes without one, as a search for attributes gives it."""

    info: Any = None
    Tag: Any = None
    Attribute: list[msgspec.Raw] = msgspec.field(default_factory=list)
    Object: list[_MispObject] = msgspec.field(default_factory=list)


class _EventWrapper(_Event):
    Event: _Event | None = None

    def event(self) -> _Event | None:
        """The event in a wrapper, or the event that this is itself."""
        return self.Event or (self if self.Attribute or self.Object else None)


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
        for at, raw in enumerate(event.Attribute):
            where = f"{place}Attribute[{at}]"
            yield from counted(_attribute_items(where, raw, event_tags, options), account)
        for object_at, misp_object in enumerate(event.Object):
            deleted = is_set(misp_object.deleted)
            for at, raw in enumerate(misp_object.Attribute):
                where = f"{place}Object[{object_at}].Attribute[{at}]"
                items = _attribute_items(where, raw, event_tags, options, deleted=deleted)
                yield from counted(items, account)
    yield account


def _count_attributes(event: _Event) -> int:
    of_objects = sum(len(misp_object.Attribute) for misp_object in event.Object)
    return len(event.Attribute) + of_objects


def _events(data: bytes) -> list[_Event]:
    if data.lstrip()[:1] == b"[":
        wrappers: list[_EventWrapper] = decode_json(data, list[_EventWrapper])
    else:
        document: _Document = decode_json(data, _Document)
        response = document.response if document.response is not None else document
        wrappers = response if isinstance(response, list) else [response]
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
