"""MISP attributes: what type and value of an attribute name, in events and in exports as CSV.

Source: https://www.misp-standard.org/rfc/misp-standard-core.html, §2.4 (attributes) and §2.4.2.3
(types), and describeTypes.json of MISP. A type that is declared is binding: a value that is not of
it is left out with the reason.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    ParsedIndicator,
    excerpt,
    refused_item,
    typed_value,
)
from services.feeds.formats.entry_relations import relate
from shared.stix import NotAnObservable, ObservableType, detect

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
    "dns-soa-email": _T.EMAIL,
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
    "email-attachment": _T.FILE_NAME,
    "vulnerability": _T.VULNERABILITY,
    "regkey": _T.REGISTRY_KEY,
    "mutex": _T.MUTEX,
    "imphash": _T.IMPHASH,
    "ja3-fingerprint-md5": _T.JA3,
    "user-agent": _T.USER_AGENT,
    "btc": _T.WALLET,
    "xmr": _T.WALLET,
    "dash": _T.WALLET,
    "x509-fingerprint-sha1": _T.X509_SHA1,
    "x509-fingerprint-sha256": _T.X509_SHA256,
}
_CONTEXT_TYPES = frozenset(
    {"AS", "dns-soa-email", "email-reply-to", "link", "mac-address", "user-agent", "vulnerability"}
)
"""Types that are not for detection where an attribute does not say so (describeTypes.json)."""
_COMPOSITES = {"malware-sample": "filename|md5"}
"""Types whose value has several parts although their name does not say so."""
_BOUND_TYPES = {kind: frozenset({_T.IPV4, _T.IPV6}) for kind in ("ip", "ip-src", "ip-dst")}
"""What the value of a type may be where it is detected: a declared type is binding."""
_FAMILY_TAG = re.compile(
    r"misp-galaxy:(?:malpedia|tool|ransomware|botnet|rat|banker|stealer|backdoor"
    r'|mitre-(?:malware|tool))="([^"]{1,128})"'
)
_ATTACK_TAG = re.compile(
    r'mitre-(?:attack-pattern|intrusion-set)="[^"]*\b(T[0-9]{4}(?:\.[0-9]{3})?|G[0-9]{4})"'
)
_FLAGS: Final[dict[str, bool]] = {
    **dict.fromkeys(("true", "1", "yes", "y", "t", "on"), True),
    **dict.fromkeys(("false", "0", "no", "n", "f", "off", "", "null", "none"), False),
}
"""How exports write flags, in lower case. Any other word says nothing, and nothing is guessed."""


class MispAttribute(msgspec.Struct):
    """An attribute's properties that matter."""

    type: str
    value: Any = None
    to_ids: Any = msgspec.UNSET
    deleted: Any = False
    uuid: Any = None
    comment: Any = None
    first_seen: Any = None
    last_seen: Any = None
    timestamp: Any = None
    Tag: Any = None


def attribute_items(
    where: str,
    attribute: MispAttribute,
    event_tags: list[str],
    *,
    include_context: bool = False,
    deleted: bool = False,
    event_date: str | None = None,
) -> Sequence[ParsedIndicator | DroppedItem]:
    """The observables that an attribute names.

    Args:
        where: its place.
        attribute: the attribute.
        event_tags: names of the event's tags.
        include_context: whether attributes that are not meant for detection count as well.
        deleted: whether its object is deleted; what is deleted retracts.
        event_date: RFC 3339; the event's date, for an attribute that states none.
    """
    if unusable := _unusable_item(where, attribute, include_context=include_context):
        return (unusable,)
    context = (
        {"retracted": True}
        if deleted or is_set(attribute.deleted)
        else _context(attribute, event_tags, event_date)
    )
    if attribute.type in _TYPES:  # as most types are, which have one part
        return (_part_item(where, attribute.type, attribute.value, context),)
    parts = list(_parts(attribute.type, attribute.value))
    if not parts:
        detail = f"{excerpt(attribute.type)} has another part"
        return (DroppedItem(where, excerpt(attribute.value), "missing part", detail),)
    items = [_part_item(where, name, value, context) for name, value in parts]
    if len(items) > 1:
        relate(items, "resolves-to" if attribute.type == "domain|ip" else "related-to")
    return items


def _part_item(
    where: str, name: str, value: str, context: dict[str, Any]
) -> ParsedIndicator | DroppedItem:
    try:
        return ParsedIndicator(*_typed_part(name, value), **context)
    except NotAnObservable as refusal:
        return refused_item(where, value, refusal)


def is_set(flag: Any) -> bool:
    """Whether a flag is set, in one of the ways in which exports write it."""
    return read_flag(flag) is True


