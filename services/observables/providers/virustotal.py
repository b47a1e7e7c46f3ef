"""VirusTotal: verdicts of many engines on an address, a domain, a URL or a file.

Source: https://docs.virustotal.com/reference/overview and the pages of the objects there:
ip-object, domains-object, url-object, files.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    autonomous_system,
    collect_facts,
    distinct,
    epoch_to_rfc3339,
    hash_relations,
    is_public,
    quote_segment,
    relations,
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
_FULL_WEIGHT: Final = 10
"""The number of engines that give a claim its full weight."""
_ADDRESS_RECORDS: Final[Mapping[str, str]] = {"A": Type.IPV4, "AAAA": Type.IPV6}


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
    # Of addresses:
    asn: int | None = None
    as_owner: str | None = None
    country: str | None = None
    network: str | None = None
    # Of domains, and some of URLs:
    registrar: str | None = None
    creation_date: int | None = None
    categories: dict[str, str] | None = None
    last_dns_records: list[_Record] | None = None
    # Of URLs:
    last_final_url: str | None = None
    title: str | None = None
    threat_names: list[str] | None = None
    # Of files, and some of URLs:
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
    """The last analysis by all engines; the enricher submits nothing."""

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
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /{collection}/{id}` with the key in a header; a URL's id is the URL in base64."""
        identifier = query.value
        if query.type == Type.URL:
            identifier = urlsafe_b64encode(query.value.encode()).decode().rstrip("=")
        path = f"/{_COLLECTIONS[query.type]}/{quote_segment(identifier)}"
        return Request(
            path, headers={"Accept": "application/json"}, auth_headers={"x-apikey": key["key"]}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the last analysis; an unknown value is a 404.

        The engines that detect it are a claim, of full weight from ten engines on.
        """
        attributes = msgspec.json.decode(content, type=_Answer).data.attributes
        facts = (
            _analysis_facts(attributes)
            | _network_facts(attributes)
            | _page_facts(attributes)
            | _file_facts(attributes)
            | _threat_facts(attributes)
        )
        return Finding(facts, _weights(attributes), _related(query, attributes))


def _analysis_facts(attributes: _Attributes) -> dict[str, Fact]:
    stats = attributes.last_analysis_stats
    return collect_facts(
        malicious=stats.malicious,
        suspicious=stats.suspicious,
        harmless=stats.harmless,
        undetected=stats.undetected,
        analysed=epoch_to_rfc3339(attributes.last_analysis_date),
        reputation=attributes.reputation,
        tags=distinct(attributes.tags),
    )


def _network_facts(attributes: _Attributes) -> dict[str, Fact]:
    """Facts about addresses and domains."""
    return collect_facts(
        asn=autonomous_system(attributes.asn),
        as_owner=attributes.as_owner,
        country=attributes.country,
        network=attributes.network,
        registrar=attributes.registrar,
        created=epoch_to_rfc3339(attributes.creation_date),
        categories=distinct((attributes.categories or {}).values()),
    )


def _page_facts(attributes: _Attributes) -> dict[str, Fact]:
    """Facts about URLs."""
    return collect_facts(
        title=attributes.title,
        final_url=attributes.last_final_url,
        threat_names=distinct(attributes.threat_names),
    )


def _file_facts(attributes: _Attributes) -> dict[str, Fact]:
    return collect_facts(
        first_submitted=epoch_to_rfc3339(attributes.first_submission_date),
        times_submitted=attributes.times_submitted,
        file_name=attributes.meaningful_name,
        file_type=attributes.type_description,
        file_size=attributes.size,
    )


def _threat_facts(attributes: _Attributes) -> dict[str, Fact]:
    threat = attributes.popular_threat_classification or _Threat()
    verdict = attributes.trusted_verdict or _Verdict()
    return collect_facts(
        threat_label=threat.suggested_threat_label,
        threat_categories=distinct(label.value for label in threat.popular_threat_category or ()),
        families=distinct(label.value for label in threat.popular_threat_name or ()),
        trusted_by=verdict.organization,
    )


def _weights(attributes: _Attributes) -> tuple[Weight, ...]:
    stats = attributes.last_analysis_stats
    engines = stats.malicious + stats.suspicious + stats.harmless + stats.undetected
    weights: list[Weight] = []
    if stats.malicious or stats.suspicious:
        weight = min(0.9, 0.9 * (stats.malicious + stats.suspicious / 2) / _FULL_WEIGHT)
        reason = (
            f"{stats.malicious} of {engines} engines call it malicious, "
            f"{stats.suspicious} suspicious."
        )
        weights.append(Weight(weight, reason))
    verdict = attributes.trusted_verdict
    if verdict and verdict.verdict == "goodware":
        maker = verdict.organization or "its maker"
        weights.append(Weight(-0.6, f"a file that {maker} distributes."))
    return tuple(weights)


def _related(query: Query, attributes: _Attributes) -> tuple[RelatedObservable, ...]:
    related = [
        *relations("belongs-to", Type.ASN, [autonomous_system(attributes.asn)]),
        *_resolutions(query, attributes),
        *relations("related-to", Type.URL, [attributes.last_final_url]),
    ]
    if _COLLECTIONS[query.type] == "files":
        related += hash_relations(attributes.md5, attributes.sha1, attributes.sha256)
        imphash = attributes.pe_info.imphash if attributes.pe_info else None
        related += relations("related-to", Type.IMPHASH, [imphash])
    return tuple(related)


def _resolutions(query: Query, attributes: _Attributes) -> Iterator[RelatedObservable]:
    """The addresses in the last DNS records of a domain."""
    if query.type != Type.DOMAIN:
        return
    for record in attributes.last_dns_records or ():
        if record.type in _ADDRESS_RECORDS:
            yield from relations("resolves-to", _ADDRESS_RECORDS[record.type], [record.value])
