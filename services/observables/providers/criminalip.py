"""Criminal IP: the risk of an address, and its network.

Source: https://www.criminalip.io/developer/api/get-asset-ip-summary
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import collect_facts, is_public, relations
from shared.stix import ObservableType as Type

_LEVELS: Final = ("Safe", "Low", "Moderate", "Dangerous", "Critical")
_WEIGHTS: Final[Mapping[str, float]] = {"Moderate": 0.15, "Dangerous": 0.45, "Critical": 0.65}
_OK: Final = 200
_NOT_FOUND: Final = 404


class _Score(msgspec.Struct):
    inbound: str | int | None = None
    outbound: str | int | None = None


class _Summary(msgspec.Struct):
    status: int
    ip: str | None = None
    score: _Score | None = None
    country_code: str | None = None
    region: str | None = None
    city: str | None = None
    isp: str | None = None
    org_name: str | None = None
    as_no: int | str | None = None


class CriminalIP(RemoteEnricher):
    """The summary of an address."""

    name: ClassVar[str] = "criminalip"
    title: ClassVar[str] = "Criminal IP"
    origin: ClassVar[str] = "criminal-ip"
    documentation: ClassVar[str] = "https://www.criminalip.io/developer/api/get-asset-ip-summary"
    base_url: ClassVar[str] = "https://api.criminalip.io/v1"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(1, 1)
    daily: ClassVar[int | None] = 10
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /asset/ip/summary` with the key in a header."""
        return Request(
            "/asset/ip/summary", {"ip": query.value}, auth_headers={"x-api-key": key["key"]}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read two levels of risk; the worse one is a claim. The body has a status of its own.

        Raises:
            InvalidAnswer: the status is one of failure, or the body has no address.
        """
        summary = msgspec.json.decode(content, type=_Summary)
        if summary.status == _NOT_FOUND:
            return None
        if summary.status != _OK or not summary.ip:
            raise InvalidAnswer(
                f"{self.title} answered with status {summary.status} and no address."
            )
        score = summary.score or _Score()
        inbound = _level(score.inbound)
        outbound = _level(score.outbound)
        asn = _asn(summary.as_no)
        facts = collect_facts(
            inbound=inbound,
            outbound=outbound,
            country=(summary.country_code or "").upper(),
            region=summary.region,
            city=summary.city,
            isp=summary.isp,
            organisation=summary.org_name,
            asn=asn,
        )
        related = relations("belongs-to", Type.ASN, [asn])
        return Finding(facts, _weights(inbound, outbound), related)


def _level(score: str | int | None) -> str | None:
    """A level by its name; some plans get its number, 1 to 5."""
    if isinstance(score, int):
        return _LEVELS[score - 1] if 1 <= score <= len(_LEVELS) else None
    return score.capitalize() if score else None


def _asn(number: int | str | None) -> str | None:
    digits = str(number or "").removeprefix("AS")
    return f"AS{digits}" if digits.isdecimal() else None


def _weights(inbound: str | None, outbound: str | None) -> tuple[Weight, ...]:
    weight = max(_WEIGHTS.get(inbound or "", 0.0), _WEIGHTS.get(outbound or "", 0.0))
    if not weight:
        return ()
    reason = (
        f"risk {inbound or 'unknown'} when it connects, "
        f"{outbound or 'unknown'} when it is connected to."
    )
    return (Weight(weight, reason),)
