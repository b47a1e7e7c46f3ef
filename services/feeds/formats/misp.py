"""MISP events: attributes and the attributes of objects."""

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
    cut,
    dropped,
    read_options,
    typed,
)
from services.feeds.formats.streams import decode_json, document
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
_GALAXY = re.compile(
    r'misp-galaxy:(?:malpedia|tool|ransomware|botnet|rat|banker|stealer|backdoor|mitre-(?:malware|tool))="([^"]{1,128})"'
)
_ATTACK = re.compile(
    r'mitre-(?:attack-pattern|intrusion-set)="[^"]*\b(T[0-9]{4}(?:\.[0-9]{3})?|G[0-9]{4})"'
)
_NO = (False, 0, "0", "false", None)


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of an event.

    Attributes:
        include_context: take attributes too whose author marked them as not for detection (`to_ids` false).
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


class _Wrapped(msgspec.Struct):
    Event: _Event | None = None


class _Document(_Wrapped):
    response: list[_Wrapped] | _Wrapped | None = None


class MispFormat:
    """MISP event JSON: one event, or an export's `response` with many.

    Tags of the event and of the attribute become tags; of galaxies only ATT&CK's techniques and groups, as
    `attack:T1059`. A galaxy's malware becomes the family. What is deleted is taken back.
    """

    name: ClassVar[str] = "misp"
    incremental: ClassVar[bool] = False
    media: ClassVar[tuple[str, ...]] = ("application/vnd.misp+json", ".misp.json")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        chosen = read_options(Options, options)
        return batched(_items(stream, chosen))


def _items(stream: BinaryIO, options: Options) -> Iterator[ParsedIndicator | DroppedItem | Note]:
    events = _events(document(stream))
    for number, event in enumerate(events):
        place = f"response[{number}].Event." if len(events) > 1 else ""
        if info := fields.words(event.info, 200):
            yield Note(f"event: {info}")
        event_tags = _names(event.Tag)
        for at, raw in enumerate(event.Attribute):
            yield from _attribute(f"{place}Attribute[{at}]", raw, event_tags, options)
        for outer, one in enumerate(event.Object):
            for at, raw in enumerate(one.Attribute):
                where = f"{place}Object[{outer}].Attribute[{at}]"
                yield from _attribute(
                    where, raw, event_tags, options, deleted=one.deleted not in _NO
                )


def _events(data: bytes) -> list[_Event]:
    first = data.lstrip()[:1]
    if first == b"[":
        wrapped: list[_Wrapped] = decode_json(data, list[_Wrapped])
    else:
        whole: _Document = decode_json(data, _Document)
        response = whole.response if whole.response is not None else whole
        wrapped = response if isinstance(response, list) else [response]
    for number, one in enumerate(wrapped):
        if one.Event is None:
            raise MalformedDocument(
                'this is no MISP event: "Event" is missing', f"$[{number}]" if number else "$"
            )
    return [one.Event for one in wrapped if one.Event]


_decode = msgspec.json.Decoder(_Attribute).decode


def _attribute(
    where: str, raw: msgspec.Raw, event_tags: list[str], options: Options, *, deleted: bool = False
) -> Iterator[ParsedIndicator | DroppedItem]:
    try:
        one = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        yield DroppedItem(
            where,
            cut(bytes(memoryview(raw)[:200]).decode("utf-8", "replace")),
            "malformed attribute",
            str(problem),
        )
        return
    if refused := _refused(where, one, options):
        yield refused
        return
    retracted = deleted or one.deleted not in _NO
    context = {"retracted": True} if retracted else _context(one, event_tags)
    for kind, value in _parts(one.type, one.value):
        try:
            yield ParsedIndicator(*typed(kind, value), **context)
        except NotAnObservable as refusal:
            yield dropped(where, value, refusal)


def _refused(where: str, one: _Attribute, options: Options) -> DroppedItem | None:
    if one.to_ids in _NO and not options.include_context:
        return DroppedItem(
            where, cut(one.value), "not for detection", f"this {cut(one.type)} has to_ids false"
        )
    if not isinstance(one.value, str):
        return DroppedItem(where, cut(one.value), "malformed attribute", "the value is no text")
    if not any(part in _TYPES for part in one.type.split("|")):
        return DroppedItem(where, cut(one.value), "unsupported type", cut(one.type))
    return None


def _parts(kind: str, value: str) -> list[tuple[ObservableType | None, str]]:
    """The observables of a value: of "domain|ip" both, of "ip-dst|port" the address."""
    kinds = kind.split("|")
    values = value.split("|", len(kinds) - 1)
    return [
        (_TYPES[name], text) for name, text in zip(kinds, values, strict=False) if name in _TYPES
    ]


def _context(one: _Attribute, event_tags: list[str]) -> dict[str, Any]:
    named = [*_names(one.Tag), *event_tags]
    family = next((match[1] for name in named if (match := _GALAXY.match(name))), None)
    return {
        "tags": fields.tags([tag for name in named if (tag := _tag(name))]),
        "malware": re.sub(r" - S\d{4}$", "", family) if family else None,
        "first_seen": fields.timestamp(one.first_seen),
        "last_seen": fields.timestamp(one.last_seen),
        "description": fields.words(one.comment),
        "ref": fields.words(one.uuid, 64),
    }


def _tag(name: str) -> str | None:
    """A tag as it is; of a galaxy's only ATT&CK's techniques and groups, by their ids."""
    if not name.startswith("misp-galaxy:"):
        return name
    named = _ATTACK.search(name)
    return f"attack:{named[1]}" if named else None


def _names(tags: Any) -> list[str]:
    listed = tags if isinstance(tags, list) else []
    return [
        name for tag in listed if isinstance(tag, dict) and isinstance(name := tag.get("name"), str)
    ]
