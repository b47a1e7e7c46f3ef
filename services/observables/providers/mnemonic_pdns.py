"""mnemonic PassiveDNS: the past addresses of a name, and the past names of an address.

Source: https://docs.mnemonic.no/display/public/API/Passive+DNS+Simplified+Integration+Guide
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RelationKind,
    RemoteEnricher,
    Request,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    epoch_to_rfc3339,
    is_public,
    quote_segment,
)
from shared.stix import ObservableType as Type

_MAX_RECORDS: Final = "100"
_ANSWER_TYPES: Final = {
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

    def first_seen(self) -> int:
        """A Unix time in milliseconds; that of the record where the first sighting is missing."""
        return self.first_seen_timestamp or self.created_timestamp or 0

    def last_seen(self) -> int:
        """A Unix time in milliseconds; that of the record where the last sighting is missing."""
        return self.last_seen_timestamp or self.last_updated_timestamp or 0


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
    base_url: ClassVar[str] = "https://api.mnemonic.no/pdns/v3"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6})
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    daily: ClassVar[int | None] = 1000
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset({402, 429})
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /{value}`: records with the value in their question or in their answer."""
        return Request(f"/{quote_segment(query.value)}", {"limit": _MAX_RECORDS})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read names, addresses and times; there are no records for an unknown value."""
        answer = msgspec.json.decode(content, type=_Answer)
        records = answer.data
        if not records:
            return None
        related = tuple(observable for record in records for observable in _related(query, record))
        first_times = [record.first_seen() for record in records]
        facts = collect_facts(
            records=max(answer.count, len(records)),
            addresses=distinct(entry.value for entry in related if entry.type != Type.DOMAIN),
            names=distinct(entry.value for entry in related if entry.type == Type.DOMAIN),
            record_types=distinct(record.rrtype for record in records),
            first_seen=epoch_to_rfc3339(min(filter(None, first_times), default=0) / 1000),
            last_seen=epoch_to_rfc3339(max(record.last_seen() for record in records) / 1000),
        )
        return Finding(facts, related=related)


def _related(query: Query, record: _Record) -> Iterator[RelatedObservable]:
    """Relate the other side of a record: its answer, or the name when the answer was queried."""
    kind = record.rrtype.lower()
    if kind not in _ANSWER_TYPES:
        return
    relation: RelationKind = "resolves-to" if kind in _RESOLVES else "related-to"
    if record.answer.lower() == query.value:
        yield RelatedObservable(relation, Type.DOMAIN, record.query, inward=kind in _RESOLVES)
    elif record.query.lower() == query.value:
        yield RelatedObservable(relation, _ANSWER_TYPES[kind], record.answer)
