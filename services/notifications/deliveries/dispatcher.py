"""The dispatcher: claims due deliveries, attempts them concurrently, and records the results.

A slow receiver occupies only its own slots. Deliveries that become due meanwhile are claimed at
once, up to `_SLOTS` at a time, `_SLOTS_PER_CHANNEL` for one channel and `_SLOTS_PER_DESTINATION`
for one tenant's channels to one receiver. Tenants take turns, and none has more slots than are
free, so that a slot is there for the alert of a tenant whose neighbour's receivers hang.

A round is one transaction: it records the results of the round before, and claims what is due.
After the last delivery a worker stays awake for some seconds, and hears of the next by the
database, not by the queue.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.channel_types.attempt import AttemptResult
from services.notifications.channel_types.base import (
    MAX_MATCHES,
)
from services.notifications.channels.service import (
    channels_to,
    destination_of,
    find_channels,
    off_channels,
)
from services.notifications.deliveries import repository
from services.notifications.deliveries.recording import record_each
from services.notifications.deliveries.records import ClaimedDelivery
from services.notifications.deliveries.results import write_results
from services.notifications.deliveries.sending import DeliveryJob, DeliverySender
from services.notifications.deliveries.wakeup import Vigil, VigilKeeper, listening
from services.notifications.pauses.service import paused_channels, take_probes
from services.notifications.templates.service import templates_of
from shared import shutdown
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.turns import TurnOrder

log = get_logger(__name__)

_SLOTS: Final = 200
_SLOTS_PER_CHANNEL: Final = 20
_SLOTS_PER_DESTINATION: Final = 20
_BATCH: Final = 20
_POLL_SECONDS: Final = 0.25
"""The longest time between two looks for what is due."""
_PACE_SECONDS: Final = 0.02
"""The least time between two rounds: what comes within it is claimed and recorded together."""
_OUTAGE_SECONDS: Final = 20.0
"""For so long results are kept while the database does not answer."""
_VIGIL_SECONDS: Final = 2.0
"""For so long an idle worker stays awake."""
_KEEP_SECONDS: Final = 1.0
"""Between two signs that it is awake."""
_BACKLOG_CLAIMS: Final = 20
"""After so many full claims in a row there is enough to do for a second worker."""
_RUN_SECONDS: Final = (240.0, 480.0)
"""The shortest and the longest run. Runs that began together do not end together: a worker whose
run is over claims nothing while its last attempts wait for their receivers."""


class _Slot(NamedTuple):
    """Who occupies a slot."""

    tenant: str
    channel_id: UUID
    destination: str


_Ended = tuple[DeliveryJob, AttemptResult]
_Attempt = asyncio.Task[_Ended]


@dataclass(slots=True)
class DispatchCounts:
    """The results of a run; `has_more` is set if it ended with deliveries left."""

    delivered: int = 0
    failed: int = 0
    retrying: int = 0
    has_more: bool = False


class DeliveryDispatcher:
    """Delivers until nothing is due, for some minutes at most.

    Args:
        database: the service's.
        settings: name the private networks that may be reached, and the address of the API.
        wake_successor: called when the run's time is over, so that another worker goes on at once.
        seconds: of the run; by default a random time.
        vigil: says that the worker stays awake after the last delivery; without it the run ends
            when nothing is due.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        wake_successor: Callable[[], None] | None = None,
        seconds: float | None = None,
        vigil: Vigil | None = None,
    ) -> None:
        self._database = database
        self._wake_successor = wake_successor
        if seconds is None:
            seconds = random.uniform(*_RUN_SECONDS)  # noqa: S311  # no secret depends on it
        self._seconds = seconds
        self._sender = DeliverySender(settings)
        self._turns = TurnOrder()
        self._running: dict[_Attempt, _Slot] = {}
        self._counts = DispatchCounts()
        self._ended: list[_Attempt] = []
        self._results: list[_Ended] = []
        self._outage_at: float | None = None
        self._news = asyncio.Event()
        self._vigil = VigilKeeper(vigil) if vigil is not None else None
        self._is_leaving = False
        self._is_last_look = False
        self._busy_at = time.monotonic()
        self._full_claims = 0
        self._keep_at = 0.0

    def run(self) -> DispatchCounts:
        """Deliver what is due.

        Raises:
            Unavailable: the database does not answer. Claimed deliveries are claimed again when
                their leases end.
        """
        try:
            asyncio.run(self._run_until(time.monotonic() + self._seconds))
        finally:
            if self._vigil is not None:
                self._vigil.close()
        return self._counts

    async def _run_until(self, end: float) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._sender)
            stack.push_async_callback(self._cancel_running)
            if self._vigil is not None:
                await stack.enter_async_context(listening(self._database, self._news))
            while True:
                started = time.monotonic()
                if not self._is_leaving and self._is_over(end):
                    self._hand_over()
                self._news.clear()
                jobs = await self._exchange()
                for job in jobs:
                    self._start(job)
                self._keep_vigil(len(jobs))
                if not self._is_busy and not self._stays_awake():
                    break
                # A full claim means that more is due: claim again at once.
                if len(jobs) < _BATCH:
                    await self._wait_for_news(started)

    @property
    def _is_busy(self) -> bool:
        return bool(self._running or self._ended or self._results)

    async def _wait_for_news(self, started: float) -> None:
        """Wait until deliveries are stored, or attempts have ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await self._news.wait()
        await asyncio.sleep(started + _PACE_SECONDS - time.monotonic())

    def _keep_vigil(self, claimed: int) -> None:
        """Say that this worker is awake, unless there is enough to do for others too."""
        now = time.monotonic()
        if claimed:
            self._busy_at = now
            self._is_last_look = False
            if self._vigil is not None:
                self._vigil.go_on()
        self._full_claims = self._full_claims + 1 if claimed == _BATCH else 0
        if self._vigil is None or self._is_leaving or self._is_last_look:
            return
        if self._vigil.is_another_awake and not self._full_claims:
            # What is due is not too much for one.
            self._is_leaving = True
        elif now >= self._keep_at:
            self._keep_at = now + _KEEP_SECONDS
            if self._full_claims >= _BACKLOG_CLAIMS:
                self._vigil.end_and(None)
            else:
                self._vigil.keep()

    def _stays_awake(self) -> bool:
        """Whether a run goes on that has nothing to do."""
        if self._vigil is None or self._is_leaving or self._is_last_look:
            return False
        if time.monotonic() - self._busy_at >= _VIGIL_SECONDS and self._vigil.end():
            # Deliveries that were stored before have sent no message.
            self._is_last_look = True
            self._news.set()
        return True

    def _is_over(self, end: float) -> bool:
        return time.monotonic() >= end or shutdown.is_requested()

    def _hand_over(self) -> None:
        """Claim nothing more: what is due from now on is another worker's."""
        self._is_leaving = True
        self._counts.has_more = True
        if self._vigil is not None:
            self._vigil.end_and(self._wake_successor)
        elif self._wake_successor is not None:
            self._wake_successor()

    async def _exchange(self) -> list[DeliveryJob]:
        """Record what has ended, and claim what is due, in one transaction.

        Raises:
            Unavailable: the database has not answered for longer than results are kept.
        """
        self._results += [task.result() for task in self._ended]
        self._ended = []
        count = 0 if self._is_leaving else min(_SLOTS - len(self._running), _BATCH)
        if not self._results and count <= 0:
            return []
        try:
            jobs = await asyncio.to_thread(self._record_and_claim, count)
        except Unavailable:
            now = time.monotonic()
            self._outage_at = self._outage_at or now
            # Whoever has waited for so long may be claimed by others soon.
            if now - self._outage_at > _OUTAGE_SECONDS or not (self._results or self._running):
                raise
            await asyncio.sleep(_POLL_SECONDS)
            return []
        self._outage_at = None
        return jobs

    def _record_and_claim(self, count: int) -> list[DeliveryJob]:
        """Record the results at hand, and claim; row by row where that is not possible at once."""
        try:
            return self._exchange_together(self._results, count)
        except Exception as error:  # a bug that one result meets must not hold the others
            if not self._results:
                raise
            log.warning("round.not_recorded", results=len(self._results), reason=repr(error)[:300])
        pairs = [(job.claimed, result) for job, result in self._results]
        self._count(record_each(self._database, pairs))
        self._results = []
        return self._exchange_together([], count)

    def _exchange_together(self, results: Sequence[_Ended], count: int) -> list[DeliveryJob]:
        states: list[str | None] = []
        jobs: list[DeliveryJob] = []
        with self._database.transaction(PLATFORM) as session:
            if results:
                states = write_results(session, [(job.claimed, result) for job, result in results])
            if count > 0:
                jobs = self._claim(session, count)
        self._count(states)
        self._results = []
        return jobs

    def _count(self, states: Sequence[str | None]) -> None:
        self._counts.delivered += states.count("delivered")
        self._counts.failed += states.count("failed")
        self._counts.retrying += states.count("pending")

    def _claim(self, session: Session, count: int) -> list[DeliveryJob]:
        claims = self._claim_in_turn(session, count)
        if not claims:
            return []
        deliveries = [claimed.delivery for claimed in claims]
        channels = find_channels(session, {delivery.channel_id for delivery in deliveries})
        matches = repository.first_matches(
            session, [delivery.id for delivery in deliveries], MAX_MATCHES
        )
        receipts = repository.opening_receipts(session, deliveries)
        templates = templates_of(session, {delivery.rule_id for delivery in deliveries})
        return [
            DeliveryJob(
                claimed,
                channels.get(claimed.delivery.channel_id),
                matches[claimed.delivery.id],
                receipts.get((claimed.delivery.group_id, claimed.delivery.channel_id)),
                templates.get(claimed.delivery.rule_id),
            )
            for claimed in claims
        ]

    def _claim_in_turn(self, session: Session, count: int) -> list[ClaimedDelivery]:
        waiting = set(repository.waiting_tenants(session))
        running = Counter(slot.tenant for slot in self._running.values())
        claims: list[ClaimedDelivery] = []
        while waiting and len(claims) < count:
            free = _SLOTS - running.total()
            chosen = self._turns.choose(waiting, running, free=free, limit=count - len(claims))
            if not chosen:
                break
            for tenant, share in Counter(chosen).items():
                claimed = self._claim_of(session, tenant, share)
                claims += claimed
                running[tenant] += len(claimed)
                if len(claimed) < share:
                    # The rest of it waits for busy channels, or is another worker's.
                    waiting.discard(tenant)
        return claims

    def _claim_of(self, session: Session, tenant: str, share: int) -> list[ClaimedDelivery]:
        """Claim of one tenant: a delivery for each probe that is due, then those of the others."""
        claims: list[ClaimedDelivery] = []
        paused = paused_channels(session, tenant)
        if paused:
            for channel_id in take_probes(session, tenant)[:share]:
                claims += repository.claim(session, tenant, 1, (), only_channel=channel_id)
        if len(claims) < share:
            busy = self._busy_channels(session, tenant) | paused | off_channels(session, tenant)
            claims += repository.claim(session, tenant, share - len(claims), busy)
        return claims

    def _busy_channels(self, session: Session, tenant: str) -> set[UUID]:
        slots = [slot for slot in self._running.values() if slot.tenant == tenant]
        attempts = Counter(slot.channel_id for slot in slots)
        busy = {channel for channel, number in attempts.items() if number >= _SLOTS_PER_CHANNEL}
        busy |= self._sender.slow_channels()
        to_destinations = Counter(slot.destination for slot in slots if slot.destination)
        full = {
            destination
            for destination, number in to_destinations.items()
            if number >= _SLOTS_PER_DESTINATION
        }
        return busy | channels_to(session, tenant, full) if full else busy

    def _start(self, job: DeliveryJob) -> None:
        task = asyncio.create_task(self._attempt(job))
        destination = destination_of(job.channel) if job.channel else ""
        delivery = job.claimed.delivery
        self._running[task] = _Slot(delivery.tenant, delivery.channel_id, destination)
        task.add_done_callback(self._note_end)

    async def _attempt(self, job: DeliveryJob) -> _Ended:
        return job, await self._sender.send(job)

    def _note_end(self, task: _Attempt) -> None:
        del self._running[task]
        self._ended.append(task)
        self._news.set()

    async def _cancel_running(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
