"""Hybrid Analysis (CrowdStrike Falcon Sandbox): verdicts of sandboxes and scanners on a file.

Source: https://hybrid-analysis.com/docs/api/v2#/Analysis%20Overview
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
    Tlp,
    Weight,
)
from services.observables.providers.fields import collect_facts, distinct, quote_segment
from shared.stix import ObservableType as Type


class _Overview(msgspec.Struct):
    sha256: str
    verdict: str | None = None
    threat_score: int | None = None
    multiscan_result: int | None = None
    vx_family: str | None = None
    tags: list[str] | None = None
    type: str | list[str] | None = None
    size: int | None = None
    architecture: str | None = None
    last_file_name: str | None = None
    other_file_name: list[str] | None = None
    analysis_start_time: str | None = None
    last_multi_scan: str | None = None


class HybridAnalysis(RemoteEnricher):
    """The overview of all analyses of a file."""

    name: ClassVar[str] = "hybrid_analysis"
    title: ClassVar[str] = "Hybrid Analysis"
    documentation: ClassVar[str] = "https://hybrid-analysis.com/docs/api/v2"
    base_url: ClassVar[str] = "https://hybrid-analysis.com/api/v2"
    types: ClassVar[frozenset[str]] = frozenset({Type.SHA256})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(30, 60)
    max_tlp: ClassVar[Tlp] = "amber"
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    weights_lifetime: ClassVar[timedelta] = timedelta(days=365)
    test_query: ClassVar[Query] = Query(
        Type.SHA256, "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
    )

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /overview/{sha256}` with the key in a header, as the documented user agent."""
        return Request(
            f"/overview/{quote_segment(query.value)}",
            headers={"Accept": "application/json", "User-Agent": "Falcon Sandbox"},
            auth_headers={"api-key": key["key"]},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read verdict, family and scores in percent; a file without analyses is a 404."""
        overview = msgspec.json.decode(content, type=_Overview)
        facts = collect_facts(
            verdict=overview.verdict,
            threat_score=overview.threat_score,
            detection_percent=overview.multiscan_result,
            family=overview.vx_family,
            tags=distinct(overview.tags),
            file_names=distinct([overview.last_file_name, *(overview.other_file_name or ())], 10),
            file_type=_file_type(overview.type),
            size=overview.size,
            architecture=overview.architecture,
            analysed=overview.analysis_start_time,
            last_scan=overview.last_multi_scan,
        )
        return Finding(facts, _weights(overview))


def _file_type(type_: str | list[str] | None) -> str | None:
    """The type, or the first of several."""
    if isinstance(type_, list):
        return type_[0] if type_ else None
    return type_


def _weights(overview: _Overview) -> tuple[Weight, ...]:
    match (overview.verdict or "").lower():
        case "malicious":
            percent = max(overview.threat_score or 0, overview.multiscan_result or 0, 60)
            family = f" ({overview.vx_family})" if overview.vx_family else ""
            reason = f"its sandboxes and scanners found it malicious{family}."
            return (Weight(0.9 * min(percent, 100) / 100, reason),)
        case "suspicious":
            return (Weight(0.35, "its sandboxes and scanners found it suspicious."),)
        case "whitelisted":
            return (Weight(-0.6, "on Hybrid Analysis's list of known good files."),)
    return ()
