"""MISP events: their attributes, and the attributes of their objects."""

import re
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
    excerpt,
    read_options,
    refused_item,
    typed_value,
)
from services.feeds.formats.streams import decode_json, read_text_document
from shared.stix import NotAnObservable, ObservableType

_T = ObservableType
_DETECT = None
# Attribute type -> type of its value; a composite type ("domain|ip") is the types of its parts.
_TYPES: dict[str, ObservableType | None] = {
    "ip-src": _DETECT,
    "ip-dst": _DETECT,
    "ip": _DETECT,
    "domain": _T.DOMAIN,
    "hostname": _T.DOMAIN,
    "url": _T.URL,
    "uri": _T.URL,
    "link": _T.URL,
    "email": _T.EMAIL,
    "email-src": _T.EMAIL,
    "email-dst": _T.EMAIL,
    "email-reply-to": _T.EMAIL,
    "mac-address": _T.MAC,
    "AS": _T.ASN,
    "md5": _T.MD5,
    "sha1": _T.SHA1,
    "sha256": _T.SHA256,
    "sha512": _T.SHA512,
    "ssdeep": _T.SSDEEP,
    "tlsh": _T.TLSH,
    "filename": _T.FILE_NAME,
    "vulnerability": _T.VULNERABILITY,
    "regkey": _T.REGISTRY_KEY,
    "mutex": _T.MUTEX,
    "imphash": _T.IMPHASH,
    "ja3-fingerprint-md5": _T.JA3,
    "user-agent": _T.USER_AGENT,
    "btc": _T.WALLET,
    "xmr": _T.WALLET,
    "x509-fingerprint-sha1": _T.X509_SHA1,
    "x509-fingerprint-sha256": _T.X509_SHA256,
}
_FAMILY_TAG = re.compile(
    r"misp-galaxy:(?:malpedia|tool|ransomware|botnet|rat|banker|stealer|backdoor"
    r'|mitre-(?:malware|tool))="([^"]{1,128})"'
)
_ATTACK_TAG = re.compile(
    r'mitre-(?:attack-pattern|intrusion-set)="[^"]*\b(T[0-9]{4}(?:\.[0-9]{3})?|G[0-9]{4})"'
)
_FALSE = (False, 0, "0", "false", None)
"""How exports write that a flag is not set."""


class MispOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of an event.

    Attributes:
        include_context: also take attributes that are not meant for detection (`to_ids` false).
    """

    include_context: bool = False


class _Attribute(msgspec.Struct):
    type: str
    value: Any = None
    to_ids: Any = True
    deleted: Any = False
    uuid: Any = None
    comment: Any = None
    first_seen: Any = None
    last_seen: Any = None
    Tag: Any = None


class _MispObject(msgspec.Struct):
    name: Any = None
    deleted: Any = False
    Attribute: list[msgspec.Raw] = msgspec.field(default_factory=list)


class _Event(msgspec.Struct):
    info: Any = None
    Tag: Any = None
    Attribute: list[msgspec.Raw] = msgspec.field(default_factory=list)
    Object: list[_MispObject] = msgspec.field(default_factory=list)


class _EventWrapper(msgspec.Struct):
    Event: _Event | None = None


class _Document(_EventWrapper):
    response: list[_EventWrapper] | _EventWrapper | None = None


class MispFormat:
    """MISP event JSON: one event, or an export's `response` with many.

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
) -> Iterator[ParsedIndicator | DroppedItem | Note]:
    events = _events(read_text_document(stream))
    for number, event in enumerate(events):
        place = f"response[{number}].Event." if len(events) > 1 else ""
        if info := fields.short_text(event.info, 200):
            yield Note(f"event: {info}")
        event_tags = _tag_names(event.Tag)
        for at, raw in enumerate(event.Attribute):
            yield from _attribute_items(f"{place}Attribute[{at}]", raw, event_tags, options)
        for object_at, misp_object in enumerate(event.Object):
            deleted = misp_object.deleted not in _FALSE
            for at, raw in enumerate(misp_object.Attribute):
                where = f"{place}Object[{object_at}].Attribute[{at}]"
                yield from _attribute_items(where, raw, event_tags, options, deleted=deleted)


def _events(data: bytes) -> list[_Event]:
    if data.lstrip()[:1] == b"[":
        wrappers: list[_EventWrapper] = decode_json(data, list[_EventWrapper])
    else:
        document: _Document = decode_json(data, _Document)
        response = document.response if document.response is not None else document
        wrappers = response if isinstance(response, list) else [response]
    for number, wrapper in enumerate(wrappers):
        if wrapper.Event is None:
            raise MalformedDocument(
                'this is no MISP event: "Event" is missing', f"$[{number}]" if number else "$"
            )
    return [wrapper.Event for wrapper in wrappers if wrapper.Event]


_decode = msgspec.json.Decoder(_Attribute).decode


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
    if unusable := _unusable_item(where, attribute, options):
        yield unusable
        return
    if deleted or attribute.deleted not in _FALSE:
        context: dict[str, Any] = {"retracted": True}
    else:
        context = _context(attribute, event_tags)
    for kind, value in _typed_parts(attribute.type, attribute.value):
        try:
            yield ParsedIndicator(*typed_value(kind, value), **context)
        except NotAnObservable as refusal:
            yield refused_item(where, value, refusal)


def _unusable_item(where: str, attribute: _Attribute, options: MispOptions) -> DroppedItem | None:
    """The item for an attribute that names no observable; None if it names some."""
    if attribute.to_ids in _FALSE and not options.include_context:
        reason = "not for detection"
        detail = f"this {excerpt(attribute.type)} has to_ids false"
    elif not isinstance(attribute.value, str):
        reason = "malformed attribute"
        detail = "the value is no text"
    elif not any(part in _TYPES for part in attribute.type.split("|")):
        reason = "unsupported type"
        detail = excerpt(attribute.type)
    else:
        return None
    return DroppedItem(where, excerpt(attribute.value), reason, detail)


def _typed_parts(kind: str, value: str) -> list[tuple[ObservableType | None, str]]:
    """The observables of a value: of "domain|ip" both, of "ip-dst|port" the address."""
    kinds = kind.split("|")
    values = value.split("|", len(kinds) - 1)
    return [
        (_TYPES[name], text) for name, text in zip(kinds, values, strict=False) if name in _TYPES
    ]


def _context(attribute: _Attribute, event_tags: list[str]) -> dict[str, Any]:
    names = [*_tag_names(attribute.Tag), *event_tags]
    family = next((match[1] for name in names if (match := _FAMILY_TAG.match(name))), None)
    return {
        "tags": fields.tags([tag for name in names if (tag := _tag(name))]),
        "malware": re.sub(r" - S\d{4}$", "", family) if family else None,
        "first_seen": fields.timestamp(attribute.first_seen),
        "last_seen": fields.timestamp(attribute.last_seen),
        "description": fields.short_text(attribute.comment),
        "ref": fields.short_text(attribute.uuid, 64),
    }


def _tag(name: str) -> str | None:
    """The tag for a tag's name; of galaxies only ATT&CK's techniques and groups, by their ids."""
    if not name.startswith("misp-galaxy:"):
        return name
    attack = _ATTACK_TAG.search(name)
    return f"attack:{attack[1]}" if attack else None


def _tag_names(tags: Any) -> list[str]:
    if not isinstance(tags, list):
        return []
    return [
        name for tag in tags if isinstance(tag, dict) and isinstance(name := tag.get("name"), str)
    ]
