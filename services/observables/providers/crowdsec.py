"""CrowdSec CTI: what its users' sensors saw an address do, and what CrowdSec thinks of it.

Source: https://docs.crowdsec.net/u/cti_api/taxonomy/cti_object
"""

from collections.abc import Mapping
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
    is_public_address,
    quote_segment,
)
from shared.stix import ObservableType as Type

_MALICIOUS: Final[Mapping[str, float]] = {"high": 0.85, "medium": 0.7, "low": 0.5, "none": 0.3}
_STANDING: Final[Mapping[str, float]] = {
    "malicious": 0.5,
    "suspicious": 0.4,
    "benign": -0.5,
    "safe": -0.7,
}


class _Named(msgspec.Struct):
    name: str
    label: str | None = None


class _Location(msgspec.Struct):
    country: str | None = None
    city: str | None = None


class _History(msgspec.Struct):
    first_seen: str | None = None
    last_seen: str | None = None


class _Classes(msgspec.Struct):
    false_positives: list[_Named] | None = None
    classifications: list[_Named] | None = None


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
    behaviors: list[_Named] | None = None
    attack_details: list[_Named] | None = None
    mitre_techniques: list[_Named] | None = None
    cves: list[str] | None = None
    scores: _Scores | None = None


class CrowdSec(RemoteEnricher):
    """What CrowdSec's network reported about an address."""

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
        """Addresses of the public network."""
        return query.type in self.types and is_public_address(query.value)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /smoke/{ip}` with the key in a header."""
        return Request(
            f"/smoke/{quote_segment(query.value)}",
            headers={"Accept": "application/json"},
            auth_headers={"x-api-key": key["key"]},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Behaviour and reputation. An address that was never reported is a 404."""
        smoke = msgspec.json.decode(content, type=_Smoke)
        location, history = smoke.location or _Location(), smoke.history or _History()
        classes = smoke.classifications or _Classes()
        overall = (smoke.scores and smoke.scores.overall) or _Score()
        facts = collect_facts(
            reputation=smoke.reputation,
            confidence=smoke.confidence,
            score=overall.total,
            background_noise=smoke.background_noise,
            behaviors=_labels(smoke.behaviors),
            attacks=distinct(attack.name for attack in smoke.attack_details or ()),
            techniques=distinct(technique.name for technique in smoke.mitre_techniques or ()),
            vulnerabilities=distinct(smoke.cves or ()),
            classifications=_labels(classes.classifications),
            false_positives=_labels(classes.false_positives),
            country=location.country,
            city=location.city,
            asn=f"AS{smoke.as_num}" if smoke.as_num else None,
            as_name=smoke.as_name,
            network=smoke.ip_range,
            hostname=smoke.reverse_dns,
            first_seen=history.first_seen,
            last_seen=history.last_seen,
        )
        related: list[RelatedObservable] = []
        if smoke.reverse_dns:
            # The word of whoever has the address: the name need not resolve to it.
            related.append(RelatedObservable("related-to", Type.DOMAIN, smoke.reverse_dns))
        if smoke.as_num:
            related.append(RelatedObservable("belongs-to", Type.ASN, f"AS{smoke.as_num}"))
        related += [
            RelatedObservable("related-to", Type.VULNERABILITY, hole) for hole in smoke.cves or ()
        ]
        return Finding(facts, _weights(smoke, classes), tuple(related))


def _weights(smoke: _Smoke, classes: _Classes) -> tuple[Weight, ...]:
    standing = _STANDING.get(smoke.reputation or "", 0.0)
    if smoke.reputation == "malicious":
        standing = _MALICIOUS.get(smoke.confidence or "", standing)
    weights: list[Weight] = []
    if standing:
        weights.append(Weight(standing, f"CrowdSec's network holds it for {smoke.reputation}."))
    if classes.false_positives and standing >= 0:
        named = ", ".join(str(label) for label in (_labels(classes.false_positives) or ())[:5])
        weights.append(Weight(-0.5, f"reports of it are likely false: {named}."))
    return tuple(weights)


def _labels(named: list[_Named] | None) -> list[str | int | float] | None:
    return distinct(one.label or one.name for one in named or ())
