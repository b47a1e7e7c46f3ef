"""GreyNoise: addresses that scan the whole Internet, and addresses of common services.

Source: https://docs.greynoise.io/reference/getcommunityip
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
from services.observables.providers.fields import collect_facts, is_public, quote_segment
from shared.stix import ObservableType as Type


class _Address(msgspec.Struct):
    ip: str
    noise: bool
    riot: bool
    classification: str | None = None
    name: str | None = None
    last_seen: str | None = None


class GreyNoise(RemoteEnricher):
    """The free part of GreyNoise: scanners, and services that need no attention (RIOT)."""

    name: ClassVar[str] = "greynoise"
    title: ClassVar[str] = "GreyNoise Community"
    documentation: ClassVar[str] = "https://docs.greynoise.io/reference/getcommunityip"
    base_url: ClassVar[str] = "https://api.greynoise.io"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    key_optional: ClassVar[bool] = True
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    daily: ClassVar[int | None] = 50
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /v3/community/{ip}`, with the key, if any, in a header."""
        auth = {"key": key["key"]} if key.get("key") else {}
        path = f"/v3/community/{quote_segment(query.value)}"
        return Request(path, headers={"Accept": "application/json"}, auth_headers=auth)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read what an address scans or serves; GreyNoise answers 404 about an unknown one.

        A malicious scanner is a claim; a benign one and a common service take score away.
        """
        address = msgspec.json.decode(content, type=_Address)
        if not (address.noise or address.riot):
            return None
        facts = collect_facts(
            noise=address.noise,
            riot=address.riot,
            classification=address.classification,
            operator=address.name if address.name != "unknown" else None,
            last_seen=address.last_seen,
        )
        return Finding(facts, _weights(address))


def _weights(address: _Address) -> tuple[Weight, ...]:
    if address.classification == "malicious":
        return (Weight(0.6, "seen scanning the Internet with malicious intent."),)
    if address.classification == "suspicious":
        return (Weight(0.3, "seen scanning the Internet in a suspicious way."),)
    if address.riot:
        return (Weight(-0.6, f"an address of a common service, {address.name or 'unnamed'}."),)
    if address.classification == "benign":
        return (Weight(-0.4, f"a benign scanner, {address.name or 'unnamed'}."),)
    return ()
