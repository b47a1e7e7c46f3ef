"""Pulsedive: the risk of an indicator, the threats and feeds that name it, and what scans saw of it.

Source: https://docs.pulsedive.com/api/indicator/overview
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Asked,
    BadAnswer,
    Finding,
    Rate,
    Related,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.reading import listed, public_address, told
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
    base: ClassVar[str] = "https://pulsedive.com/api"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6, Type.DOMAIN, Type.URL})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    key_optional: ClassVar[bool] = True
    rate: ClassVar[Rate] = Rate(1, 1)
    daily: ClassVar[int | None] = 10
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    harmless: ClassVar[Asked] = Asked(Type.DOMAIN, "pulsedive.com")

    def applies(self, asked: Asked) -> bool:
        """Names, URLs, and addresses of the public network."""
        return asked.type in self.types and (
            asked.type not in {Type.IPV4, Type.IPV6} or public_address(asked.value)
        )

    def request(self, asked: Asked, key: Mapping[str, str]) -> Request:
        """`GET /indicator.php`; the key can only be a parameter."""
        return Request("/indicator.php", {"indicator": asked.value, **key})

    def read(self, asked: Asked, content: bytes) -> Finding | None:
        """Its risk is a voice, half as loud once the indicator is retired.

        Raises:
            BadAnswer: an error other than that the indicator is not known, or no indicator.
        """
        found = msgspec.json.decode(content, type=_Indicator)
        if found.error and "not found" in found.error.lower():
            return None
        if found.error or not (found.indicator and found.risk):
            raise BadAnswer(
                f"{self.title} answered with {'an error' if found.error else 'no indicator'}."
            )
        retired = found.retired not in {None, 0, "0", ""}
        properties = (
            found.properties if isinstance(found.properties, _Properties) else _Properties()
        )
        facts = told(
            risk=found.risk,
            retired=retired,
            risk_factors=listed(factor.description for factor in found.riskfactors or ()),
            threats=listed(threat.name for threat in found.threats or ()),
            feeds=listed(feed.name for feed in found.feeds or ()),
            ports=listed(
                int(port) for port in _texts(found.attributes, "port") if port.isdecimal()
            ),
            protocols=listed(_texts(found.attributes, "protocol")),
            technologies=listed(_texts(found.attributes, "technology")),
            country=next(_texts(properties.geo, "countrycode"), None),
            umbrella_rank=found.umbrella_rank,
            added=found.stamp_added,
            last_seen=found.stamp_seen,
        )
        weights: tuple[Weight, ...] = ()
        if voice := _VOICES.get(found.risk):
            reason = f"risk {found.risk}{', but retired' if retired else ''}."
            weights = (Weight(voice / 2 if retired else voice, reason),)
        related: tuple[Related, ...] = ()
        if asked.type == Type.DOMAIN:
            v4 = (
                Related("resolves-to", Type.IPV4, address)
                for address in _texts(properties.dns, "A")
            )
            v6 = (
                Related("resolves-to", Type.IPV6, address)
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
