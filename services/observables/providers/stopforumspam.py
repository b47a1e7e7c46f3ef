"""StopForumSpam: addresses and e-mail addresses that send spam to forums.

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
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    autonomous_system,
    collect_facts,
    is_public,
    relations,
)
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

    def applies(self, query: Query) -> bool:
        return super().applies(query) and is_public(query)

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /api` in JSON."""
        field = "email" if query.type == Type.EMAIL else "ip"
        return Request("/api", {field: query.value, "f": "json"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read reports of spam; a value that does not appear in any is not known.

        The confidence, 0 to 100 percent, is a claim at half weight: spam is a nuisance.
        """
        answer = msgspec.json.decode(content, type=_Answer)
        entry = answer.email if query.type == Type.EMAIL else answer.ip
        if answer.success != 1 or entry is None:
            raise InvalidAnswer(
                f"StopForumSpam did not answer the question: {(answer.error or 'no reason')[:80]}"
            )
        if not (entry.appears or entry.blacklisted):
            return None
        asn = autonomous_system(entry.asn)
        facts = collect_facts(
            reports=entry.frequency,
            last_reported=entry.lastseen,
            confidence=entry.confidence,
            country=entry.country.upper() if entry.country else None,
            asn=asn,
            tor=_flag(entry.torexit),
            block_listed=_flag(entry.blacklisted),
        )
        return Finding(facts, _weights(entry), relations("belongs-to", Type.ASN, [asn]))


def _flag(number: int | None) -> bool | None:
    return None if number is None else bool(number)


def _weights(entry: _Entry) -> tuple[Weight, ...]:
    if entry.blacklisted:
        return (Weight(0.5, "on StopForumSpam's list of what only spams."),)
    if entry.confidence:
        reason = f"reported {entry.frequency} times for spam, confidence {entry.confidence} %."
        return (Weight(min(entry.confidence, 100) / 200, reason),)
    return ()
