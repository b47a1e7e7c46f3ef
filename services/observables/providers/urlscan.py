"""urlscan.io: public scans of web pages with a URL, a name, an address or a downloaded file.

The enricher searches scans that others made and submits nothing.

Source: https://docs.urlscan.io/apis/urlscan-openapi/search
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RelationKind,
    RemoteEnricher,
    Request,
    Tlp,
    Weight,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    fraction,
    is_public,
    relations,
)
from shared.stix import ObservableType as Type

_SEARCHES: Final[Mapping[str, str]] = {
    Type.URL: 'task.url.keyword:"{0}" OR page.url.keyword:"{0}"',
    Type.DOMAIN: 'page.domain:"{0}" OR task.domain:"{0}"',
    Type.IPV4: 'page.ip:"{0}"',
    Type.IPV6: 'page.ip:"{0}"',
    Type.SHA256: 'hash:"{0}"',
}
_MAX_SCANS: Final = "100"


class _Task(msgspec.Struct):
    time: str
    domain: str | None = None
    tags: list[str] | None = None


class _Page(msgspec.Struct):
    url: str | None = None
    domain: str | None = None
    ip: str | None = None
    asn: str | None = None
    asnname: str | None = None
    country: str | None = None
    server: str | None = None
    title: str | None = None
    status: str | int | None = None


class _Verdicts(msgspec.Struct):
    malicious: bool | None = None


class _Scan(msgspec.Struct):
    task: _Task
    page: _Page
    result: str | None = None
    verdicts: _Verdicts | None = None


class _Answer(msgspec.Struct):
    results: list[_Scan]
    total: int


class Urlscan(RemoteEnricher):
    """The newest hundred public scans of pages with the value."""

    name: ClassVar[str] = "urlscan"
    title: ClassVar[str] = "urlscan.io"
    documentation: ClassVar[str] = "https://docs.urlscan.io/apis/urlscan-openapi/search"
    base_url: ClassVar[str] = "https://urlscan.io/api/v1"
    types: ClassVar[frozenset[str]] = frozenset(_SEARCHES)
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    key_optional: ClassVar[bool] = True
    rate: ClassVar[RateLimit] = RateLimit(30, 60)
    daily: ClassVar[int | None] = 500
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=12)
    max_tlp: ClassVar[Tlp] = "clear"
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "urlscan.io")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /search/` with a search in its language and the key, if any, in a header."""
        literal = query.value.replace("\\", "\\\\").replace('"', '\\"')
        params = {"q": _SEARCHES[query.type].format(literal), "size": _MAX_SCANS}
        return Request("/search/", params, auth_headers={"api-key": key["key"]} if key else {})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the newest scans of pages; the list is empty for an unknown value.

        A search for a name also finds its sub-domains, which are left out. urlscan.io gives its
        verdicts to some customers only; without verdicts there is no weight.
        """
        answer = msgspec.json.decode(content, type=_Answer)
        scans = answer.results
        if query.type == Type.DOMAIN:
            scans = [scan for scan in scans if query.value in {scan.page.domain, scan.task.domain}]
        if not scans:
            return None
        verdicts = _verdicts(scans)
        facts = (
            collect_facts(scans_found=answer.total)
            | _newest_facts(scans[0])
            | _page_facts([scan.page for scan in scans])
            | collect_facts(
                tags=distinct(tag for scan in scans for tag in scan.task.tags or ()),
                malicious_scans=sum(verdicts) if verdicts else None,
            )
        )
        related = dict.fromkeys(
            observable for scan in scans for observable in _related(query, scan.page)
        )
        return Finding(facts, _weights(query, verdicts), tuple(related))


def _newest_facts(scan: _Scan) -> dict[str, Fact]:
    return collect_facts(
        last_scan=scan.task.time,
        report=scan.result,
        title=scan.page.title,
        status=str(scan.page.status or ""),
        server=scan.page.server,
    )


def _page_facts(pages: list[_Page]) -> dict[str, Fact]:
    return collect_facts(
        urls=distinct((page.url for page in pages), 10),
        domains=distinct((page.domain for page in pages), 20),
        addresses=distinct((page.ip for page in pages), 20),
        asns=distinct(page.asn for page in pages),
        as_names=distinct(page.asnname for page in pages),
        countries=distinct(page.country for page in pages),
    )


def _verdicts(scans: list[_Scan]) -> list[bool]:
    """Whether each scan that has a verdict was malicious."""
    verdicts = [scan.verdicts.malicious for scan in scans if scan.verdicts]
    return [malicious for malicious in verdicts if malicious is not None]


def _weights(query: Query, verdicts: list[bool]) -> tuple[Weight, ...]:
    count = sum(verdicts)
    if not count:
        return ()
    part = fraction(count, len(verdicts))
    # An address has many tenants, and a phishing page many files that harmless pages have too.
    weight = 0.7 * (0.5 + part / 2) if query.type in {Type.URL, Type.DOMAIN} else 0.3 * part
    reason = f"{count} of the newest {len(verdicts)} scans that were judged found it malicious."
    return (Weight(weight, reason),)


def _related(query: Query, page: _Page) -> tuple[RelatedObservable, ...]:
    """The relations of one scanned page to the queried value."""
    match query.type:
        case Type.URL:
            return _address_relations("related-to", page)
        case Type.DOMAIN:
            resolved = page.domain == query.value
            addresses = _address_relations("resolves-to", page) if resolved else ()
            return (*addresses, *relations("related-to", Type.DOMAIN, [page.domain]))
        case Type.SHA256:
            return relations("related-to", Type.URL, [page.url])
    return (
        *relations("resolves-to", Type.DOMAIN, [page.domain], inward=True),
        *relations("belongs-to", Type.ASN, [page.asn]),
    )


def _address_relations(kind: RelationKind, page: _Page) -> tuple[RelatedObservable, ...]:
    type_ = Type.IPV6 if ":" in (page.ip or "") else Type.IPV4
    return relations(kind, type_, [page.ip])
