"""Enrichers for tests: they query `/{value}` and read `{"listed": …}`, within a test's limits."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import quote_segment


class _Answer(msgspec.Struct):
    listed: bool
    related: list[tuple[str, str, str]] = []


class Probe(RemoteEnricher):
    """Queries a provider on loopback."""

    name = "probe"
    title = "Probe"
    documentation = "https://probe.example/"
    base_url = "https://probe.example"
    types = frozenset({"ipv4-addr", "domain-name"})
    rate = RateLimit(100_000, 60)
    concurrency = 20
    timeout = 5.0
    lifetime = timedelta(days=1)
    test_query = Query("ipv4-addr", "1.1.1.1")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        return Request(
            f"/{quote_segment(query.value)}", auth_headers={"X-Key": key["key"]} if key else {}
        )

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        answer = msgspec.json.decode(content, type=_Answer)
        if not answer.listed:
            return None
        related = tuple(RelatedObservable(*observable) for observable in answer.related)
        return Finding({"listed": True}, (Weight(0.6, "listed by Probe."),), related)


def probe(name: str, **attributes: Any) -> RemoteEnricher:
    """An enricher of its own name and limits."""
    enricher: RemoteEnricher = type(
        f"Probe_{name}", (Probe,), {"name": name, "title": name.title(), **attributes}
    )()
    return enricher
