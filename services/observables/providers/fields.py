"""Building blocks of requests to providers and of findings in their responses."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from services.observables.providers.base import (
    Fact,
    InvalidAnswer,
    Query,
    RelatedObservable,
    RelationKind,
    Scalar,
)
from shared.stix import ObservableType as Type

Values = list[str | int | float] | None
"""Distinct values of a fact; None when there are none."""

FORM_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/x-www-form-urlencoded"}
JSON_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json"}

_MAX_ITEMS: Final = 50
_NOERROR: Final = 0
_NXDOMAIN: Final = 3
_TXT: Final = 16
_HASH_TYPES: Final[Mapping[int, Type]] = {
    32: Type.MD5,
    40: Type.SHA1,
    64: Type.SHA256,
    128: Type.SHA512,
}
"""Types of hashes by the number of their hexadecimal digits."""


# Requests


def quote_segment(value: str) -> str:
    """Quote a value as one segment of a path, slashes included."""
    return quote(value, safe="")


def basic_auth(user: str, password: str) -> str:
    """The value of an `Authorization` header for HTTP Basic authentication."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def form_body(**fields: str) -> bytes:
    """Encode fields as the body of a form; send it with `FORM_HEADERS`."""
    return urlencode(fields).encode()


def is_public_address(value: str) -> bool:
    """Whether a value is one address of the public network: no prefix, not private or reserved."""
    try:
        address = ip_address(value)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


def is_public(query: Query) -> bool:
    """Whether a query reveals no private address; values of other types than addresses pass."""
    return query.type not in {Type.IPV4, Type.IPV6} or is_public_address(query.value)


# Facts


def collect_facts(**facts: Fact) -> dict[str, Fact]:
    """Collect facts; leave out None, empty texts and empty lists."""
    return {name: fact for name, fact in facts.items() if fact is not None and fact not in ("", [])}


def distinct(values: Iterable[str | int | float | None] | None, limit: int = _MAX_ITEMS) -> Values:
    """Distinct values in their order, `limit` at most, without empty ones; None for no values."""
    present = [value for value in values or () if value is not None and value != ""]
    return list(dict.fromkeys(present))[:limit] or None


def first_present(values: Iterable[str | None]) -> str | None:
    """The first value that is neither None nor empty; None when there is none."""
    return next(filter(None, values), None)


def earliest(times: Iterable[str | None]) -> str | None:
    """The earliest of times in one format that sorts as text; None when there is none."""
    return min(filter(None, times), default=None)


def latest(times: Iterable[str | None]) -> str | None:
    """The latest of times in one format that sorts as text; None when there is none."""
    return max(filter(None, times), default=None)


def epoch_to_rfc3339(seconds: float | None) -> str | None:
    """A Unix time in seconds as RFC 3339; None for None, 0 and times out of range."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None
    except (OverflowError, OSError, ValueError):
        return None


def autonomous_system(number: int | None) -> str | None:
    """The canonical value of an autonomous system, such as `AS15169`; None for None and 0."""
    return f"AS{number}" if number else None


def fraction(part: int, whole: int) -> float:
    """The part of a whole, 0 to 1; 0 when the whole is 0."""
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0


class LocalText(msgspec.Struct):
    """A text in one language, as CVE records and the NVD write it."""

    lang: str
    value: str


def english_text(texts: Iterable[LocalText]) -> str | None:
    """The English text if there is one, else any."""
    ordered = sorted(texts, key=lambda text: not text.lang.lower().startswith("en"))
    return ordered[0].value if ordered else None


# Relations


def relations(
    kind: RelationKind, type_: str, values: Iterable[Scalar] | None, *, inward: bool = False
) -> tuple[RelatedObservable, ...]:
    """Relate values of one type, in their order; leave out None and empty ones."""
    return tuple(
        RelatedObservable(kind, type_, str(value), inward) for value in values or () if value
    )


def hash_relations(*hashes: str | None) -> tuple[RelatedObservable, ...]:
    """Relate a file's hashes, each of the type that its length tells."""
    return tuple(
        RelatedObservable("related-to", _HASH_TYPES[len(value)], value)
        for value in hashes
        if value and len(value) in _HASH_TYPES
    )


# The DNS over HTTPS


class DnsRecord(msgspec.Struct):
    """A resource record: its type by number, its data as text."""

    type: int
    data: str


class DnsAnswer(msgspec.Struct):
    """A resolver's answer in JSON (https://developers.google.com/speed/public-dns/docs/doh/json).

    Attributes:
        status: the DNS response code.
        records: records of any type; a chain of CNAMEs precedes the records that it leads to.
        validated: by DNSSEC.
        comment: such as extended errors (RFC 8914); Google sends a text, Cloudflare a list.
    """

    status: int = msgspec.field(name="Status")
    records: list[DnsRecord] | None = msgspec.field(name="Answer", default=None)
    validated: bool = msgspec.field(name="AD", default=False)
    comment: str | list[str] | None = msgspec.field(name="Comment", default=None)

    def data_of(self, type_: int) -> list[str]:
        """The data of the records of one type."""
        return [record.data for record in self.records or () if record.type == type_]


def parse_dns_txt(content: bytes) -> list[str]:
    """The texts of the TXT records in a resolver's answer; empty when the name does not exist.

    Raises:
        InvalidAnswer: the name server did not answer the resolver.
    """
    answer = msgspec.json.decode(content, type=DnsAnswer)
    if answer.status not in {_NOERROR, _NXDOMAIN}:
        raise InvalidAnswer(f"The resolver got no answer: DNS response code {answer.status}.")
    return [text.strip('"') for text in answer.data_of(_TXT)]
