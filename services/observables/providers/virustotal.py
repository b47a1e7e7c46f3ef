"""VirusTotal: what scores of engines say about an address, a domain, a URL or a file.

Source: https://docs.virustotal.com/reference/overview and the objects' pages there: ip-object, domains-object,
url-object, files.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
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
    Weight,
)
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    epoch_to_rfc3339,
    hash_relations,
    is_public_address,
    quote_segment,
)
from shared.stix import ObservableType as Type

_COLLECTIONS: Final[Mapping[str, str]] = {
    Type.IPV4: "ip_addresses",
    Type.IPV6: "ip_addresses",
    Type.DOMAIN: "domains",
    Type.URL: "urls",
    Type.MD5: "files",
    Type.SHA1: "files",
    Type.SHA256: "files",
}
_SURE: Final = 10
_RECORDS: Final[Mapping[str, str]] = {"A": Type.IPV4, "AAAA": Type.IPV6}


class _Stats(msgspec.Struct):
    malicious: int
    suspicious: int = 0
    harmless: int = 0
    undetected: int = 0


class _Label(msgspec.Struct):
    value: str


class _Threat(msgspec.Struct):
    suggested_threat_label: str | None = None
    popular_threat_category: list[_Label] | None = None
    popular_threat_name: list[_Label] | None = None


class _Verdict(msgspec.Struct):
    verdict: str | None = None
    organization: str | None = None


class _Record(msgspec.Struct):
    type: str
    value: str | None = None


class _Pe(msgspec.Struct):
    imphash: str | None = None


class _Attributes(msgspec.Struct):
    last_analysis_stats: _Stats
    last_analysis_date: int | None = None
    reputation: int | None = None
    tags: list[str] | None = None
    # Of addresses.
    asn: int | None = None
    as_owner: str | None = None
    country: str | None = None
    network: str | None = None
    # Of domains, and some of URLs.
    registrar: str | None = None
    creation_date: int | None = None
    categories: dict[str, str] | None = None
    last_dns_records: list[_Record] | None = None
    # Of URLs.
    last_final_url: str | None = None
    title: str | None = None
    threat_names: list[str] | None = None
    # Of files, and some of URLs.
    first_submission_date: int | None = None
    times_submitted: int | None = None
    meaningful_name: str | None = None
    type_description: str | None = None
    size: int | None = None
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    pe_info: _Pe | None = None
    popular_threat_classification: _Threat | None = None
    trusted_verdict: _Verdict | None = None


class _Object(msgspec.Struct):
    id: str
    type: str
    attributes: _Attributes


class _Answer(msgspec.Struct):
    data: _Object


class VirusTotal(RemoteEnricher):
    """The last analysis by all engines; nothing is submitted."""

    name: ClassVar[str] = "virustotal"
    title: ClassVar[str] = "VirusTotal"
    documentation: ClassVar[str] = "https://docs.virustotal.com/reference/overview"
    base_url: ClassVar[str] = "https://www.virustotal.com/api/v3"
    types: ClassVar[frozenset[str]] = frozenset(_COLLECTIONS)
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(4, 60)
    daily: ClassVar[int | None] = 500
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    shareable: ClassVar[bool] = False
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        """URLs, names, files, and addresses of the public network."""
        return query.type in self.types and (
            query.type not in {Type.IPV4, Type.IPV6} or is_public_address(query.value)
        )

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /{collection}/{id}` with the key in a header; a URL's identifier is the URL in base64."""
        identifier = query.value
        if query.type == Type.URL:
            identifier = urlsafe_b64encode(query.value.encode()).decode().rstrip("=")
        path = f"/{_COLLECTIONS[query.type]}/{quote_segment(identifier)}"
        return Request(
            path, headers={"Accept": "application/json"}, auth_headers={"x-apikey": key["key"]}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Engines are a voice that ten of them make as sure as it gets. Unknown is a 404."""
        told_of = msgspec.json.decode(content, type=_Answer).data.attributes
        stats = told_of.last_analysis_stats
        threat = told_of.popular_threat_classification or _Threat()
        facts = collect_facts(
            malicious=stats.malicious,
            suspicious=stats.suspicious,
            harmless=stats.harmless,
            undetected=stats.undetected,
            analysed=epoch_to_rfc3339(told_of.last_analysis_date),
            reputation=told_of.reputation,
            tags=distinct(told_of.tags or []),
            asn=f"AS{told_of.asn}" if told_of.asn else None,
            as_owner=told_of.as_owner,
            country=told_of.country,
            network=told_of.network,
            registrar=told_of.registrar,
            created=epoch_to_rfc3339(told_of.creation_date),
            categories=distinct((told_of.categories or {}).values()),
            title=told_of.title,
            final_url=told_of.last_final_url,
            threat_names=distinct(told_of.threat_names or []),
            first_submitted=epoch_to_rfc3339(told_of.first_submission_date),
            times_submitted=told_of.times_submitted,
            file_name=told_of.meaningful_name,
            file_type=told_of.type_description,
            file_size=told_of.size,
            threat_label=threat.suggested_threat_label,
            threat_categories=distinct(one.value for one in threat.popular_threat_category or []),
            families=distinct(one.value for one in threat.popular_threat_name or []),
            trusted_by=told_of.trusted_verdict.organization if told_of.trusted_verdict else None,
        )
        return Finding(facts, _weights(told_of), tuple(_related(query, told_of)))


def _weights(told_of: _Attributes) -> tuple[Weight, ...]:
    stats = told_of.last_analysis_stats
    engines = stats.malicious + stats.suspicious + stats.harmless + stats.undetected
    weights = []
    if stats.malicious or stats.suspicious:
        weight = min(0.9, 0.9 * (stats.malicious + stats.suspicious / 2) / _SURE)
        flagged = f"{stats.malicious} of {engines} engines call it malicious, {stats.suspicious} suspicious."
        weights.append(Weight(weight, flagged))
    verdict = told_of.trusted_verdict
    if verdict and verdict.verdict == "goodware":
        weights.append(
            Weight(-0.6, f"a file that {verdict.organization or 'its maker'} distributes.")
        )
    return tuple(weights)


def _related(query: Query, told_of: _Attributes) -> Iterable[RelatedObservable]:
    if told_of.asn:
        yield RelatedObservable("belongs-to", Type.ASN, f"AS{told_of.asn}")
    for record in told_of.last_dns_records or []:
        if query.type == Type.DOMAIN and record.type in _RECORDS and record.value:
            yield RelatedObservable("resolves-to", _RECORDS[record.type], record.value)
    if told_of.last_final_url:
        yield RelatedObservable("related-to", Type.URL, told_of.last_final_url)
    if _COLLECTIONS[query.type] == "files":
        yield from hash_relations(told_of.md5, told_of.sha1, told_of.sha256)
        if told_of.pe_info and told_of.pe_info.imphash:
            yield RelatedObservable("related-to", Type.IMPHASH, told_of.pe_info.imphash)
