"""Pieces that several providers' requests and answers are made of."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from services.observables.providers.base import Fact, InvalidAnswer, RelatedObservable, Scalar
from shared.stix import ObservableType as Type

FORM_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/x-www-form-urlencoded"}
JSON_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json"}

_MOST_ITEMS: Final = 50
_NOERROR: Final = 0
_NXDOMAIN: Final = 3
_TXT: Final = 16
_HASHES: Final[Mapping[int, Type]] = {
    32: Type.MD5,
    40: Type.SHA1,
    64: Type.SHA256,
    128: Type.SHA512,
}


class LocalText(msgspec.Struct):
    """A text in one language, as CVE records and the NVD write them."""

    lang: str
    value: str


def quote_segment(value: str) -> str:
    """A value as one segment of a path: slashes and all."""
    return quote(value, safe="")


def basic_auth(user: str, password: str) -> str:
    """The value of an `Authorization` header for HTTP Basic authentication."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def distinct(
    values: Iterable[str | int | float | None], most: int = _MOST_ITEMS
) -> list[str | int | float] | None:
    """Distinct values in their order, at most `most`; None when there are none."""
    return (
        list(dict.fromkeys(value for value in values if value is not None and value != ""))[:most]
        or None
    )


def collect_facts(**facts: Fact) -> dict[str, Fact]:
    """Facts without those that say nothing: None, an empty text, an empty list."""
    return {name: fact for name, fact in facts.items() if fact is not None and fact not in ("", [])}


def epoch_to_rfc3339(seconds: float | None) -> str | None:
    """A Unix time as RFC 3339; None and nonsense give None."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None
    except (OverflowError, OSError, ValueError):
        return None


def fraction(part: int, whole: int) -> float:
    """A part of a whole, 0 to 1; 0 of nothing is 0."""
    return min(1.0, max(0.0, part / whole)) if whole > 0 else 0.0


def first_value(mapping: Mapping[str, Scalar], *names: str) -> Scalar:
    """The first of some entries that says something."""
    return next((mapping[name] for name in names if mapping.get(name) not in {None, ""}), None)


def form_body(**fields: str) -> bytes:
    """Fields as the body of a form, which goes with the headers `FORM_HEADERS`."""
    return urlencode(fields).encode()


def hash_relations(*hashes: str | None) -> tuple[RelatedObservable, ...]:
    """Relations to a file's hashes, each of the type that its length tells."""
    return tuple(
        RelatedObservable("related-to", _HASHES[len(one)], one)
        for one in hashes
        if one and len(one) in _HASHES
    )


def english_text(texts: Iterable[LocalText]) -> str | None:
    """The English one of some texts, else any."""
    ordered = sorted(texts, key=lambda text: not text.lang.lower().startswith("en"))
    return ordered[0].value if ordered else None


def is_public_address(value: str) -> bool:
    """Whether a value is one address of the public network: no prefix, nothing private or reserved."""
    try:
        address = ip_address(value)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


class _Record(msgspec.Struct):
    type: int
    data: str


class DnsAnswer(msgspec.Struct):
    """A resolver's answer in Google's JSON (https://developers.google.com/speed/public-dns/docs/doh/json).

    Attributes:
        status: the DNS response code.
        records: of any type: a chain of CNAMEs comes before what it leads to.
        validated: by DNSSEC.
        comment: such as extended errors (RFC 8914); Google sends a text, Cloudflare a list.
    """

    status: int = msgspec.field(name="Status")
    records: list[_Record] | None = msgspec.field(name="Answer", default=None)
    validated: bool = msgspec.field(name="AD", default=False)
    comment: str | list[str] | None = msgspec.field(name="Comment", default=None)

    def of(self, kind: int) -> list[str]:
        """The data of the records of one type."""
        return [record.data for record in self.records or () if record.type == kind]


def parse_dns_txt(content: bytes) -> list[str]:
    """What the TXT records of a look-up service in the DNS say; nothing when the name does not exist.

    Raises:
        InvalidAnswer: the service did not answer the resolver.
    """
    answer = msgspec.json.decode(content, type=DnsAnswer)
    if answer.status not in {_NOERROR, _NXDOMAIN}:
        raise InvalidAnswer(f"The resolver got no answer: DNS response code {answer.status}.")
    return [text.strip('"') for text in answer.of(_TXT)]
