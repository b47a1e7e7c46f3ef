"""One call to a provider, and its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
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
from shared.http.response import MAX_RETRY_AFTER, Headers, response_time, retry_after
from shared.stix import NotAnObservable, normalise
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_MOST_RELATED: Final = 100
_MOST_FACTS: Final = 40
_LONGEST_TEXT: Final = 500
_EPOCH_SECONDS: Final = 1_000_000_000
"""Larger numbers in X-RateLimit-Reset are Unix times, smaller ones seconds to wait."""
_LONGEST_NUMBER: Final = 20


@dataclass(frozen=True, slots=True)
class Answered:
    """The provider answered; `finding` is None when it knows nothing about the value."""

    finding: Finding | None
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OverQuota:
    """The provider refuses calls for some seconds; None when it does not say how many."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class KeyRefused:
    """The provider refuses the key, or answers only with one."""

    error: UpstreamError


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no usable answer; the error says whether the provider itself is in trouble."""

    error: UpstreamError


CallOutcome = Answered | OverQuota | KeyRefused | Failed


async def call_provider(
    enricher: RemoteEnricher, query: Query, key: Mapping[str, str], client: GuardedClient, base: str
) -> CallOutcome:
    """Send a query once.

    Args:
        enricher: writes the request and reads the answer.
        query: the observable.
        key: values of the enricher's `key_fields`.
        client: its connections are reused.
        base: the address that the request's path is appended to.
    """
    outcome: CallOutcome
    try:
        response = await _send(enricher, enricher.request(query, key), client, base)
        outcome = _classify(enricher, query, response)
    except UpstreamError as error:
        outcome = Failed(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        outcome = Failed(
            InvalidAnswer(
                f"{enricher.title} answered in another layout than documented: {str(error)[:200]}"
            )
        )
    except Exception as error:  # a bug of one enricher fails only the job that meets it
        log.exception("enricher.failed", enricher=enricher.name)
        message = f"{enricher.title}'s enricher failed: {type(error).__name__}."
        outcome = Failed(InvalidAnswer(message, retryable=False))
    if isinstance(outcome, KeyRefused | Failed):
        outcome.error.message = _clean(outcome.error.message)  # it may quote the provider
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


def _classify(enricher: RemoteEnricher, query: Query, response: Response) -> CallOutcome:
    if response.status in enricher.unknown_statuses:
        return Answered(None, response.content)
    if response.status in enricher.over_quota_statuses:
        return OverQuota(_pause(response.headers, response_time(response.headers)))
    try:
        response.raise_for_status()
    except UpstreamError as error:
        is_key = response.status in enricher.key_statuses
        return KeyRefused(error) if is_key else Failed(error)
    finding = enricher.read(query, response.content)
    return Answered(finding and _bounded(query, finding), response.content)


def _pause(headers: Headers, now: datetime) -> float | None:
    """Seconds until the provider answers again.

    Retry-After comes first, then X-RateLimit-Reset, in seconds or as a Unix time.
    """
    reset = headers.get("x-ratelimit-reset", "")
    is_number = reset.isascii() and reset.isdigit() and len(reset) < _LONGEST_NUMBER
    if "retry-after" in headers or not is_number:
        return retry_after(headers.get("retry-after"), now)
    seconds = float(reset)
    if seconds > _EPOCH_SECONDS:
        seconds -= now.timestamp()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _bounded(query: Query, finding: Finding) -> Finding:
    """The finding without oversized parts; related values are observables in canonical form."""
    facts = {name: _shortened(fact) for name, fact in list(finding.facts.items())[:_MOST_FACTS]}
    related: dict[RelatedObservable, None] = {}
    for observable in finding.related:
        if len(related) == _MOST_RELATED:
            break
        try:
            value = normalise(observable.type, observable.value)
        except NotAnObservable:
            continue
        if (observable.type, value) != tuple(query):
            related[observable._replace(value=value)] = None
    weights = tuple(weight._replace(reason=_clean(weight.reason)) for weight in finding.weights)
    return Finding(facts, weights, tuple(related))


def _shortened(fact: Fact) -> Fact:
    if isinstance(fact, str):
        return _clean(fact)
    if isinstance(fact, list):
        return [_clean(part) if isinstance(part, str) else part for part in fact[:_MOST_RELATED]]
    return fact


def _clean(text: str) -> str:
    # PostgreSQL stores no NUL, and UTF-8 no lone surrogates; a provider's text may have both.
    return text[:_LONGEST_TEXT].replace("\0", "").encode("utf-8", "replace").decode()
