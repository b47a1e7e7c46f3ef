"""ThreatFox: indicators of malware, mostly of its command and control.

Source: https://threatfox.abuse.ch/api/
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RelatedObservable,
    RelationKind,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    JSON_HEADERS,
    collect_facts,
    distinct,
    earliest,
    is_public,
    latest,
    relations,
)
from shared.stix import ObservableType as Type

_FILES: Final = frozenset({Type.MD5, Type.SHA256})
_UNKNOWN: Final = frozenset({"no_result", "no_results"})
_HOSTS: Final = frozenset({Type.IPV4, Type.DOMAIN})
_DELIVERY: Final = "payload_delivery"
_PEERS: Final[Mapping[str, str]] = {"ip:port": Type.IPV4, "domain": Type.DOMAIN}


class _Indicator(msgspec.Struct):
    ioc: str
    ioc_type: str
    threat_type: str
    confidence_level: int
    malware: str | None = None
    malware_printable: str | None = None
    malware_alias: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    tags: list[str] | None = None


class _Answer(msgspec.Struct):
    query_status: str
    data: list[_Indicator] | str | None = None


class ThreatFox(RemoteEnricher):
    """Indicators that abuse.ch and its community share."""

    name: ClassVar[str] = "threatfox"
    title: ClassVar[str] = "abuse.ch ThreatFox"
    origin: ClassVar[str] = "abuse.ch"
    documentation: ClassVar[str] = "https://threatfox.abuse.ch/api/"
    base_url: ClassVar[str] = "https://threatfox-api.abuse.ch"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.DOMAIN, Type.URL, *_FILES})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 2000
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=12)
    max_body: ClassVar[int] = 4 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`POST /api/v1/`: JSON, with the key in a header."""
        command: dict[str, str | bool]
        if query.type in _FILES:
            command = {"query": "search_hash", "hash": query.value}
        else:
            # Only a search that need not be exact finds an address with each of its ports.
            exact = query.type == Type.URL
            command = {"query": "search_ioc", "search_term": query.value, "exact_match": exact}
        body = msgspec.json.encode(command)
        return Request("/api/v1/", {}, "POST", JSON_HEADERS, {"Auth-Key": key["key"]}, body)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the indicators about a value; the status is `no_result` for an unknown one.

        The indicator with the highest weight is a claim.
        """
        answer = msgspec.json.decode(content, type=_Answer)
        if answer.query_status in _UNKNOWN:
            return None
        if answer.query_status != "ok" or not isinstance(answer.data, list):
            raise InvalidAnswer(f"ThreatFox answered with the status {answer.query_status[:50]!r}.")
        indicators = answer.data
        if query.type in _HOSTS:
            # A search that need not be exact also finds values that only contain the host.
            indicators = [entry for entry in indicators if _host(entry.ioc) == query.value]
        if not indicators:
            return None
        strongest = max(indicators, key=lambda indicator: _weight(query, indicator))
        facts = _indicator_facts(indicators, strongest)
        return Finding(facts, _weights(query, strongest), tuple(_related(query, indicators)))


def _indicator_facts(indicators: list[_Indicator], strongest: _Indicator) -> dict[str, Fact]:
    aliases: list[str] = []
    for indicator in indicators:
        aliases += (indicator.malware_alias or "").split(",")
    return collect_facts(
        indicators=len(indicators),
        confidence=strongest.confidence_level,
        malware=distinct(entry.malware_printable or entry.malware for entry in indicators),
        aliases=distinct(aliases),
        threats=distinct(indicator.threat_type for indicator in indicators),
        tags=distinct(tag for indicator in indicators for tag in indicator.tags or ()),
        first_seen=earliest(indicator.first_seen for indicator in indicators),
        last_seen=latest(indicator.last_seen for indicator in indicators),
    )


def _weight(query: Query, indicator: _Indicator) -> float:
    """The weight of an indicator; its confidence is a percentage.

    A URL says less about its host: hosts that are not bad themselves serve malware too.
    """
    trust = 0.5 if query.type == Type.DOMAIN and indicator.ioc_type == "url" else 0.9
    return trust * min(indicator.confidence_level, 100) / 100


def _weights(query: Query, strongest: _Indicator) -> tuple[Weight, ...]:
    weight = _weight(query, strongest)
    if weight <= 0:
        return ()
    name = strongest.malware_printable or strongest.malware or "malware"
    reason = (
        f"an indicator of {name} ({strongest.threat_type}), "
        f"confidence {strongest.confidence_level} %."
    )
    return (Weight(weight, reason),)


def _host(ioc: str) -> str:
    """The address or domain of an indicator, which may have a port or be a URL."""
    try:
        return urlsplit(ioc if "://" in ioc else f"//{ioc}").hostname or ioc
    except ValueError:
        return ioc


def _related(query: Query, indicators: list[_Indicator]) -> Iterator[RelatedObservable]:
    """URLs at a host; URLs and peers of a file."""
    if query.type in _HOSTS:
        urls = [indicator.ioc for indicator in indicators if indicator.ioc_type == "url"]
        yield from relations("related-to", Type.URL, urls)
    if query.type not in _FILES:
        return
    for indicator in indicators:
        if indicator.ioc_type == "url":
            delivers = indicator.threat_type == _DELIVERY
            relation: RelationKind = "downloaded-from" if delivers else "communicates-with"
            yield RelatedObservable(relation, Type.URL, indicator.ioc)
        elif indicator.ioc_type in _PEERS:
            type_ = _PEERS[indicator.ioc_type]
            yield RelatedObservable("communicates-with", type_, _host(indicator.ioc))
