"""A worker of remote enrichment: `python -m bench._enrichment_worker SECONDS NAME...`.

Each name is an enricher; the environment sets the address of its provider.
"""

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.enrichment.execution.worker import EnrichmentWorker
from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import quote_segment
from shared.database import database
from shared.settings import load_settings
from shared.stix import ObservableType as Type


class _Answer(msgspec.Struct):
    listed: bool


class BenchEnricher(RemoteEnricher):
    """Queries a provider on loopback, as fast as it may."""

    title: ClassVar[str] = "Probe"
    documentation: ClassVar[str] = "https://probe.example/"
    base_url: ClassVar[str] = "https://probe.example"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4})
    rate: ClassVar[RateLimit] = RateLimit(600_000, 60)
    concurrency: ClassVar[int] = 100
    timeout: ClassVar[float] = 5.0
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002
        """`GET /{ip}`."""
        return Request(f"/{quote_segment(query.value)}")

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """Read whether the value is listed."""
        answer = msgspec.json.decode(content, type=_Answer)
        return Finding({"listed": answer.listed}, (Weight(0.5, "listed by Probe."),))


def probes(names: list[str]) -> dict[str, RemoteEnricher]:
    """Enrichers under some names."""
    return {name: type("Named", (BenchEnricher,), {"name": name})() for name in names}


def main(arguments: list[str]) -> None:
    """Work for some seconds."""
    seconds, *names = arguments
    print("ready", flush=True)
    EnrichmentWorker(database("observables"), load_settings(), probes(names), float(seconds)).run()


if __name__ == "__main__":
    main(sys.argv[1:])
