"""The writer of outcomes: it collects them while the batch before them is being stored."""

import asyncio
from collections import Counter
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import stamina

from services.observables.enrichment.execution.outcomes import (
    AnsweredJob,
    OutcomeBatch,
    store_outcomes,
)
from services.observables.enrichment.queues.models import JobEnd
from services.observables.enrichment.rate_limiter import RateLimiter
from shared.clock import DatabaseClock
from shared.database import Database
from shared.errors import Unavailable
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_NOT_STORED: Final = (
    '{"code": "internal-error", '
    '"message": "The answer could not be stored; the reason is in the log."}'
)


class PendingOutcome(NamedTuple):
    """An outcome, its queue, and that queue's limiter after it."""

    outcome: AnsweredJob | JobEnd
    queue: UUID
    limiter: RateLimiter


class OutcomeWriter:
    """Stores outcomes, batch after batch, in order.

    Attributes:
        answered: jobs that were stored as answered.
        ended: jobs that ended otherwise.
        again: jobs that wait again.
    """

    def __init__(self, database: Database, worker: UUID, clock: DatabaseClock) -> None:
        self.answered = 0
        self.ended = 0
        self.again = 0
        self._database = database
        self._worker = worker
        self._clock = clock
        self._outcomes: list[PendingOutcome] = []
        self._pending: Counter[UUID] = Counter()
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, outcome: AnsweredJob | JobEnd, queue: UUID, limiter: RateLimiter) -> None:
        """Have an outcome stored soon."""
        copy = msgspec.structs.replace(limiter)
        self._outcomes.append(PendingOutcome(outcome, queue, copy))
        self._pending[queue] += 1
        self._changed.set()

    @property
    def backlog(self) -> int:
        """Outcomes that are not stored yet."""
        return self._pending.total()

    def is_pending(self, queue: UUID) -> bool:
        """Whether outcomes of a queue are not stored yet; until then it must not be released."""
        return self._pending[queue] > 0

    def close(self) -> None:
        """Let `run` return once all outcomes are stored."""
        self._closed = True
        self._changed.set()

    async def run(self) -> None:
        """Store outcomes until the writer is closed and all are stored.

        Raises:
            Unavailable: the database stays away; queries whose outcome is lost are sent again.
        """
        while self._outcomes or not self._closed:
            await self._changed.wait()
            self._changed.clear()
            batch = self._outcomes
            self._outcomes = []
            if batch:
                await self._store_or_split(batch)
                self._pending.subtract(pending.queue for pending in batch)

    async def _store_or_split(self, batch: list[PendingOutcome]) -> None:
        """Store a batch; if a bug prevents it, store the outcomes one by one.

        Raises:
            Unavailable: the database stays away.
        """
        try:
            await self._store(batch)
        except Unavailable:
            raise
        except Exception:
            log.exception("outcomes.store_failed", outcomes=len(batch))
            if len(batch) > 1:
                for pending in batch:
                    await self._store_or_split([pending])
            elif isinstance(outcome := batch[0].outcome, AnsweredJob):
                failed = JobEnd(outcome.job.id, "failed", reason=_NOT_STORED)
                await self._store([batch[0]._replace(outcome=failed)])
            else:
                raise

    async def _store(self, batch: list[PendingOutcome]) -> None:
        answered = []
        ends = []
        for pending in batch:
            if isinstance(pending.outcome, AnsweredJob):
                answered.append(pending.outcome)
            else:
                ends.append(pending.outcome)
        limiters = {pending.queue: pending.limiter for pending in batch}
        outcomes = OutcomeBatch(answered, ends, limiters)
        # All tries together stay within the lease of the queues.
        tries = stamina.retry_context(
            on=Unavailable, attempts=4, wait_initial=0.2, wait_max=1.0, wait_jitter=0.1
        )
        async for attempt in tries:
            with attempt:
                now = self._clock.now()
                await asyncio.to_thread(store_outcomes, self._database, self._worker, outcomes, now)
        again = sum(end.state == "waiting" for end in ends)
        self.answered += len(answered)
        self.ended += len(ends) - again
        self.again += again
