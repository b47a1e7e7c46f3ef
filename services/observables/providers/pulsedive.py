"""Pulsedive: the risk of an indicator, the threats and feeds that name it, and scans of it.

Source: https://docs.pulsedive.com/api/indicator/overview
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import collect_facts, distinct, is_public, relations
from shared.stix import ObservableType as Type

_WEIGHTS: Final[Mapping[str, float]] = {"critical": 0.8, "high": 0.65, "medium": 0.35}

# An empty object is written as an empty list.
_Loose = dict[str, Any] | list[Any] | None


class _Factor(msgspec.Struct):
    description: str | None = None


class _Named(msgspec.Struct):
    name: str | None = None


class _Properties(msgspec.Struct):
    dns: _Loose = None
    geo: _Loose = None


class _Indicator(msgspec.Struct):
    error: str | None = None
    indicator: str | None = None
    risk: str | None = None
    retired: str | int | bool | None = None
    stamp_added: str | None = None
    stamp_seen: str | None = None
    umbrella_rank: int | str | None = None
    riskfactors: list[_Factor] | None = None
    threats: list[_Named] | None = None
    feeds: list[_Named] | None = None
    attributes: _Loose = None
    properties: _Properties | list[Any] | None = None

    def is_retired(self) -> bool:
        return self.retired not in {None, 0, "0", ""}

    def known_properties(self) -> _Properties:
        return self.properties if isinstance(self.properties, _Properties) else _Properties()


class Pulsedive(RemoteEnricher):
    """Pulsedive's records of an indicator; nothing is scanned for the query."""

    name: ClassVar[str] = "pulsedive"
    title: ClassVar[str] = "Pulsedive"
    documentation: ClassVar[str] = "https://docs.pulsedive.com/api/indicator/overview"
    base_url: ClassVar[str] = "https://pulsedive.com/api"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6, Type.DOMAIN, Type.URL})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    key_optional: ClassVar[bool] = True
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    daily: ClassVar[int | None] = 10
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "pulsedive.com")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /indicator.php`; the provider takes the key only as a parameter."""
        return Request("/indicator.php", {"indicator": query.value, **key})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read an indicator; its risk is a claim, at half weight once the indicator is retired.

        Raises:
            InvalidAnswer: an error other than "not found", or no indicator.
        """
        indicator = msgspec.json.decode(content, type=_Indicator)
        if indicator.error and "not found" in indicator.error.lower():
            return None
        if indicator.error or not (indicator.indicator and indicator.risk):
            problem = "an error" if indicator.error else "no indicator"
            raise InvalidAnswer(f"{self.title} answered with {problem}.")
        facts = _risk_facts(indicator) | _scan_facts(indicator)
        related: tuple[RelatedObservable, ...] = ()
        if query.type == Type.DOMAIN:
            dns = indicator.known_properties().dns
            related = (
                *relations("resolves-to", Type.IPV4, _texts(dns, "A")),
                *relations("resolves-to", Type.IPV6, _texts(dns, "AAAA")),
            )
        return Finding(facts, _weights(indicator), related)


def _risk_facts(indicator: _Indicator) -> dict[str, Fact]:
    return collect_facts(
        risk=indicator.risk,
        retired=indicator.is_retired(),
        risk_factors=distinct(factor.description for factor in indicator.riskfactors or ()),
        threats=distinct(threat.name for threat in indicator.threats or ()),
        feeds=distinct(feed.name for feed in indicator.feeds or ()),
        umbrella_rank=indicator.umbrella_rank,
        added=indicator.stamp_added,
        last_seen=indicator.stamp_seen,
    )


def _scan_facts(indicator: _Indicator) -> dict[str, Fact]:
    ports = [port for port in _texts(indicator.attributes, "port") if port.isdecimal()]
    return collect_facts(
        ports=distinct(map(int, ports)),
        protocols=distinct(_texts(indicator.attributes, "protocol")),
        technologies=distinct(_texts(indicator.attributes, "technology")),
        country=next(_texts(indicator.known_properties().geo, "countrycode"), None),
    )


def _weights(indicator: _Indicator) -> tuple[Weight, ...]:
    weight = _WEIGHTS.get(indicator.risk or "")
    if not weight:
        return ()
    if indicator.is_retired():
        return (Weight(weight / 2, f"risk {indicator.risk}, but retired."),)
    return (Weight(weight, f"risk {indicator.risk}."),)


def _texts(loose: _Loose, name: str) -> Iterator[str]:
    """The texts under a name: a text, a list of texts, or a list of such lists."""
    return _flat(loose.get(name)) if isinstance(loose, dict) else iter(())


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _flat(item)
