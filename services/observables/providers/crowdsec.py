"""CrowdSec CTI: behaviour of an address, seen by users' sensors, and its reputation.

Source: https://docs.crowdsec.net/u/cti_api/taxonomy/cti_object
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
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    Values,
    autonomous_system,
    collect_facts,
    distinct,
    is_public,
    quote_segment,
    relations,
)
from shared.stix import ObservableType as Type

_MALICIOUS: Final[Mapping[str, float]] = {"high": 0.85, "medium": 0.7, "low": 0.5, "none": 0.3}
"""Weights of a malicious reputation by its confidence."""
_REPUTATIONS: Final[Mapping[str, float]] = {
    "malicious": 0.5,
    "suspicious": 0.4,
    "benign": -0.5,
    "safe": -0.7,
}


class _Label(msgspec.Struct):
    name: str
    label: str | None = None


class _Location(msgspec.Struct):
    country: str | None = None
    city: str | None = None


class _History(msgspec.Struct):
    first_seen: str | None = None
    last_seen: str | None = None


class _Classes(msgspec.Struct):
    false_positives: list[_Label] | None = None
    classifications: list[_Label] | None = None


class _Score(msgspec.Struct):
    total: int | None = None


class _Scores(msgspec.Struct):
    overall: _Score | None = None


class _Smoke(msgspec.Struct):
    ip: str
    reputation: str | None = None
    confidence: str | None = None
    background_noise: str | None = None
    as_num: int | None = None
    as_name: str | None = None
    ip_range: str | None = None
    reverse_dns: str | None = None
    location: _Location | None = None
    history: _History | None = None
    classifications: _Classes | None = None
    behaviors: list[_Label] | None = None
    attack_details: list[_Label] | None = None
    mitre_techniques: list[_Label] | None = None
    cves: list[str] | None = None
    scores: _Scores | None = None


class CrowdSec(RemoteEnricher):
    """Reports of CrowdSec's network about an address."""

    name: ClassVar[str] = "crowdsec"
    title: ClassVar[str] = "CrowdSec CTI"
    documentation: ClassVar[str] = "https://docs.crowdsec.net/u/cti_api/taxonomy/cti_object"
    base_url: ClassVar[str] = "https://cti.api.crowdsec.net/v2"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    daily: ClassVar[int | None] = 50
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /smoke/{ip}` with the key in a header."""
        return Request(
            f"/smoke/{quote_segment(query.value)}",
            headers={"Accept": "application/json"},
            auth_headers={"x-api-key": key["key"]},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read behaviour and reputation; CrowdSec answers 404 about an unreported address."""
        smoke = msgspec.json.decode(content, type=_Smoke)
        facts = _reputation_facts(smoke) | _behaviour_facts(smoke) | _network_facts(smoke)
        # The owner of an address chooses its reverse name; it need not resolve to the address.
        related = (
            *relations("related-to", Type.DOMAIN, [smoke.reverse_dns]),
            *relations("belongs-to", Type.ASN, [autonomous_system(smoke.as_num)]),
            *relations("related-to", Type.VULNERABILITY, smoke.cves),
        )
        return Finding(facts, _weights(smoke), related)


def _reputation_facts(smoke: _Smoke) -> dict[str, Fact]:
    overall = (smoke.scores and smoke.scores.overall) or _Score()
    history = smoke.history or _History()
    return collect_facts(
        reputation=smoke.reputation,
        confidence=smoke.confidence,
        score=overall.total,
        background_noise=smoke.background_noise,
        first_seen=history.first_seen,
        last_seen=history.last_seen,
    )


def _behaviour_facts(smoke: _Smoke) -> dict[str, Fact]:
    classes = smoke.classifications or _Classes()
    return collect_facts(
        behaviors=_labels(smoke.behaviors),
        attacks=distinct(attack.name for attack in smoke.attack_details or ()),
        techniques=distinct(technique.name for technique in smoke.mitre_techniques or ()),
        vulnerabilities=distinct(smoke.cves),
        classifications=_labels(classes.classifications),
        false_positives=_labels(classes.false_positives),
    )


def _network_facts(smoke: _Smoke) -> dict[str, Fact]:
    location = smoke.location or _Location()
    return collect_facts(
        country=location.country,
        city=location.city,
        asn=autonomous_system(smoke.as_num),
        as_name=smoke.as_name,
        network=smoke.ip_range,
        hostname=smoke.reverse_dns,
    )


def _weights(smoke: _Smoke) -> tuple[Weight, ...]:
    classes = smoke.classifications or _Classes()
    weight = _REPUTATIONS.get(smoke.reputation or "", 0.0)
    if smoke.reputation == "malicious":
        weight = _MALICIOUS.get(smoke.confidence or "", weight)
    weights: list[Weight] = []
    if weight:
        weights.append(Weight(weight, f"CrowdSec's network holds it for {smoke.reputation}."))
    if classes.false_positives and weight >= 0:
        labels = ", ".join(map(str, (_labels(classes.false_positives) or [])[:5]))
        weights.append(Weight(-0.5, f"reports of it are likely false: {labels}."))
    return tuple(weights)


def _labels(entries: list[_Label] | None) -> Values:
    return distinct(entry.label or entry.name for entry in entries or ())
