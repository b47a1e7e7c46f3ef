"""One call to a provider and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    InvalidAnswer,
    Query,
    RelatedObservable,
    RemoteEnricher,
    Request,
)
from shared.errors import UpstreamError
from shared.http import GuardedClient, Limits, Response
from shared.http.response import MAX_RETRY_AFTER, Headers, retry_after
from shared.stix import NotAnObservable, normalise
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_MOST_RELATED: Final = 100
_MOST_FACTS: Final = 40
_MOST_TEXT: Final = 500
_EPOCHS: Final = 1_000_000_000
_LONGEST_NUMBER: Final = 20


@dataclass(frozen=True, slots=True)
class Answered:
    """The provider answered; `finding` is None when it knows nothing about the value."""

    finding: Finding | None
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OverQuota:
    """The provider wants to be left alone for a while; None when it does not say how long."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """The provider does not take the key, or answers nobody without one."""

    error: UpstreamError


@dataclass(frozen=True, slots=True)
class Failed:
    """No usable answer; whether the provider itself is in trouble tells the breaker."""

    error: UpstreamError


Outcome = Answered | OverQuota | KeyRefused | Failed


async def call(
    enricher: RemoteEnricher, asked: Query, key: Mapping[str, str], client: GuardedClient, base: str
) -> Outcome:
    """Ask once.

    Args:
        enricher: how the question is written and the answer read.
        asked: the observable.
        key: values of the enricher's `key_fields`.
        client: a way out; its connections are reused.
        base: the address that the request's path is appended to.
    """
    outcome: Outcome
    try:
        answer = await _send(enricher, enricher.request(asked, key), client, base)
        outcome = _classified(enricher, asked, answer)
    except (UpstreamError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        outcome = Failed(
            error if isinstance(error, UpstreamError) else _bad_answer(enricher, error)
        )
    except (
        Exception
    ) as error:  # an enricher's own bug fails the question that meets it, and no other
        log.exception("enricher.failed", enricher=enricher.name)
        outcome = Failed(
            InvalidAnswer(
                f"{enricher.title}'s enricher failed: {type(error).__name__}.", retryable=False
            )
        )
    if isinstance(outcome, KeyRefused | Failed):
        outcome.error.message = _text(outcome.error.message)  # it may quote the provider
    return outcome


async def _send(
    enricher: RemoteEnricher, request: Request, client: GuardedClient, base: str
) -> Response:
    limits = Limits(
        total=enricher.timeout, max_bytes=enricher.max_body, max_expanded=enricher.max_body
    )
    query = f"?{urlencode(request.params)}" if request.params else ""
    return await client.request(
        request.method,
        base.rstrip("/") + request.path + query,
        headers=request.headers,
        auth_headers=request.auth_headers,
        content=request.content,
        limits=limits,
        max_body=enricher.max_body,
    )


def _classified(enricher: RemoteEnricher, asked: Query, answer: Response) -> Outcome:
    if answer.status in enricher.unknown_statuses:
        return Answered(None, answer.content)
    if answer.status in enricher.over_quota_statuses:
        return OverQuota(_wait(answer.headers, datetime.now(UTC)))
    try:
        answer.raise_for_status()
    except UpstreamError as error:
        return KeyRefused(error) if answer.status in enricher.key_statuses else Failed(error)
    finding = enricher.read(asked, answer.content)
    return Answered(finding and _bounded(asked, finding), answer.content)


def _wait(headers: Headers, now: datetime) -> float | None:
    """What the provider asks for: by Retry-After, or by when its window ends, in seconds or as a moment."""
    reset = headers.get("x-ratelimit-reset", "")
    if "retry-after" in headers or not (
        reset.isascii() and reset.isdigit() and len(reset) < _LONGEST_NUMBER
    ):
        return retry_after(headers.get("retry-after"), now)
    moment = int(reset)
    return min(max(moment - now.timestamp() if moment > _EPOCHS else moment, 0.0), MAX_RETRY_AFTER)


def _bad_answer(enricher: RemoteEnricher, error: Exception) -> InvalidAnswer:
    return InvalidAnswer(
        f"{enricher.title} answered in another layout than documented: {str(error)[:200]}"
    )


def _bounded(asked: Query, finding: Finding) -> Finding:
    """A finding with nothing oversized in it, and with related values that are observables."""
    facts = {name: _cut(fact) for name, fact in list(finding.facts.items())[:_MOST_FACTS]}
    related: dict[RelatedObservable, None] = {}
    for one in finding.related:
        if len(related) == _MOST_RELATED:
            break
        try:
            value = normalise(one.type, one.value)
        except NotAnObservable:
            continue
        if (one.type, value) != tuple(asked):
            related[one._replace(value=value)] = None
    weights = tuple(one._replace(reason=_text(one.reason)) for one in finding.weights)
    return Finding(facts, weights, tuple(related))


def _cut(fact: Fact) -> Fact:
    if isinstance(fact, str):
        return _text(fact)
    if isinstance(fact, list):
        return [_text(one) if isinstance(one, str) else one for one in fact[:_MOST_RELATED]]
    return fact


def _text(text: str) -> str:
    # PostgreSQL stores no NUL and UTF-8 has no lone surrogates; a provider's text may have both.
    return text[:_MOST_TEXT].replace("\0", "").encode("utf-8", "replace").decode()
