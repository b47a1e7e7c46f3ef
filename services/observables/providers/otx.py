"""LevelBlue OTX, formerly AlienVault's: the reports ("pulses") that name an observable.

Source: https://otx.alienvault.com/assets/static/external_api.html#api_v1_indicators
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
    collect_facts,
    distinct,
    is_public,
    latest,
    quote_segment,
    relations,
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
_MAX_NAMES: Final = 20
_SECOND_LEVEL: Final = frozenset(
    {"ac", "co", "com", "edu", "gob", "gov", "gv", "mil", "ne", "net", "or", "org"}
)
"""Labels below a country's domain that are no names of their own, as in `co.uk`."""
_EXONERATING: Final = frozenset({"whitelist", "false_positive"})


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
    """Pulses of the community, and observables that OTX takes for harmless."""

    name: ClassVar[str] = "otx"
    title: ClassVar[str] = "AlienVault OTX"
    origin: ClassVar[str] = "levelblue"
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
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /api/v1/indicators/{kind}/{value}/general` with the key in a header."""
        kind = _KINDS.get(query.type) or _domain_kind(query.value)
        path = f"/api/v1/indicators/{kind}/{quote_segment(query.value)}/general"
        return Request(
            path, headers={"Accept": "application/json"}, auth_headers={"X-OTX-API-KEY": key["key"]}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the pulses that name a value.

        They are a weak claim, since anyone may write one, and none about values that OTX takes for
        harmless.
        """
        indicator = msgspec.json.decode(content, type=_Indicator)
        count = indicator.pulse_info.count
        exonerations = _exonerations(indicator)
        asn, _, holder = (indicator.asn or "").partition(" ")
        facts = (
            collect_facts(pulses=count or None)
            | _pulse_facts(indicator.pulse_info.pulses)
            | collect_facts(
                harmless=distinct(exonerations),
                asn=asn,
                as_name=holder,
                country=indicator.country_code,
            )
        )
        if not facts:
            return None
        return Finding(
            facts, _weights(count, exonerations), relations("belongs-to", Type.ASN, [asn])
        )


def _pulse_facts(pulses: list[_Pulse]) -> dict[str, Fact]:
    families: list[_Family | str] = []
    techniques: list[_Technique | str] = []
    for pulse in pulses:
        families += pulse.malware_families or ()
        techniques += pulse.attack_ids or ()
    return collect_facts(
        pulse_names=distinct((pulse.name for pulse in pulses), _MAX_NAMES),
        adversaries=distinct((pulse.adversary for pulse in pulses), _MAX_NAMES),
        malware=distinct(map(_family_name, families), _MAX_NAMES),
        techniques=distinct(map(_technique_id, techniques)),
        tags=distinct(tag for pulse in pulses for tag in pulse.tags or ()),
        last_pulse=latest(pulse.modified or pulse.created for pulse in pulses),
    )


def _family_name(family: _Family | str) -> str | None:
    return family if isinstance(family, str) else family.display_name


def _technique_id(technique: _Technique | str) -> str | None:
    return technique if isinstance(technique, str) else technique.id


def _domain_kind(name: str) -> str:
    """OTX separates registered domains from the names below them."""
    labels = name.split(".")
    suffix = 2 if len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 1
    return "domain" if len(labels) <= suffix + 1 else "hostname"


def _exonerations(indicator: _Indicator) -> list[str]:
    """The reasons why OTX takes an indicator for harmless."""
    reasons = [
        validation.name or validation.source or ""
        for validation in indicator.validation or ()
        if validation.source in _EXONERATING
    ]
    if any(report.assessment == "accepted" for report in indicator.false_positive or ()):
        reasons.append("accepted as a false positive")
    return reasons


def _weights(count: int, exonerations: list[str]) -> tuple[Weight, ...]:
    if exonerations:
        return (Weight(-0.4, f"harmless according to OTX: {', '.join(exonerations[:5])}."),)
    if count:
        return (Weight(min(0.5, 0.15 + 0.05 * count), f"named in {count} pulses of OTX."),)
    return ()
