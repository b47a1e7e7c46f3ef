"""A leased provider queue: calls that may start, calls in flight, and the effect of outcomes.

No I/O.
"""

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.observables.enrichment.execution.claims import PaidCall, QueueCapacity
from services.observables.enrichment.execution.outcomes import AnsweredJob
from services.observables.enrichment.execution.provider_call import (
    Answered,
    CallOutcome,
    Failed,
    KeyRefused,
    OverQuota,
)
from services.observables.enrichment.queues.models import INTERACTIVE, JobEnd, ProviderQueue
from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.providers.base import RemoteEnricher
from shared.database import PUBLIC
from shared.errors import SentinelIQError, UpstreamError
from shared.runtime.celery import retry_delay

MOST_ATTEMPTS: Final = 4
"""Tries of a job before it fails; a provider's long trouble is for the circuit breaker."""


@dataclass(slots=True)
class LeasedQueue:
    """A provider queue that this worker leases.

    Attributes:
        key: the provider's key; empty without one.
        base: the provider's address.
        waiting: calls that are paid for and have no place yet, interactive ones first.
        running: calls in flight.
        finished: calls that finished since the pace was recorded.
        claim_at: when to claim jobs again, in the loop's time.
        drained: whether the last claim left no due job.
    """

    queue: ProviderQueue
    enricher: RemoteEnricher
    limits: QuotaLimits
    key: Mapping[str, str] = field(repr=False)
    base: str
    limiter: RateLimiter
    waiting: deque[PaidCall] = field(default_factory=deque)
    running: int = 0
    finished: int = 0
    claim_at: float = 0.0
    drained: bool = False

    @property
    def idle(self) -> bool:
        """Whether it has no paid call here."""
        return not self.waiting and not self.running

    def capacity(self, now: float) -> QueueCapacity:
        """What it could do now."""
        # Background calls without a place do not hold an interactive one back.
        ahead = sum(call.job.priority == INTERACTIVE for call in self.waiting) + self.running
        interactive = self.limiter.grant(self.limits, now, ahead, interactive=True)
        in_flight = len(self.waiting) + self.running
        background = self.limiter.grant(self.limits, now, in_flight, interactive=False)
        most = max(interactive, background)
        return QueueCapacity(self.enricher, self.limits, self.limiter, most, background)

    def add(self, calls: list[PaidCall], now: float) -> None:
        """Add calls that were claimed."""
        self.limiter.spend(self.limits, now, len(calls))
        self.waiting = deque(sorted([*self.waiting, *calls], key=lambda call: call.job.priority))

    def next_call(self, now: float) -> PaidCall | None:
        """A call that may start now."""
        most = 1 if self.limiter.is_probing(self.limits) else self.limits.concurrency
        if not self.waiting or self.running >= most or now < self.limiter.blocked_until:
            return None
        self.running += 1
        return self.waiting.popleft()

    def return_calls(self, now: float) -> list[JobEnd]:
        """Return calls that have not started: their jobs wait again, and they cost nothing."""
        returned = [_retry(call, 0.0, None) for call in self.waiting]
        self.limiter.refund(self.limits, now, len(returned))
        self.waiting.clear()
        return returned

    def record_pace(self, now: float) -> None:
        """Count the calls that finished, and the time that they took."""
        busy = not (self.idle and self.drained)
        self.limiter.record_pace(now, self.finished, busy=busy)
        self.finished = 0

    def record_outcome(
        self, call: PaidCall, outcome: CallOutcome, started: float, now: float
    ) -> AnsweredJob | JobEnd:
        """Record the outcome of a call in the limiter; what becomes of the job."""
        self.running -= 1
        match outcome:
            case Answered(finding, raw):
                self.finished += 1
                self.limiter.record_success(started)
                obtained_at = datetime.fromtimestamp(now, UTC)
                lent = self.queue.tenant == PUBLIC
                return AnsweredJob(
                    call.job, self.enricher, finding, raw, call.marking, lent, obtained_at
                )
            case OverQuota(seconds):
                self.limiter.record_over_quota(now, seconds)
                return _retry(call, 0.0, None)
            case KeyRefused(error) if not self.key:
                # Without a key the provider refuses the installation, or the value.
                self.limiter.record_failure(now, error.message)
                return self._failure(call, error, now)
            case KeyRefused(error):
                reason = f"{self.enricher.title} refuses the key: {error.message}."
                self.limiter.record_key_refused(now, reason)
                # A person hears of it at once; background work goes on with another key.
                if call.job.priority == INTERACTIVE:
                    return _fail(call, error, call.job.attempts + 1)
                return _retry(call, 0.0, error)
            case Failed(error):
                return self._failure(call, error, now)

    def _failure(self, call: PaidCall, error: UpstreamError, now: float) -> JobEnd:
        attempts = call.job.attempts + 1
        if error.retryable:
            self.limiter.record_failure(now, error.message)
        if error.retryable and attempts < MOST_ATTEMPTS:
            jitter = random.uniform(0.75, 1.25)  # noqa: S311  # not a secret
            return _retry(call, retry_delay(error, attempts) * jitter, error, attempts)
        self.finished += 1
        return _fail(call, error, attempts)


def _retry(
    call: PaidCall, wait: float, error: SentinelIQError | None, attempts: int | None = None
) -> JobEnd:
    tries = call.job.attempts if attempts is None else attempts
    reason = _encode(error) if error else None
    return JobEnd(call.job.id, "waiting", reason=reason, wait=wait, attempts=tries)


def _fail(call: PaidCall, error: SentinelIQError, attempts: int) -> JobEnd:
    return JobEnd(call.job.id, "failed", reason=_encode(error), attempts=attempts)


def _encode(error: SentinelIQError) -> str:
    return msgspec.json.encode(error.as_dict()).decode()
