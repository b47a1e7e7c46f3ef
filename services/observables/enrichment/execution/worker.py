"""The enrichment worker: it leases queues, calls providers side by side, and stores outcomes.

Two loops share the leased queues. One claims: a transaction renews the leases, takes the next jobs
of every queue that has capacity, and pays for their calls. The other stores: all outcomes since
its last look are one transaction. A slow provider holds only the places of its own queue. Another
worker takes over the queues of a lost one when its lease ends.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from services.observables.enrichment.execution.claims import (
    CachedJob,
    Claims,
    PaidCall,
    QueueCapacity,
    claim_jobs,
)
from services.observables.enrichment.execution.leased_queue import LeasedQueue
from services.observables.enrichment.execution.metrics import CALL_SECONDS, CALLS
from services.observables.enrichment.execution.outcome_writer import OutcomeWriter
from services.observables.enrichment.execution.outcomes import AnsweredJob
from services.observables.enrichment.execution.provider_call import call_provider
from services.observables.enrichment.queues.models import JobEnd, Outlook, ProviderQueue
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.provider_queues import LEASE_SECONDS
from services.observables.enrichment.settings import repository as settings
from services.observables.enrichment.settings.access import limits_of
from services.observables.enrichment.settings.keys import unseal
from services.observables.providers.base import Query, RemoteEnricher
from services.observables.reference import context
from shared import shutdown
from shared.clock import DatabaseClock
from shared.crypto import UnsealError
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.http import GuardedClient
from shared.keys import keys_of
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_RENEW: Final = 0.8
"""Seconds between renewals of the leases."""
_LEASE_EVERY: Final = 0.5
"""Seconds between attempts to lease further queues."""
_CLAIM_EVERY: Final = 0.25
"""Seconds until a drained queue is asked for jobs again."""
_TICK: Final = 0.02
_MOST_QUEUES: Final = 16
_QUEUES_AT_ONCE: Final = 2
_PATIENCE: Final = 5.0
"""Seconds for which a queue is kept although it may make no call."""
_AHEAD: Final = 30.0
"""A worker stays awake for work that is due within so many seconds."""
_MOST_PENDING: Final = 500
"""Outcomes that may wait to be stored before claiming pauses."""
_RUN_SECONDS: Final = 60.0


@dataclass(slots=True)
class WorkSummary:
    """What a worker did.

    Attributes:
        answered: jobs that were answered.
        ended: jobs that ended otherwise.
        again: tries after which a job waits again.
        more: whether the worker stopped with work left.
    """

    answered: int = 0
    ended: int = 0
    again: int = 0
    more: bool = False


class EnrichmentWorker:
    """One run of a worker.

    Args:
        database: the service's.
        environment: the networks that may be reached, providers' addresses, the secret key.
        enrichers: by name.
        seconds: how long it runs at most.
    """

    def __init__(
        self,
        database: Database,
        environment: Settings,
        enrichers: Mapping[str, RemoteEnricher],
        seconds: float = _RUN_SECONDS,
    ) -> None:
        self.id = uuid4()
        self._database = database
        self._environment = environment
        self._enrichers = enrichers
        self._seconds = seconds
        self._queues: dict[UUID, LeasedQueue] = {}
        self._clients: dict[UUID, GuardedClient] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._clock = DatabaseClock()
        self._writer = OutcomeWriter(database, self.id, self._clock)
        self._call_finished = asyncio.Event()
        # Times of the loop's clock.
        self._lease_at = 0.0
        self._renewed_at = 0.0
        self._leased_until = 0.0
        self._had_queues = False
        self._refused = 0
        self._timed_out = False

    def run(self) -> WorkSummary:
        """Work until no job is due soon, or the time is over.

        Raises:
            Unavailable: the database went away; leases end, and unfinished queries are sent again.
        """
        with self._database.transaction(PLATFORM) as session:
            self._clock.set(session)
            context.reload_if_stale(session)
            jobs.refuse_uninstalled(session, sorted(self._enrichers))
        asyncio.run(self._work())
        writer = self._writer
        return WorkSummary(
            writer.answered, writer.ended + self._refused, writer.again, self._timed_out
        )

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._cancel_calls)
            writer = asyncio.create_task(self._writer.run())
            end = time.monotonic() + self._seconds
            while time.monotonic() < end and not writer.done() and not shutdown.is_requested():
                self._call_finished.clear()
                await self._turn(stack)
                if not self._queues and not await self._is_worth_waiting():
                    break
                await self._pause()
            self._timed_out = time.monotonic() >= end or shutdown.is_requested()
            await self._finish(writer)

    # Claiming

    async def _turn(self, stack: AsyncExitStack) -> None:
        """Lease and claim what can be, start calls, and release queues that have to wait."""
        self._return_blocked_calls()
        await self._lease_queues(stack)
        capacities = self._capacities()
        is_due = any(capacity.interactive for capacity in capacities.values())
        must_renew = capacities and time.monotonic() >= self._renewed_at + _RENEW
        if is_due or must_renew:
            await self._claim(capacities)
        self._start_calls()
        await self._release_idle()

    def _return_blocked_calls(self) -> None:
        for leased in self._queues.values():
            if leased.waiting and self._clock.time() < leased.limiter.blocked_until:
                for end in leased.return_calls(self._clock.time()):
                    self._add_outcome(end, leased)

    async def _lease_queues(self, stack: AsyncExitStack) -> None:
        clock = time.monotonic()
        if clock < self._lease_at or len(self._queues) >= _MOST_QUEUES:
            return
        queues = await asyncio.to_thread(self._lease)
        # A full answer means that there may be more: the next turn tries again.
        self._lease_at = clock if len(queues) == _QUEUES_AT_ONCE else clock + _LEASE_EVERY
        if not self._queues:
            self._leased_until = clock + LEASE_SECONDS
        for leased in queues:
            await self._add_queue(leased, stack)

    def _lease(self) -> list[LeasedQueue]:
        limit = min(_QUEUES_AT_ONCE, _MOST_QUEUES - len(self._queues))
        leased = []
        with self._database.transaction(PLATFORM) as session:
            self._clock.set(session)
            queues = provider_queues.lease(session, self.id, sorted(self._enrichers), limit)
            for queue in queues:
                enricher = self._enrichers[queue.enricher]
                setting = settings.by_owner(session, queue.tenant, queue.enricher)
                base = self._environment.enricher_urls.get(queue.enricher, enricher.base_url)
                key: dict[str, str] = {}
                # A queue of a former key makes no calls with the present one.
                if setting is not None and setting.key_id == queue.key_id:
                    try:
                        key = unseal(
                            keys_of(self._environment),
                            setting,
                            base,
                            is_usual=base == enricher.base_url,
                        )
                    except UnsealError as error:
                        queue.limiter.record_key_refused(self._clock.time(), error.message)
                limits = limits_of(enricher, setting)
                leased.append(LeasedQueue(queue, enricher, limits, key, base, queue.limiter))
        return leased

    async def _add_queue(self, leased: LeasedQueue, stack: AsyncExitStack) -> None:
        queue: ProviderQueue = leased.queue
        self._had_queues = True
        leased.record_pace(self._clock.time())
        self._queues[queue.id] = leased
        if queue.id not in self._clients:
            # Each queue has its own connections: a slow provider takes none from the others.
            client = GuardedClient(
                self._environment.outbound_allow, connections=leased.limits.concurrency
            )
            self._clients[queue.id] = await stack.enter_async_context(client)
        log.info("queue.leased", queue=str(queue.id), enricher=queue.enricher, owner=queue.tenant)

    def _capacities(self) -> dict[UUID, QueueCapacity]:
        """What each queue could do now; nothing while outcomes pile up or it has just drained."""
        now = self._clock.time()
        clock = time.monotonic()
        is_full = self._writer.backlog >= _MOST_PENDING
        capacities = {}
        for queue, leased in self._queues.items():
            capacity = leased.capacity(now)
            if is_full or clock < leased.claim_at:
                capacity = capacity._replace(interactive=0, background=0)
            capacities[queue] = capacity
        return capacities

    async def _claim(self, capacities: Mapping[UUID, QueueCapacity]) -> None:
        """Renew the leases and claim jobs; a short outage of the database costs nothing.

        Raises:
            Unavailable: the database stays away for longer than the leases.
        """
        clock = time.monotonic()
        try:
            claims = await asyncio.to_thread(claim_jobs, self._database, self.id, capacities)
        except Unavailable as error:
            if clock >= self._leased_until:
                raise
            log.warning("worker.claim_failed", reason=error.message)
        else:
            self._renewed_at = clock
            self._leased_until = clock + LEASE_SECONDS
            self._add_claims(claims, capacities, clock)

    def _add_claims(
        self, claims: Claims, capacities: Mapping[UUID, QueueCapacity], clock: float
    ) -> None:
        now = self._clock.time()
        for queue in claims.lost:
            log.warning("queue.lease_lost", queue=str(queue))
            del self._queues[queue]
        for queue, leased in self._queues.items():
            if capacities[queue].interactive:
                drained = queue in claims.drained
                leased.drained = drained and capacities[queue].background > 0
                leased.claim_at = clock + _CLAIM_EVERY if drained else 0.0
            leased.add(claims.calls.get(queue, []), now)
            leased.record_pace(now)
        for cached in claims.cached:
            leased = self._queues[cached.job.queue_id]
            self._add_outcome(self._answer_from_cache(cached), leased)
        self._refused += len(claims.refused)

    def _answer_from_cache(self, cached: CachedJob) -> AnsweredJob:
        return AnsweredJob(
            cached.job,
            self._enrichers[cached.job.enricher],
            cached.answer.finding,
            None,
            cached.marking,
            False,
            cached.answer.obtained_at,
        )

    # Calling

    def _start_calls(self) -> None:
        for queue, leased in self._queues.items():
            # A worker that was frozen for longer than its lease starts no call: another worker
            # may be making it by now.
            while time.monotonic() < self._leased_until:
                paid = leased.next_call(self._clock.time())
                if paid is None:
                    break
                task = asyncio.create_task(self._call(leased, paid, self._clients[queue]))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)

    async def _call(self, leased: LeasedQueue, paid: PaidCall, client: GuardedClient) -> None:
        started = self._clock.time()
        clock = time.perf_counter()
        job = paid.job
        query = Query(job.type, job.value)
        outcome = await call_provider(leased.enricher, query, leased.key, client, leased.base)
        CALL_SECONDS.labels(job.enricher).observe(time.perf_counter() - clock)
        CALLS.labels(job.enricher, type(outcome).__name__).inc()
        self._add_outcome(leased.record_outcome(paid, outcome, started, self._clock.time()), leased)
        self._start_calls()
        self._call_finished.set()

    def _add_outcome(self, outcome: AnsweredJob | JobEnd, leased: LeasedQueue) -> None:
        self._writer.add(outcome, leased.queue.id, leased.limiter)

    # Waiting and ending

    async def _pause(self) -> None:
        is_busy = any(not leased.idle or not leased.drained for leased in self._queues.values())
        try:
            async with asyncio.timeout(_TICK if is_busy else _CLAIM_EVERY):
                await self._call_finished.wait()
        except TimeoutError:
            return

    async def _release_idle(self) -> None:
        """Release queues without calls that are drained, or that may make no call for a while."""
        now = self._clock.time()
        for queue, leased in list(self._queues.items()):
            rests = leased.limiter.next_call_at(leased.limits, now) > now + _PATIENCE
            is_done = leased.idle and not self._writer.is_pending(queue)
            if is_done and (leased.drained or rests):
                await asyncio.to_thread(self._release, leased)
                del self._queues[queue]

    def _release(self, leased: LeasedQueue) -> None:
        now = self._clock.time()
        leased.record_pace(now)
        limiter = leased.limiter
        interactive = limiter.next_call_at(leased.limits, now, interactive=True)
        background = limiter.next_call_at(leased.limits, now)
        with self._database.transaction(PLATFORM) as session:
            provider_queues.release(
                session,
                self.id,
                leased.queue.id,
                limiter,
                datetime.fromtimestamp(interactive, UTC) if interactive > now else None,
                datetime.fromtimestamp(background, UTC) if background > now else None,
            )

    async def _is_worth_waiting(self) -> bool:
        """Whether to stay awake without a queue.

        It is when there is work soon and no other worker is awake. A worker that starts when
        another was just lost waits for that one's lease to end.
        """
        expected = await asyncio.to_thread(self._outlook)
        return expected.soon and not expected.others and (self._had_queues or expected.fading)

    def _outlook(self) -> Outlook:
        renewed = LEASE_SECONDS - 2 * _RENEW
        with self._database.transaction(PLATFORM) as session:
            return provider_queues.outlook(
                session, self.id, sorted(self._enrichers), _AHEAD, renewed
            )

    async def _finish(self, writer: asyncio.Task[None]) -> None:
        """Return calls that have not started, wait for those in flight, and release the queues."""
        for leased in self._queues.values():
            for end in leased.return_calls(self._clock.time()):
                self._add_outcome(end, leased)
        while self._calls and not writer.done():  # each call has a timeout of its own
            await asyncio.wait(self._calls, timeout=_RENEW)
            await self._renew()
        self._writer.close()
        while not writer.done():
            await asyncio.wait([writer], timeout=_RENEW)
            await self._renew()
        writer.result()
        for leased in self._queues.values():
            await asyncio.to_thread(self._release, leased)

    async def _renew(self) -> None:
        """Renew the leases without claiming jobs."""
        now = self._clock.time()
        capacities = {
            queue: leased.capacity(now)._replace(interactive=0, background=0)
            for queue, leased in self._queues.items()
        }
        await self._claim(capacities)

    async def _cancel_calls(self) -> None:
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
