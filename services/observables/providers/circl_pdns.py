"""CIRCL Passive DNS: names and addresses that resolved to each other, and when.

Source: https://www.circl.lu/services/passive-dns/; the response is in the Passive DNS Common Output
Format, https://datatracker.ietf.org/doc/draft-dulaunoy-dnsop-passive-dns-cof/.
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
    basic_auth,
    collect_facts,
    distinct,
    epoch_to_rfc3339,
    is_public,
    quote_segment,
)
from shared.stix import ObservableType as Type

_ADDRESSES: Final[Mapping[str, Type]] = {"A": Type.IPV4, "AAAA": Type.IPV6}
_NAMES: Final = frozenset({"NS", "MX", "CNAME", "DNAME"})


class _Record(msgspec.Struct):
    rrtype: str
    rrname: str
    rdata: str | list[str]
    time_first: int | None = None
    time_last: int | None = None

    def data(self) -> list[str]:
        return [self.rdata] if isinstance(self.rdata, str) else self.rdata


_LINES: Final = msgspec.json.Decoder(_Record)


class CirclPassiveDns(RemoteEnricher):
    """DNS records, seen by CIRCL's sensors, with the value in their name or in their data."""

    name: ClassVar[str] = "circl_pdns"
    title: ClassVar[str] = "CIRCL Passive DNS"
    documentation: ClassVar[str] = "https://www.circl.lu/services/passive-dns/"
    base_url: ClassVar[str] = "https://www.circl.lu/pdns"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN, Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("user", "password")
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    timeout: ClassVar[float] = 60.0
    max_body: ClassVar[int] = 8 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "www.circl.lu")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /query/{value}` with user and password as HTTP Basic."""
        credentials = {"Authorization": basic_auth(key["user"], key["password"])}
        return Request(f"/query/{quote_segment(query.value)}", auth_headers=credentials)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the records, one JSON object a line; the body is empty when there is none."""
        records = _LINES.decode_lines(content)
        if not records:
            return None
        records.sort(key=lambda record: record.time_last or 0, reverse=True)
        first_times = [record.time_first for record in records if record.time_first]
        facts = collect_facts(
            records=len(records),
            record_types=distinct(record.rrtype for record in records),
            names=distinct(_bare(record.rrname) for record in records),
            data=distinct(_bare(datum) for record in records for datum in record.data()),
            first_seen=epoch_to_rfc3339(min(first_times, default=None)),
            last_seen=epoch_to_rfc3339(records[0].time_last),
        )
        related = dict.fromkeys(
            observable for record in records for observable in _related(query, record)
        )
        return Finding(facts, related=tuple(related))


def _bare(name: str) -> str:
    return name.rstrip(".")


def _related(query: Query, record: _Record) -> Iterator[RelatedObservable]:
    """Relate the other side of a record, whichever side the queried value stands on."""
    if record.rrtype not in _ADDRESSES and record.rrtype not in _NAMES:
        return
    type_ = _ADDRESSES.get(record.rrtype, Type.DOMAIN)
    relation: RelationKind = "related-to" if record.rrtype in {"NS", "MX"} else "resolves-to"
    owner = _bare(record.rrname).lower()
    for datum in record.data():
        # The data of an MX begins with its preference.
        target = _bare(datum.rpartition(" ")[2]).lower()
        if owner == query.value:
            yield RelatedObservable(relation, type_, target)
        elif target == query.value:
            yield RelatedObservable(relation, Type.DOMAIN, owner, inward=True)
