"""LevelBlue OTX, once AlienVault's: which reports of its community ("pulses") name an observable.

Source: https://otx.alienvault.com/assets/static/external_api.html#api_v1_indicators
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

_KINDS: Final[Mapping[str, str]] = {
    Type.IPV4: "IPv4",
    Type.IPV6: "IPv6",
    Type.URL: "url",
    Type.MD5: "file",
    Type.SHA1: "file",
    Type.SHA256: "file",
    Type.VULNERABILITY: "cve",
}
_MOST_NAMES: Final = 20
_SECOND_LEVEL: Final = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gv", "mil", "ne", "net", "or", "org"}
)
_GOOD: Final = frozenset({"whitelist", "false_positive"})


class _Family(msgspec.Struct):
    display_name: str | None = None


class _Technique(msgspec.Struct):
    id: str | None = None


class _Pulse(msgspec.Struct):
    name: str
    created: str | None = None
    modified: str | None = None
    adversary: str | None = None
    tags: list[str] | None = None
    malware_families: list[_Family | str] | None = None
    attack_ids: list[_Technique | str] | None = None


class _Pulses(msgspec.Struct):
    count: int
    pulses: list[_Pulse] = []


class _Validation(msgspec.Struct):
    source: str | None = None
    name: str | None = None


class _FalsePositive(msgspec.Struct):
    assessment: str | None = None


class _Indicator(msgspec.Struct):
    pulse_info: _Pulses
    asn: str | None = None
    country_code: str | None = None
    validation: list[_Validation] | None = None
    false_positive: list[_FalsePositive] | None = None


class OTX(RemoteEnricher):
    """Pulses that an observable occurs in, and what OTX knows to be harmless."""

    name: ClassVar[str] = "otx"
    title: ClassVar[str] = "AlienVault OTX"
    documentation: ClassVar[str] = "https://otx.alienvault.com/assets/static/external_api.html"
    base_url: ClassVar[str] = "https://otx.alienvault.com"
    types: ClassVar[frozenset[str]] = frozenset({*_KINDS, Type.DOMAIN})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    timeout: ClassVar[float] = 30.0
    max_body: ClassVar[int] = 4 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.IPV4, "8.8.8.8")

    def applies(self, query: Query) -> bool:
        """URLs, names, files, vulnerabilities, and addresses of the public network."""
        return query.type in self.types and (
            query.type not in {Type.IPV4, Type.IPV6} or is_public_address(query.value)
        )

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /api/v1/indicators/{kind}/{value}/general` with the key in a header."""
        kind = _KINDS.get(query.type) or _kind_of_name(query.value)
        path = f"/api/v1/indicators/{kind}/{quote_segment(query.value)}/general"
        return Request(
            path, headers={"Accept": "application/json"}, auth_headers={"X-OTX-API-KEY": key["key"]}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Pulses are a weak voice, for anybody writes them, and none about what OTX knows to be harmless."""
        indicator = msgspec.json.decode(content, type=_Indicator)
        count, pulses = indicator.pulse_info.count, indicator.pulse_info.pulses
        families = (family for pulse in pulses for family in pulse.malware_families or [])
        techniques = (technique for pulse in pulses for technique in pulse.attack_ids or [])
        good = _harmless(indicator)
        system, _, holder = (indicator.asn or "").partition(" ")
        facts = collect_facts(
            pulses=count or None,
            pulse_names=distinct((pulse.name for pulse in pulses), _MOST_NAMES),
            adversaries=distinct((pulse.adversary for pulse in pulses), _MOST_NAMES),
            malware=distinct(
                (one if isinstance(one, str) else one.display_name for one in families), _MOST_NAMES
            ),
            techniques=distinct(one if isinstance(one, str) else one.id for one in techniques),
            tags=distinct(tag for pulse in pulses for tag in pulse.tags or []),
            last_pulse=max(
                (pulse.modified or pulse.created or "" for pulse in pulses), default=None
            ),
            harmless=distinct(good),
            asn=system,
            as_name=holder,
            country=indicator.country_code,
        )
        related = (RelatedObservable("belongs-to", Type.ASN, system),) if system else ()
        return Finding(facts, _weights(count, good), related) if facts else None


def _kind_of_name(name: str) -> str:
    """OTX keeps registered domains and the names below them apart."""
    labels = name.split(".")
    suffix = 2 if len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 1
    return "domain" if len(labels) <= suffix + 1 else "hostname"


def _harmless(indicator: _Indicator) -> list[str]:
    """Why OTX thinks it harmless."""
    reasons = [
        one.name or one.source or "" for one in indicator.validation or [] if one.source in _GOOD
    ]
    accepted = any(one.assessment == "accepted" for one in indicator.false_positive or [])
    return [*reasons, *(["accepted as a false positive"] if accepted else [])]


def _weights(count: int, good: list[str]) -> tuple[Weight, ...]:
    if good:
        return (Weight(-0.4, f"harmless according to OTX: {', '.join(good[:5])}."),)
    if count:
        return (Weight(min(0.5, 0.15 + 0.05 * count), f"named in {count} pulses of OTX."),)
    return ()
