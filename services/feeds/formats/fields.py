"""Times, confidences, tags and type names as sources write them, brought to one form."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.feeds.formats.times import timestamp
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, detect
from shared.stix.markings import UNKNOWN_MARKING, marking_of_tag, marking_tags, tlp_tag
from shared.stix.vocabulary import ObservableType

__all__ = (
    "TYPES_BY_NAME",
    "confidence",
    "is_own_address",
    "marking",
    "short_text",
    "tags",
    "timestamp",
    "type_of",
    "type_option",
    "types_option",
)

_T = ObservableType
_MAX_TAGS = 32
_MAX_TAG_LENGTH = 128
_MAX_TEXT_LENGTH = 500
_CONFIDENCE_WORDS = {
    "none": 0,
    "low": 15,
    "medium": 50,
    "med": 50,
    "moderate": 50,
    "high": 85,
    "very high": 95,
    **dict.fromkeys(("niedrig", "gering", "faible", "baja", "bajo", "baixa", "baixo"), 15),
    **dict.fromkeys(
        ("mittel", "moyen", "moyenne", "media", "medio", "m\u00e9dia", "m\u00e9dio"), 50
    ),
    **dict.fromkeys(("hoch", "\u00e9lev\u00e9", "\u00e9lev\u00e9e", "alta", "alto"), 85),
    **dict.fromkeys(("sehr hoch", "tr\u00e8s \u00e9lev\u00e9", "muy alta", "muito alta"), 95),
}
"""STIX 2.1 appendix A, scale None/Low/Med/High, also in other languages."""
_OWN_NETWORKS = re.compile(
    r"10\.|192\.168\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|127\.|169\.254\."
    r"|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|f[cd][0-9a-f]{2}:|fe80:",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[,;|\n]")
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")

TYPES_BY_NAME: dict[str, ObservableType] = {
    **{str(kind): kind for kind in ObservableType},
    **dict.fromkeys(("md5", "md5_hash", "md5sum", "hash_md5", "filehash-md5", "md5hash"), _T.MD5),
    **dict.fromkeys(
        ("sha1", "sha-1", "sha1_hash", "hash_sha1", "filehash-sha1", "sha1hash"), _T.SHA1
    ),
    **dict.fromkeys(
        ("sha256", "sha-256", "sha256_hash", "hash_sha256", "filehash-sha256"), _T.SHA256
    ),
    **dict.fromkeys(("sha512", "sha-512", "sha512_hash", "hash_sha512"), _T.SHA512),
    **dict.fromkeys(("url", "uri", "link_url", "malware_url"), _T.URL),
    **dict.fromkeys(("domain", "hostname", "fqdn", "host_name", "domain_name"), _T.DOMAIN),
    **dict.fromkeys(("ipv4", "ip4", "ipv4_address", "ipv4addr"), _T.IPV4),
    **dict.fromkeys(("ipv6", "ip6", "ipv6_address", "ipv6addr"), _T.IPV6),
    **dict.fromkeys(("email", "e-mail", "email_address", "email-src", "email-dst"), _T.EMAIL),
    **dict.fromkeys(("asn", "as"), _T.ASN),
    **dict.fromkeys(("cve", "cve_id", "cveid"), _T.VULNERABILITY),
    **dict.fromkeys(("mac", "mac_address", "mac-address"), _T.MAC),
    **dict.fromkeys(("filename", "file_name"), _T.FILE_NAME),
    **dict.fromkeys(("regkey", "registry_key"), _T.REGISTRY_KEY),
    **dict.fromkeys(("imphash", "imphash_hash", "imphash-hash", "x_imphash"), _T.IMPHASH),
    **dict.fromkeys(
        ("ja3", "ja3_md5", "ja3_hash", "ja3-fingerprint-md5", "ja3_fingerprint", "ja3s"), _T.JA3
    ),
    **dict.fromkeys(("ja4", "ja4_fingerprint"), _T.JA4),
    **dict.fromkeys(("user-agent", "user_agent", "useragent", "http-user-agent"), _T.USER_AGENT),
    **dict.fromkeys(
        ("wallet", "btc", "bitcoin", "eth", "ethereum", "xmr", "monero", "cryptocurrency"),
        _T.WALLET,
    ),
    **dict.fromkeys(("filepath", "file_path", "full_path", "path"), _T.FILE_PATH),
    "ssdeep": _T.SSDEEP,
    "tlsh": _T.TLSH,
}
"""Type names as sources write them, in lower case. Without one the type is detected."""


def type_of(text: str) -> ObservableType | None:
    """The type of observable that a text is; None if it is none."""
    try:
        return detect(text).type
    except NotAnObservable:
        return None


def is_own_address(text: str) -> bool:
    """Whether an address is of a private network, the host itself or its link.

    Beside an address of the Internet it is where the other one was seen.
    """
    return _OWN_NETWORKS.match(text) is not None


def type_option(name: str | None, field: str = "options.type") -> ObservableType | None:
    """The type that an option names; None if the option is not set.

    Raises:
        InvalidInput: there is no such type.
    """
    if name is None:
        return None
    kind = TYPES_BY_NAME.get(name.strip().lower())
    if kind is None:
        raise InvalidInput(
            f"{name!r} is no type of observable; one of {', '.join(ObservableType)}", field=field
        )
    return kind


def types_option(names: Mapping[str, str]) -> dict[str, ObservableType]:
    """The usual type names, with those that the option `types` adds or replaces.

    Raises:
        InvalidInput: a name stands for no type.
    """
    types = dict(TYPES_BY_NAME)
    for word, name in names.items():
        kind = type_option(name, "options.types")
        if kind is not None:
            types[word.strip().lower()] = kind
    return types


def confidence(value: Any) -> int | None:
    """0 to 100, from a number, a share of one (0.85) or a word of STIX' scale; else None.

    A 1.0 may be the whole or a hundredth, so that it says nothing. 0 says that there is none, so
    that what is more than 0 is at least 1.
    """
    if type(value) is int and 1 < value <= 100:
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip().lower()
        if value in _CONFIDENCE_WORDS:
            return _CONFIDENCE_WORDS[value]
    is_percent = isinstance(value, str) and value.endswith("%")
    try:
        number = float(value.rstrip("%").rstrip() if is_percent else value)
    except (TypeError, ValueError, OverflowError):
        return None
    is_share = 0 < number < 1 and not is_percent
    if not 0 <= number <= 100 or (number == 1 and not _is_whole(value)):
        return None
    return max(round(number * 100 if is_share else number), int(number > 0))


def _is_whole(value: Any) -> bool:
    """Whether a number is written without a decimal point."""
    return "." not in str(value)


def tags(*values: Any) -> tuple[str, ...]:
    """Distinct tags in their order, at most 32; of more than that, markings come first.

    Args:
        values: lists of tags, and texts that hold tags between commas, semicolons and bars.
    """
    distinct: dict[str, None] = {}
    for value in values:
        pieces: Sequence[Any] = ()
        if isinstance(value, list | tuple):
            pieces = value
        elif isinstance(value, str):
            pieces = _SEPARATORS.split(value)
        for piece in pieces:
            if tag := short_text(piece, _MAX_TAG_LENGTH):
                distinct[tag.strip("\"' ")] = None
    distinct.pop("", None)
    if len(distinct) <= _MAX_TAGS:
        return tuple(distinct)
    markings = marking_tags(distinct)
    return tuple(dict.fromkeys([*markings, *distinct]))[:_MAX_TAGS]


def marking(name: str, value: Any) -> tuple[str, ...]:
    """The tags for a column or property of markings; a level that nobody knows closes.

    Args:
        name: its name: `tlp`, `pap_level`, `objectMarking`.
        value: a level (`amber`, `TLP:AMBER`), a number as TheHive writes it (0 white to 3 red), or
            a list of such.
    """
    scheme = "pap" if "pap" in name.lower() else "tlp"
    if isinstance(value, dict):
        value = next((value[key] for key in _MARKING_NAMES if key in value), None)
    pieces: Sequence[Any] = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        pieces = _SEPARATORS.split(value)
    tags: dict[str, None] = {}
    for piece in pieces:
        if isinstance(piece, dict):
            tags |= dict.fromkeys(marking(name, piece))
        elif (tag := _marking_tag(scheme, piece, name)) is not None:
            tags[tag] = None
    return tuple(tags)


def _marking_tag(scheme: str, value: Any, name: str) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    word = _MARKING_NUMBERS.get(str(value).strip(), str(value).strip())
    if word.lower() in _NO_MARKING:
        return None
    if marking_of_tag(word) is not None:
        return tlp_tag(word.split(":", 1)[1]) if word.lower().startswith("tlp:") else word.lower()
    if word.lower().startswith(("pap", "copyright", "statement")):
        return short_text(word.lower(), _MAX_TAG_LENGTH)
    level = tlp_tag(word) if scheme == "tlp" else f"pap:{word.lower()}"
    is_level = marking_of_tag(level) not in (None, "closed") or scheme == "pap"
    if is_level or "tlp" in name.lower():
        return short_text(level, _MAX_TAG_LENGTH)
    return UNKNOWN_MARKING


_NO_MARKING = frozenset({"", "-", "none", "null", "n/a", "na", "[]"})
_MARKING_NUMBERS = {"0": "white", "1": "green", "2": "amber", "3": "red"}
_MARKING_NAMES = ("name", "definition", "standard_id", "value", "id")
"""Properties of objects that name a marking."""


def short_text(value: Any, length: int = _MAX_TEXT_LENGTH) -> str | None:
    """A text of at most `length` characters that PostgreSQL can store; None if there is none."""
    if not isinstance(value, str):
        return None
    if len(value) <= length and value.isprintable():  # so are no control characters and surrogates
        return value.strip() or None
    return _UNSTORABLE.sub(" ", value[: length * 2]).strip()[:length].rstrip() or None
