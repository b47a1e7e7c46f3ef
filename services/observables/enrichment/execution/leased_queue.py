"""A lane in the hands of a worker: what it may start, what is under way, and what each outcome does to it. No I/O."""

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from services.observables.enrichment.execution.claims import Ask, Call
from services.observables.enrichment.execution.outcomes import Item
from services.observables.enrichment.execution.provider_call import (
    Answered,
    Failed,
    KeyRefused,
    Outcome,
    OverQuota,
)
from services.observables.enrichment.queues.repository.jobs import INTERACTIVE, Ended
from services.observables.enrichment.queues.repository.provider_queues import ProviderQueue
from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.providers.base import RemoteEnricher
from shared.database import PUBLIC
from shared.errors import SentinelIQError, UpstreamError
from shared.runtime.celery import retry_delay

MOST_ATTEMPTS: Final = 4
"""Tries of a question after which it is given up: the breaker, not the question, outlasts a provider's trouble."""


@dataclass(slots=True)
class LeasedQueue:
    """A lane that this worker holds.

    Attributes:
        key: what the provider knows us by; empty when it asks for nothing.
        base: the provider's address.
        waiting: calls that are paid for and have no place yet; those that somebody waits for come first.
        running: calls under way.
        ended: calls that ended since the pace was looked at.
        look_at: when the lane is asked for questions again, in the loop's time.
        drained: whether it had none left when it was asked last.
    """

    lane: ProviderQueue
    enricher: RemoteEnricher
    plan: QuotaLimits
    key: Mapping[str, str] = field(repr=False)
    base: str
    limiter: RateLimiter
    waiting: deque[Call] = field(default_factory=deque)
    running: int = 0
    ended: int = 0
    look_at: float = 0.0
    drained: bool = False

    @property
    def idle(self) -> bool:
        """Whether nothing of it is under way here."""
        return not self.waiting and not self.running

    def ask(self, now: float) -> Ask:
        """What it could do now."""
        # What nobody waits for and has no place yet does not stand in a person's way.
        before = sum(call.job.priority == INTERACTIVE for call in self.waiting) + self.running
        interactive = self.limiter.grant(self.plan, now, before, interactive=True)
        background = self.limiter.grant(
            self.plan, now, len(self.waiting) + self.running, interactive=False
        )
        return Ask(self.enricher, self.plan, self.limiter, max(interactive, background), background)

    def add(self, calls: list[Call], now: float) -> None:
        """Take paid calls in."""
        self.limiter.spend(self.plan, now, len(calls))
        self.waiting = deque(sorted([*self.waiting, *calls], key=lambda call: call.job.priority))

    def next_call(self, now: float) -> Call | None:
        """A call that may start now."""
        most = 1 if self.limiter.careful(self.plan) else self.plan.concurrency
        if not self.waiting or self.running >= most or now < self.limiter.blocked_until:
            return None
        self.running += 1
        return self.waiting.popleft()

    def give_back(self, now: float) -> list[Ended]:
        """Let go of calls that have not started: they wait again, and cost nothing."""
        returned = [_again(call, 0.0, None) for call in self.waiting]
        self.limiter.give_back(self.plan, now, len(returned))
        self.waiting.clear()
        return returned

    def keep_pace(self, now: float) -> None:
        """Count the calls that ended, and the time that they took."""
        self.limiter.passed(now, self.ended, busy=not (self.idle and self.drained))
        self.ended = 0

    def came_of(self, call: Call, outcome: Outcome, started: float, now: float) -> Item | Ended:
        """What an outcome does to the lane, and what becomes of the job."""
        self.running -= 1
        match outcome:
            case Answered(finding, raw):
                self.ended += 1
                self.limiter.answered(started)
                obtained = datetime.fromtimestamp(now, UTC)
                lent = self.lane.tenant == PUBLIC
                return Item(call.job, self.enricher, finding, raw, call.marking, lent, obtained)
            case OverQuota(seconds):
                self.limiter.over_quota(now, seconds)
                return _again(call, 0.0, None)
            case KeyRefused(error) if not self.key:
                # Where there is no key, it is us, or the value, that the provider refuses.
                self.limiter.failed(now, error.message)
                return self._failure(call, error, now)
            case KeyRefused(error):
                self.limiter.key_refused(
                    now, f"{self.enricher.title} does not take the key: {error.message}."
                )
                # A person is told at once; what nobody waits for goes on with another key.
                return (
                    _failed(call, error)
                    if call.job.priority == INTERACTIVE
                    else _again(call, 0.0, error)
                )
            case Failed(error):
                return self._failure(call, error, now)

    def _failure(self, call: Call, error: UpstreamError, now: float) -> Ended:
        attempts = call.job.attempts + 1
        if error.retryable:
            self.limiter.failed(now, error.message)
        if error.retryable and attempts < MOST_ATTEMPTS:
            delay = retry_delay(error, attempts) * random.uniform(0.75, 1.25)  # noqa: S311  # jitter, not a secret
            return _again(call, delay, error, attempts)
        self.ended += 1
        return _failed(call, error, attempts)


def _again(
    call: Call, wait: float, error: SentinelIQError | None, attempts: int | None = None
) -> Ended:
    tries = call.job.attempts if attempts is None else attempts
    return Ended(call.job.id, "waiting", reason=_reason(error), wait=wait, attempts=tries)


def _failed(call: Call, error: SentinelIQError, attempts: int | None = None) -> Ended:
    tries = call.job.attempts + 1 if attempts is None else attempts
    return Ended(call.job.id, "failed", reason=_reason(error), attempts=tries)


def _reason(error: SentinelIQError | None) -> str | None:
    told: dict[str, Any] | None = error.as_dict() if error else None
    return msgspec.json.encode(told).decode() if told else None
