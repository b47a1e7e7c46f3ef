"""What sources write around an observable, in one form: times, confidences, tags, names of types."""

import re
from datetime import UTC, datetime
from typing import Any

from shared.errors import InvalidInput
from shared.stix.vocabulary import ObservableType

_T = ObservableType
_MAX_TAGS, _MAX_TAG, _MAX_WORDS = 32, 128, 500
_WORDS = {
    "none": 0,
    "low": 15,
    "medium": 50,
    "med": 50,
    "moderate": 50,
    "high": 85,
    "very high": 95,
}
"""STIX 2.1 appendix A, scale None/Low/Med/High."""
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_SEPARATORS = re.compile(r"[,;|\n]")
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")

TYPES: dict[str, ObservableType] = {
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
    **dict.fromkeys(("imphash", "imphash_hash", "imphash-hash"), _T.IMPHASH),
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
"""Names of types as sources write them, lower case. What is not here is detected from the value."""


def type_option(name: str | None, field: str = "options.type") -> ObservableType | None:
    """The type that an option names; None when there is none.

    Raises:
        InvalidInput: there is no such type.
    """
    if name is None:
        return None
    kind = TYPES.get(name.strip().lower())
    if kind is None:
        raise InvalidInput(
            f"{name!r} is no type of observable; one of {', '.join(ObservableType)}", field=field
        )
    return kind


def timestamp(value: Any) -> str | None:
    """RFC 3339 in UTC from ISO 8601 in its usual variants or seconds since 1970; None when it is neither.

    Times without a zone are taken for UTC. Day/month orders that cannot be told apart are not guessed.
    """
    if value is None:
        return None
    text = str(value).strip().removesuffix("UTC").removesuffix("GMT").strip()
    try:
        if len(text) == 20 and _RFC3339.fullmatch(text):
            datetime.fromisoformat(text)
            return text
        if text.isdigit() and text.isascii() and 9 <= len(text) <= 10:
            moment = datetime.fromtimestamp(int(text), UTC)
        else:
            moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace(
        "+00:00", "Z"
    )


def confidence(value: Any) -> int | None:
    """0 to 100 from a number or a word of STIX' scale; None when it is neither."""
    if isinstance(value, str):
        value = value.strip().rstrip("%").strip().lower()
        if value in _WORDS:
            return _WORDS[value]
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= 100 else None


def tags(*values: Any) -> tuple[str, ...]:
    """Distinct tags in their order, from texts (split at commas, semicolons and bars) and lists of texts."""
    found: dict[str, None] = {}
    for value in values:
        pieces = (
            value
            if isinstance(value, list | tuple)
            else _SEPARATORS.split(value)
            if isinstance(value, str)
            else ()
        )
        for piece in pieces:
            if tag := words(piece, _MAX_TAG):
                found[tag.strip("\"' ")] = None
    found.pop("", None)
    return tuple(found) if len(found) <= _MAX_TAGS else tuple(list(found)[:_MAX_TAGS])


def words(value: Any, length: int = _MAX_WORDS) -> str | None:
    """A storable text of at most `length` characters; None when there is none."""
    if not isinstance(value, str):
        return None
    if len(value) <= length and value.isascii() and value.isprintable():
        return value.strip() or None
    return _UNSTORABLE.sub(" ", value[: length * 2]).strip()[:length].rstrip() or None
