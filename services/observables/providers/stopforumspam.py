"""StopForumSpam: addresses and e-mail addresses that spam forums and registrations.

Source: https://www.stopforumspam.com/usage
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

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
from services.observables.providers.fields import collect_facts, is_public_address
from shared.stix import ObservableType as Type


class _Entry(msgspec.Struct):
    appears: int
    frequency: int = 0
    lastseen: str | None = None
    confidence: float | None = None
    country: str | None = None
    asn: int | None = None
    torexit: int | None = None
    blacklisted: int | None = None


class _Answer(msgspec.Struct):
    success: int
    ip: _Entry | None = None
    email: _Entry | None = None
    error: str | None = None


class StopForumSpam(RemoteEnricher):
    """Reports of spam by forums and blogs."""

    name: ClassVar[str] = "stopforumspam"
    title: ClassVar[str] = "StopForumSpam"
    documentation: ClassVar[str] = "https://www.stopforumspam.com/usage"
    base_url: ClassVar[str] = "https://api.stopforumspam.org"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.IPV6, Type.EMAIL})
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 20_000
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.IPV4, "1.1.1.1")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /api` in JSON."""
        field = "email" if query.type == Type.EMAIL else "ip"
        return Request("/api", {field: query.value, "f": "json"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Its confidence is a voice, half believed: spam is a nuisance. What does not appear is unknown."""
        answer = msgspec.json.decode(content, type=_Answer)
        entry = answer.email if query.type == Type.EMAIL else answer.ip
        if answer.success != 1 or entry is None:
            raise InvalidAnswer(
                f"StopForumSpam did not answer the question: {(answer.error or 'no reason')[:80]}"
            )
        if not (entry.appears or entry.blacklisted):
            return None
        facts = collect_facts(
            reports=entry.frequency,
            last_reported=entry.lastseen,
            confidence=entry.confidence,
            country=entry.country.upper() if entry.country else None,
            asn=f"AS{entry.asn}" if entry.asn else None,
            tor=bool(entry.torexit) if entry.torexit is not None else None,
            block_listed=bool(entry.blacklisted) if entry.blacklisted is not None else None,
        )
        weights: list[Weight] = []
        if entry.blacklisted:
            weights.append(Weight(0.5, "on StopForumSpam's list of what only spams."))
        elif entry.confidence:
            reason = f"reported {entry.frequency} times for spam, confidence {entry.confidence} %."
            weights.append(Weight(min(entry.confidence, 100) / 200, reason))
        related = (
            (RelatedObservable("belongs-to", Type.ASN, f"AS{entry.asn}"),) if entry.asn else ()
        )
        return Finding(facts, tuple(weights), related)

    def applies(self, query: Query) -> bool:
        """E-mail addresses, and addresses of the public network."""
        return query.type == Type.EMAIL or (
            query.type in self.types and is_public_address(query.value)
        )