def read_flag(flag: Any) -> bool | None:
    """Whether a flag is set; None if it is written in no way that exports use."""
    if isinstance(flag, bool) or flag is None:
        return bool(flag)
    if isinstance(flag, int | float):
        return bool(flag) if flag in (0, 1) else None
    return _FLAGS.get(flag.strip().lower()) if isinstance(flag, str) else None


def _unusable_item(
    where: str, attribute: MispAttribute, *, include_context: bool
) -> DroppedItem | None:
    """The item for an attribute that names no observable; None if it names some."""
    if (
        attribute.to_ids is True
        and attribute.deleted is False
        and attribute.type in _TYPES
        and isinstance(attribute.value, str)
    ):
        return None  # as most attributes are
    if unreadable := _unreadable_flag(attribute):
        reason = "malformed attribute"
        detail = f"its {unreadable} says neither yes nor no"
    elif not include_context and not _is_for_detection(attribute):
        reason = "not for detection"
        detail = f"this {excerpt(attribute.type)} has to_ids false"
    elif not isinstance(attribute.value, str):
        reason = "malformed attribute"
        detail = "the value is no text"
    elif not any(part in _TYPES for part in _part_names(attribute.type)):
        reason = "unsupported type"
        detail = excerpt(attribute.type)
    else:
        return None
    return DroppedItem(where, excerpt(attribute.value), reason, detail)


def _unreadable_flag(attribute: MispAttribute) -> str | None:
    """The name of a flag that says neither yes nor no; None if both are clear."""
    if read_flag(attribute.deleted) is None:
        return "deleted"
    if attribute.to_ids is not msgspec.UNSET and read_flag(attribute.to_ids) is None:
        return "to_ids"
    return None


def _is_for_detection(attribute: MispAttribute) -> bool:
    """Whether an attribute is meant to match; by its type where it does not say so."""
    if attribute.to_ids is msgspec.UNSET:
        return attribute.type not in _CONTEXT_TYPES
    return is_set(attribute.to_ids)


def _part_names(kind: str) -> list[str]:
    return _COMPOSITES.get(kind, kind).split("|")


def _parts(kind: str, value: str) -> Iterator[tuple[str, str]]:
    """The observables of a value: of "domain|ip" both, of "ip-dst|port" the address."""
    names = _part_names(kind)
    for name, text in zip(names, value.split("|", len(names) - 1), strict=False):
        if name in _TYPES:
            yield name, text


def _typed_part(name: str, value: str) -> tuple[str, str]:
    kind = _TYPES[name]
    if name == "uri" and not _ABSOLUTE.match(value.lstrip()):
        # MISP also keeps the path of a request alone under this type.
        raise NotAnObservable("path without a host", excerpt(value))
    if kind is not None:
        return typed_value(kind, value)
    observable = detect(value)
    if observable.type not in _BOUND_TYPES[name]:
        raise NotAnObservable(
            "not of the declared type", f"{excerpt(value)} is no address, which {name} declares"
        )
    return observable.type, observable.value


_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?::|\[:\])//")


def _context(
    attribute: MispAttribute, event_tags: list[str], event_date: str | None
) -> dict[str, Any]:
    tags, malware = _tags_and_malware((*tag_names(attribute.Tag), *event_tags))
    first_seen = fields.timestamp(attribute.first_seen)
    stated = (first_seen, fields.timestamp(attribute.last_seen), _changed_at(attribute.timestamp))
    return {
        "tags": tags,
        "malware": malware,
        "first_seen": first_seen,
        "last_seen": max((time for time in stated if time), default=event_date),
        "description": fields.short_text(attribute.comment),
        "ref": fields.short_text(attribute.uuid, 64),
    }


@lru_cache(maxsize=4096)
def _tags_and_malware(names: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The tags, and the malware family, for the names of an attribute's and its event's tags.

    The attributes of an event have few combinations of them.
    """
    family = next((match[1] for name in names if (match := _FAMILY_TAG.match(name))), None)
    tags = fields.tags([tag for name in names if (tag := _tag(name))])
    return tags, re.sub(r" - S\d{4}$", "", family) if family else None


def _changed_at(timestamp: Any) -> str | None:
    """When an attribute was changed last; a time of 0 is none."""
    return None if timestamp in (0, "0", "") else fields.timestamp(timestamp)


def _tag(name: str) -> str | None:
    """The tag for a tag's name; of galaxies only ATT&CK's techniques and groups, by their ids."""
    if not name.startswith("misp-galaxy:"):
        return name
    attack = _ATTACK_TAG.search(name)
    return f"attack:{attack[1]}" if attack else None


def tag_names(tags: Any) -> list[str]:
    """The names in a list of MISP's tags."""
    if not isinstance(tags, list):
        return []
    return [
        name for tag in tags if isinstance(tag, dict) and isinstance(name := tag.get("name"), str)
    ]
