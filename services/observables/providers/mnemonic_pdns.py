"""mnemonic PassiveDNS: what a name resolved to, and which names resolved to an address.

Source: https://docs.mnemonic.no/display/public/API/Passive+DNS+Simplified+Integration+Guide
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Asked,
    Finding,
    Rate,
    Related,
    RelationKind,
    RemoteEnricher,
    Request,
)
from services.observables.providers.reading import from_epoch, listed, public_address, quoted, told
from shared.stix import ObservableType as Type

_MOST_RECORDS: Final = "100"
_ANSWERS: Final = {
    "a": Type.IPV4,
    "aaaa": Type.IPV6,
    "cname": Type.DOMAIN,
    "mx": Type.DOMAIN,
    "ns": Type.DOMAIN,
}
_RESOLVES: Final = frozenset({"a", "aaaa", "cname"})


class _Record(msgspec.Struct, rename="camel"):
    rrtype: str
    query: str
    answer: str
    first_seen_timestamp: int | None = None
    last_seen_timestamp: int | None = None
    created_timestamp: int | None = None
    last_updated_timestamp: int | None = None

    def seen(self) -> tuple[int, int]:
        """First and last, in milliseconds; what was not kept is told by when the record was."""
        return (
            self.first_seen_timestamp or self.created_timestamp or 0,
            self.last_seen_timestamp or self.last_updated_timestamp or 0,
        )


class _Answer(msgspec.Struct, rename="camel"):
    response_code: int
    data: list[_Record]
    count: int = 0


class MnemonicPDNS(RemoteEnricher):
    """The public part of mnemonic's passive DNS."""

    name: ClassVar[str] = "mnemonic_pdns"
    title: ClassVar[str] = "mnemonic PassiveDNS"
    documentation: ClassVar[str] = (
        "https://docs.mnemonic.no/display/public/API/Passive+DNS+Simplified+Integration+Guide"
    )
    base: ClassVar[str] = "https://api.mnemonic.no/pdns/v3"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6})
    rate: ClassVar[Rate] = Rate(10, 60)
    daily: ClassVar[int | None] = 1000
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset({402, 429})
    harmless: ClassVar[Asked] = Asked(Type.DOMAIN, "example.com")

    def request(self, asked: Asked, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /{query}`, whether it stands in the question or in the answer of a record."""
        return Request(f"/{quoted(asked.value)}", {"limit": _MOST_RECORDS})

    def read(self, asked: Asked, content: bytes) -> Finding | None:
        """Names, addresses, first and last time. No data is an answer without records."""
        answer = msgspec.json.decode(content, type=_Answer)
        records = answer.data
        if not records:
            return None
        firsts, lasts = zip(*(record.seen() for record in records), strict=True)
        related = tuple(one for record in records for one in _relations(asked, record))
        facts = told(
            records=max(answer.count, len(records)),
            addresses=listed(one.value for one in related if one.type != Type.DOMAIN),
            names=listed(one.value for one in related if one.type == Type.DOMAIN),
            record_types=listed(record.rrtype for record in records),
            first_seen=from_epoch(min(filter(None, firsts), default=0) / 1000),
            last_seen=from_epoch(max(lasts) / 1000),
        )
        return Finding(facts, related=related)

    def applies(self, asked: Asked) -> bool:
        """Names, and addresses of the public network."""
        return asked.type == Type.DOMAIN or (
            asked.type in self.types and public_address(asked.value)
        )


def _relations(asked: Asked, record: _Record) -> Iterator[Related]:
    """The other side of a record: its answer, or its question when the answer is what was asked about."""
    kind = record.rrtype.lower()
    relation: RelationKind = "resolves-to" if kind in _RESOLVES else "related-to"
    if kind not in _ANSWERS:
        return
    if record.answer.lower() == asked.value:
        yield Related(relation, Type.DOMAIN, record.query, inward=kind in _RESOLVES)
    elif record.query.lower() == asked.value:
        yield Related(relation, _ANSWERS[kind], record.answer)
