"""Outcomes on their way from calls to the database: collected while the batch before them is written."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from services.observables.enrichment.execution.outcomes import Heard, Item, record
from services.observables.enrichment.queues.repository.jobs import Ended
from services.observables.enrichment.rate_limiter import RateLimiter
from shared.database import Database
from shared.errors import Unavailable
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_PAUSES: Final = (0.2, 0.5, 1.0)
_BUG: Final = '{"code": "internal-error", "message": "The answer could not be stored; the reason is in the log."}'


class Told(NamedTuple):
    """An outcome, the lane it came from, and that lane's meter after it."""

    outcome: Item | Ended
    lane: UUID
    limiter: RateLimiter


class OutcomeWriter:
    """Writes outcomes down, batch after batch, in order.

    Args:
        database: the service's.
        me: the worker.
        lease: seconds for which a lane is held on when something of it was written down.
    """

    def __init__(self, database: Database, me: UUID, lease: float) -> None:
        self._database, self._me, self._lease = database, me, lease
        self._told: list[Told] = []
        self._pending: Counter[UUID] = Counter()
        self._news, self._ending = asyncio.Event(), False
        self.answered = self.ended = self.again = 0

    def tell(self, outcome: Item | Ended, lane: UUID, limiter: RateLimiter) -> None:
        """Have an outcome written down soon."""
        self._told.append(Told(outcome, lane, msgspec.structs.replace(limiter)))
        self._pending[lane] += 1
        self._news.set()

    @property
    def backlog(self) -> int:
        """Outcomes that are not written down yet."""
        return self._pending.total()

    def pending(self, lane: UUID) -> bool:
        """Whether something of a lane is still to be written down: until then it is nobody else's."""
        return self._pending[lane] > 0

    def finish(self) -> None:
        """Nothing more will be told."""
        self._ending = True
        self._news.set()

    async def run(self) -> None:
        """Write until all is written after `finish`.

        Raises:
            Unavailable: the database stays away; what is unwritten will be asked again.
        """
        while self._told or not self._ending:
            await self._news.wait()
            self._news.clear()
            told, self._told = self._told, []
            if told:
                await self._write_what_can_be(told)
                self._pending.subtract(one.lane for one in told)

    async def _write_what_can_be(self, told: list[Told]) -> None:
        try:
            await self._write(told)
        except Unavailable:
            raise
        except Exception:  # a bug that one answer meets must not undo what the others bring
            log.exception("answers.not_recorded", outcomes=len(told))
            if len(told) > 1:
                for one in told:
                    await self._write_what_can_be([one])
            elif isinstance(outcome := told[0].outcome, Item):
                await self._write(
                    [told[0]._replace(outcome=Ended(outcome.job.id, "failed", reason=_BUG))]
                )
            else:
                raise

    async def _write(self, told: list[Told]) -> None:
        items = [one.outcome for one in told if isinstance(one.outcome, Item)]
        ended = [one.outcome for one in told if isinstance(one.outcome, Ended)]
        heard = Heard(items, ended, {one.lane: one.limiter for one in told})
        for pause in (*_PAUSES, None):
            try:
                await asyncio.to_thread(
                    record, self._database, self._me, heard, self._lease, datetime.now(UTC)
                )
            except Unavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                break
        again = sum(one.state == "waiting" for one in ended)
        self.answered += len(items)
        self.ended += len(ended) - again
        self.again += again
