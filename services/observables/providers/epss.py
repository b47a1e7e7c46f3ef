"""FIRST EPSS: the probability that a vulnerability is exploited within 30 days. No key needed.

FIRST publishes new scores each day.

Source: https://api.first.org/epss/
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
from services.observables.providers.fields import collect_facts
from shared.stix import ObservableType as Type

_MIN_CLAIM: Final = 0.1
"""The lowest probability that is a claim."""


class _Score(msgspec.Struct):
    cve: str
    epss: float
    percentile: float
    date: str | None = None


class _Answer(msgspec.Struct):
    data: list[_Score]


class EPSS(RemoteEnricher):
    """The Exploit Prediction Scoring System."""

    name: ClassVar[str] = "epss"
    title: ClassVar[str] = "FIRST EPSS"
    origin: ClassVar[str] = "first"
    documentation: ClassVar[str] = "https://api.first.org/epss/"
    base_url: ClassVar[str] = "https://api.first.org"
    types: ClassVar[frozenset[str]] = frozenset({Type.VULNERABILITY})
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.VULNERABILITY, "CVE-2021-44228")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /data/v1/epss`."""
        return Request("/data/v1/epss", {"cve": query.value})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the probability of exploitation, 0 to 1; the list is empty for an unknown CVE.

        From a tenth on, the probability is a claim.
        """
        # The numbers are written as texts.
        answer = msgspec.json.decode(content, type=_Answer, strict=False)
        score = next((entry for entry in answer.data if entry.cve.upper() == query.value), None)
        if score is None:
            return None
        facts = collect_facts(epss=score.epss, percentile=score.percentile, scored_on=score.date)
        if score.epss < _MIN_CLAIM:
            return Finding(facts)
        reason = f"exploited within 30 days with a probability of {score.epss:.0%}."
        return Finding(facts, (Weight(min(score.epss, 0.9), reason),))
