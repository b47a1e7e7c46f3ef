"""mnemonic PassiveDNS: what a name resolved to, and which names resolved to an address.

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
    is_public_address,
    quote_segment,
)
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
    base_url: ClassVar[str] = "https://api.mnemonic.no/pdns/v3"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6})
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    daily: ClassVar[int | None] = 1000
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset({402, 429})
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /{query}`, whether it stands in the question or in the answer of a record."""
        return Request(f"/{quote_segment(query.value)}", {"limit": _MOST_RECORDS})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Names, addresses, first and last time. No data is an answer without records."""
        answer = msgspec.json.decode(content, type=_Answer)
        records = answer.data
        if not records:
            return None
        firsts, lasts = zip(*(record.seen() for record in records), strict=True)
        related = tuple(one for record in records for one in _relations(query, record))
        facts = collect_facts(
            records=max(answer.count, len(records)),
            addresses=distinct(one.value for one in related if one.type != Type.DOMAIN),
            names=distinct(one.value for one in related if one.type == Type.DOMAIN),
            record_types=distinct(record.rrtype for record in records),
            first_seen=epoch_to_rfc3339(min(filter(None, firsts), default=0) / 1000),
            last_seen=epoch_to_rfc3339(max(lasts) / 1000),
        )
        return Finding(facts, related=related)

    def applies(self, query: Query) -> bool:
        """Names, and addresses of the public network."""
        return query.type == Type.DOMAIN or (
            query.type in self.types and is_public_address(query.value)
        )


def _relations(query: Query, record: _Record) -> Iterator[RelatedObservable]:
    """The other side of a record: its answer, or its question when the answer is what was asked about."""
    kind = record.rrtype.lower()
    relation: RelationKind = "resolves-to" if kind in _RESOLVES else "related-to"
    if kind not in _ANSWERS:
        return
    if record.answer.lower() == query.value:
        yield RelatedObservable(relation, Type.DOMAIN, record.query, inward=kind in _RESOLVES)
    elif record.query.lower() == query.value:
        yield RelatedObservable(relation, _ANSWERS[kind], record.answer)
