"""Pulsedive: the risk of an indicator, the threats and feeds that name it, and what scans saw of it.

Source: https://docs.pulsedive.com/api/indicator/overview
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import collect_facts, distinct, is_public_address
from shared.stix import ObservableType as Type

_VOICES: Final[Mapping[str, float]] = {"critical": 0.8, "high": 0.65, "medium": 0.35}

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


class Pulsedive(RemoteEnricher):
    """What Pulsedive keeps about an indicator; it is not asked to scan anything."""

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
        """Names, URLs, and addresses of the public network."""
        return query.type in self.types and (
            query.type not in {Type.IPV4, Type.IPV6} or is_public_address(query.value)
        )

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /indicator.php`; the key can only be a parameter."""
        return Request("/indicator.php", {"indicator": query.value, **key})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Its risk is a voice, half as loud once the indicator is retired.

        Raises:
            InvalidAnswer: an error other than that the indicator is not known, or no indicator.
        """
        found = msgspec.json.decode(content, type=_Indicator)
        if found.error and "not found" in found.error.lower():
            return None
        if found.error or not (found.indicator and found.risk):
            raise InvalidAnswer(
                f"{self.title} answered with {'an error' if found.error else 'no indicator'}."
            )
        retired = found.retired not in {None, 0, "0", ""}
        properties = (
            found.properties if isinstance(found.properties, _Properties) else _Properties()
        )
        facts = collect_facts(
            risk=found.risk,
            retired=retired,
            risk_factors=distinct(factor.description for factor in found.riskfactors or ()),
            threats=distinct(threat.name for threat in found.threats or ()),
            feeds=distinct(feed.name for feed in found.feeds or ()),
            ports=distinct(
                int(port) for port in _texts(found.attributes, "port") if port.isdecimal()
            ),
            protocols=distinct(_texts(found.attributes, "protocol")),
            technologies=distinct(_texts(found.attributes, "technology")),
            country=next(_texts(properties.geo, "countrycode"), None),
            umbrella_rank=found.umbrella_rank,
            added=found.stamp_added,
            last_seen=found.stamp_seen,
        )
        weights: tuple[Weight, ...] = ()
        if voice := _VOICES.get(found.risk):
            reason = f"risk {found.risk}{', but retired' if retired else ''}."
            weights = (Weight(voice / 2 if retired else voice, reason),)
        related: tuple[RelatedObservable, ...] = ()
        if query.type == Type.DOMAIN:
            v4 = (
                RelatedObservable("resolves-to", Type.IPV4, address)
                for address in _texts(properties.dns, "A")
            )
            v6 = (
                RelatedObservable("resolves-to", Type.IPV6, address)
                for address in _texts(properties.dns, "AAAA")
            )
            related = (*v4, *v6)
        return Finding(facts, weights, related)


def _texts(loose: _Loose, name: str) -> Iterator[str]:
    """The texts under a name: there is one, or a list of them, or a list of such lists."""
    return _flat(loose.get(name)) if isinstance(loose, dict) else iter(())


def _flat(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _flat(one)
