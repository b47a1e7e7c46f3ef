"""Google Safe Browsing: URLs on Google's lists of unsafe web resources.

Source: https://developers.google.com/safe-browsing/v4/lookup-api, and
https://cloud.google.com/apis/docs/system-parameters for the key in a header.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import JSON_HEADERS, collect_facts, distinct
from shared.stix import ObservableType as Type

_WEIGHTS: Final[Mapping[str, float]] = {
    "MALWARE": 0.85,
    "SOCIAL_ENGINEERING": 0.85,
    "UNWANTED_SOFTWARE": 0.6,
    "POTENTIALLY_HARMFUL_APPLICATION": 0.6,
}


class _Match(msgspec.Struct, rename="camel"):
    threat_type: str
    platform_type: str | None = None


class _Answer(msgspec.Struct):
    matches: list[_Match] | None = None


class GoogleSafeBrowsing(RemoteEnricher):
    """The Lookup API, version 4; free for non-commercial use only."""

    name: ClassVar[str] = "google_safe_browsing"
    title: ClassVar[str] = "Google Safe Browsing"
    documentation: ClassVar[str] = "https://developers.google.com/safe-browsing/v4/lookup-api"
    base_url: ClassVar[str] = "https://safebrowsing.googleapis.com"
    types: ClassVar[frozenset[str]] = frozenset({Type.URL, Type.DOMAIN})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 10_000
    lifetime: ClassVar[timedelta] = timedelta(hours=1)
    weights_lifetime: ClassVar[timedelta] = timedelta(days=7)
    test_query: ClassVar[Query] = Query(Type.URL, "https://example.com/")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`POST /v4/threatMatches:find`; a domain is sent as the root of its web site."""
        url = f"http://{query.value}/" if query.type == Type.DOMAIN else query.value
        body = {
            "client": {"clientId": "sentineliq", "clientVersion": "1"},
            "threatInfo": {
                "threatTypes": list(_WEIGHTS),
                "platformTypes": ["ANY_PLATFORM"],
                "threatEntryTypes": ["URL"],
                "threatEntries": [{"url": url}],
            },
        }
        return Request(
            "/v4/threatMatches:find",
            method="POST",
            headers=JSON_HEADERS,
            auth_headers={"X-Goog-Api-Key": key["key"]},
            content=msgspec.json.encode(body),
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the lists that a URL is on; the object is empty when it is on none."""
        matches = msgspec.json.decode(content, type=_Answer).matches
        if not matches:
            return None
        threats = distinct(match.threat_type for match in matches)
        facts = collect_facts(
            threats=threats, platforms=distinct(match.platform_type for match in matches)
        )
        weight = max(_WEIGHTS.get(match.threat_type, 0.5) for match in matches)
        kinds = ", ".join(str(threat).lower().replace("_", " ") for threat in threats or ())
        return Finding(facts, (Weight(weight, f"Google Safe Browsing warns of it: {kinds}."),))
