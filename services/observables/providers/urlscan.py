"""urlscan.io: what public scans of web pages saw of a URL, a name, an address, or a downloaded file.

It only searches scans that others made; nothing is submitted.

Source: https://docs.urlscan.io/apis/urlscan-openapi/search
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
    RemoteEnricher,
    Request,
    Tlp,
    Weight,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    fraction,
    is_public_address,
)
from shared.stix import ObservableType as Type

_QUERIES: Final[Mapping[str, str]] = {
    Type.URL: 'task.url.keyword:"{0}" OR page.url.keyword:"{0}"',
    Type.DOMAIN: 'page.domain:"{0}" OR task.domain:"{0}"',
    Type.IPV4: 'page.ip:"{0}"',
    Type.IPV6: 'page.ip:"{0}"',
    Type.SHA256: 'hash:"{0}"',
}
_PAGES: Final = "100"


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
    """The newest hundred public scans of pages that the value stands for."""

    name: ClassVar[str] = "urlscan"
    title: ClassVar[str] = "urlscan.io"
    documentation: ClassVar[str] = "https://docs.urlscan.io/apis/urlscan-openapi/search"
    base_url: ClassVar[str] = "https://urlscan.io/api/v1"
    types: ClassVar[frozenset[str]] = frozenset(_QUERIES)
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    key_optional: ClassVar[bool] = True
    rate: ClassVar[RateLimit] = RateLimit(30, 60)
    daily: ClassVar[int | None] = 500
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=12)
    max_tlp: ClassVar[Tlp] = "clear"
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "urlscan.io")

    def applies(self, query: Query) -> bool:
        """URLs, names, files, and addresses of the public network."""
        return query.type in self.types and (
            query.type not in {Type.IPV4, Type.IPV6} or is_public_address(query.value)
        )

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /search/` with a query in its language and the key, if any, in a header."""
        literal = query.value.replace("\\", "\\\\").replace('"', '\\"')
        params = {"q": _QUERIES[query.type].format(literal), "size": _PAGES}
        return Request("/search/", params, auth_headers={"api-key": key["key"]} if key else {})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Pages, where they were served from, and what the scans thought of them. No scan at all is an empty list.

        A search for a name also finds its sub-domains, which are left out. Verdicts are only told to some customers;
        without them nothing is said about good or bad.
        """
        answer = msgspec.json.decode(content, type=_Answer)
        scans = answer.results
        if query.type == Type.DOMAIN:
            scans = [scan for scan in scans if query.value in {scan.page.domain, scan.task.domain}]
        if not scans:
            return None
        pages = [scan.page for scan in scans]
        newest = scans[0]
        judged = [
            scan.verdicts.malicious
            for scan in scans
            if scan.verdicts and scan.verdicts.malicious is not None
        ]
        facts = collect_facts(
            scans_found=answer.total,
            last_scan=newest.task.time,
            report=newest.result,
            title=newest.page.title,
            status=str(newest.page.status or ""),
            server=newest.page.server,
            urls=distinct((page.url for page in pages), 10),
            domains=distinct((page.domain for page in pages), 20),
            addresses=distinct((page.ip for page in pages), 20),
            asns=distinct(page.asn for page in pages),
            as_names=distinct(page.asnname for page in pages),
            countries=distinct(page.country for page in pages),
            tags=distinct(tag for scan in scans for tag in scan.task.tags or ()),
            malicious_scans=sum(judged) if judged else None,
        )
        weights: tuple[Weight, ...] = ()
        if any(judged):
            reason = f"{sum(judged)} of the newest {len(judged)} scans that were judged found it malicious."
            part = fraction(sum(judged), len(judged))
            # An address has many tenants, and a phishing page many files that harmless ones have too.
            weight = 0.7 * (0.5 + part / 2) if query.type in {Type.URL, Type.DOMAIN} else 0.3 * part
            weights = (Weight(weight, reason),)
        related = dict.fromkeys(one for page in pages for one in _related(query, page))
        return Finding(facts, weights, tuple(related))


def _related(query: Query, page: _Page) -> Iterator[RelatedObservable]:
    """What one scanned page says about the value that was asked about."""
    of_name = query.type == Type.DOMAIN and page.domain == query.value
    if page.ip and (of_name or query.type == Type.URL):
        kind = Type.IPV6 if ":" in page.ip else Type.IPV4
        yield RelatedObservable("resolves-to" if of_name else "related-to", kind, page.ip)
    if query.type == Type.DOMAIN and page.domain:
        yield RelatedObservable("related-to", Type.DOMAIN, page.domain)
    if query.type in {Type.IPV4, Type.IPV6}:
        if page.domain:
            yield RelatedObservable("resolves-to", Type.DOMAIN, page.domain, inward=True)
        if page.asn:
            yield RelatedObservable("belongs-to", Type.ASN, page.asn)
    if query.type == Type.SHA256 and page.url:
        yield RelatedObservable("related-to", Type.URL, page.url)
