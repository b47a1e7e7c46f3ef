"""AbuseIPDB: reports of abuse by an address.

Source: https://docs.abuseipdb.com/#check-endpoint
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import collect_facts, is_public, relations
from shared.stix import ObservableType as Type


class _Report(msgspec.Struct, rename="camel"):
    abuse_confidence_score: int
    total_reports: int
    num_distinct_users: int = 0
    country_code: str | None = None
    usage_type: str | None = None
    isp: str | None = None
    domain: str | None = None
    is_tor: bool | None = None
    is_whitelisted: bool | None = None
    last_reported_at: str | None = None


class _Answer(msgspec.Struct):
    data: _Report


class AbuseIPDB(RemoteEnricher):
    """Reports of abuse by an address within the last 90 days."""

    name: ClassVar[str] = "abuseipdb"
    title: ClassVar[str] = "AbuseIPDB"
    documentation: ClassVar[str] = "https://docs.abuseipdb.com/#check-endpoint"
    base_url: ClassVar[str] = "https://api.abuseipdb.com/api/v2"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 1000
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /check` with the key in a header."""
        return Request(
            "/check",
            {"ipAddress": query.value, "maxAgeInDays": "90"},
            headers={"Accept": "application/json"},
            auth_headers={"Key": key["key"]},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the reports of the last 90 days.

        The confidence of abuse, 0 to 100 percent, is a claim at half weight: anyone may report.
        """
        report = msgspec.json.decode(content, type=_Answer).data
        facts = collect_facts(
            confidence=report.abuse_confidence_score,
            reports=report.total_reports,
            reporters=report.num_distinct_users,
            country=report.country_code,
            usage=report.usage_type,
            isp=report.isp,
            domain=report.domain,
            tor=report.is_tor,
            allow_listed=report.is_whitelisted,
            last_reported=report.last_reported_at,
        )
        related = relations("related-to", Type.DOMAIN, [report.domain])
        return Finding(facts, _weights(report), related)


def _weights(report: _Report) -> tuple[Weight, ...]:
    weights: list[Weight] = []
    confidence = report.abuse_confidence_score
    if confidence > 0:
        reason = f"reported {report.total_reports} times, confidence of abuse {confidence} %."
        weights.append(Weight(min(confidence, 100) / 200, reason))
    if report.is_whitelisted:
        weights.append(Weight(-0.5, "on AbuseIPDB's list of well-behaved services."))
    return tuple(weights)
