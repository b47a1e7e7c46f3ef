"""The asker: holds lanes, asks their questions side by side, and writes down what came of each.

Two loops share a worker's lanes. One takes: in one transaction it renews the leases, takes the next questions of every
lane that may ask some, and pays for them. The other records: what was answered since it looked last is one transaction.
A slow provider holds the places of its own lane only; a lane whose worker is lost is taken over when its lease ends.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from services.observables.enrichment.execution.claims import Ask, Call, Taken, take
from services.observables.enrichment.execution.leased_queue import LeasedQueue
from services.observables.enrichment.execution.metrics import CALL_SECONDS, CALLS
from services.observables.enrichment.execution.outcome_writer import OutcomeWriter
from services.observables.enrichment.execution.outcomes import Item
from services.observables.enrichment.execution.provider_call import call
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import Ended
from services.observables.enrichment.queues.repository.provider_queues import ProviderQueue
from services.observables.enrichment.settings import repository
from services.observables.enrichment.settings.access import limits_of
from services.observables.enrichment.settings.keys import unseal
from services.observables.providers.base import Query, RemoteEnricher
from services.observables.reference import context
from shared.crypto import UnsealError
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.http import GuardedClient
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

LEASE: Final = 4.0
"""Seconds after which a lane whose worker is silent is another one's."""

_RENEW: Final = 0.8
_LOOK_FOR_LANES: Final = 0.5
_LOOK_AGAIN: Final = 0.25
_TICK: Final = 0.02
_MOST_LANES: Final = 16
_LANES_AT_ONCE: Final = 2
_PATIENCE: Final = 5.0
"""Seconds that a lane is held although it may not ask anything."""
_AHEAD: Final = 30.0
"""Seconds before the next question during which it pays to stay awake."""
_MOST_UNWRITTEN: Final = 500
"""Outcomes that may wait to be written down before anything more is asked."""
_SHIFT: Final = 60.0


@dataclass(slots=True)
class Done:
    """What a shift did; `more` says that it stopped with work left."""

    answered: int = 0
    ended: int = 0
    again: int = 0
    more: bool = False


class EnrichmentWorker:
    """One worker's shift.

    Args:
        database: the service's.
        environment: which networks may be reached, where providers are, the installation's key.
        enrichers: by name.
        seconds: how long it lasts at most.
    """

    def __init__(
        self,
        database: Database,
        environment: Settings,
        enrichers: Mapping[str, RemoteEnricher],
        seconds: float = _SHIFT,
    ) -> None:
        self.me = uuid4()
        self._database = database
        self._environment = environment
        self._enrichers = enrichers
        self._seconds = seconds
        self._held: dict[UUID, LeasedQueue] = {}
        self._clients: dict[UUID, GuardedClient] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._recorder = OutcomeWriter(database, self.me, LEASE)
        self._wake = asyncio.Event()
        self._look_for_lanes = self._renewed = 0.0
        self._leased_until = 0.0
        self._had_lanes = False
        self._refused, self._more = 0, False

    def run(self) -> Done:
        """Ask until nothing is to be asked soon, or the shift ends.

        Raises:
            Unavailable: the database went away; leases run out and everything unfinished is asked again.
        """
        with self._database.transaction(PLATFORM) as session:
            context.reload_if_stale(session)
            jobs.refuse_unknown(session, sorted(self._enrichers))
        asyncio.run(self._work())
        recorder = self._recorder
        return Done(recorder.answered, recorder.ended + self._refused, recorder.again, self._more)

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._abandon)
            recorder = asyncio.create_task(self._recorder.run())
            end = time.monotonic() + self._seconds
            while time.monotonic() < end and not recorder.done():
                self._wake.clear()
                await self._turn(stack)
                if not self._held and not await self._worth_waiting():
                    break
                await self._pause()
            self._more = time.monotonic() >= end
            await self._finish(recorder)

    # Taking

    async def _turn(self, stack: AsyncExitStack) -> None:
        """Take what the lanes may ask, start the calls that have a place, and let go of lanes that have to wait."""
        self._give_back_blocked()
        now, clock = time.time(), time.monotonic()
        if clock >= self._look_for_lanes and len(self._held) < _MOST_LANES:
            found = await asyncio.to_thread(self._acquire)
            # Where there were as many as one may take at a time, there are more: the next turn looks again.
            self._look_for_lanes = (
                clock if len(found) == _LANES_AT_ONCE else clock + _LOOK_FOR_LANES
            )
            if not self._held:
                self._leased_until = clock + LEASE
            for lane in found:
                await self._hold(*lane, stack)
        asks = {one: held.ask(now) for one, held in self._held.items()}
        full = self._recorder.backlog >= _MOST_UNWRITTEN
        asks = {
            one: ask._replace(interactive=0, background=0)
            if full or clock < self._held[one].look_at
            else ask
            for one, ask in asks.items()
        }
        if any(ask.interactive for ask in asks.values()) or (
            asks and clock >= self._renewed + _RENEW
        ):
            await self._take(asks)
        self._start()
        await self._let_go()

    async def _take(self, asks: Mapping[UUID, Ask]) -> None:
        """Renew the leases and take what the lanes may ask; a database that stumbles costs nothing while they last.

        Raises:
            Unavailable: the database stays away for longer than the leases.
        """
        clock = time.monotonic()
        try:
            taken = await asyncio.to_thread(take, self._database, self.me, asks, LEASE)
        except Unavailable as error:
            if clock >= self._leased_until:
                raise
            log.warning("shift.retrying", reason=error.message)
        else:
            self._take_in(taken, asks, clock)

    def _acquire(self) -> list[tuple[ProviderQueue, LeasedQueue]]:
        most = min(_LANES_AT_ONCE, _MOST_LANES - len(self._held))
        found = []
        with self._database.transaction(PLATFORM) as session:
            for lane in provider_queues.acquire(
                session, self.me, sorted(self._enrichers), most, LEASE
            ):
                enricher = self._enrichers[lane.enricher]
                row = repository.of_owner(session, lane.tenant, lane.enricher)
                key: dict[str, str] = {}
                if lane.key_id is not None and row is not None and row.key_id == lane.key_id:
                    try:
                        key = unseal(self._environment.secret_key, row)
                    except UnsealError as error:
                        lane.limiter.key_refused(time.time(), error.message)
                base = self._environment.enricher_urls.get(lane.enricher, enricher.base_url)
                plan = limits_of(enricher, row)
                found.append((lane, LeasedQueue(lane, enricher, plan, key, base, lane.limiter)))
        return found

    async def _hold(self, lane: ProviderQueue, held: LeasedQueue, stack: AsyncExitStack) -> None:
        self._had_lanes = True
        held.keep_pace(time.time())
        self._held[lane.id] = held
        if lane.id not in self._clients:
            # Connections are a lane's own: those of a slow provider are not taken from the others.
            client = GuardedClient(
                self._environment.outbound_allow, connections=held.plan.concurrency
            )
            self._clients[lane.id] = await stack.enter_async_context(client)
        log.info("lane.held", lane=str(lane.id), enricher=lane.enricher, owner=lane.tenant)

    def _take_in(self, taken: Taken, asks: Mapping[UUID, Ask], clock: float) -> None:
        now = time.time()
        self._renewed, self._leased_until = clock, clock + LEASE
        for one in taken.lost:
            log.warning("lane.lost", lane=str(one))
            del self._held[one]
        for one, held in self._held.items():
            if asks[one].interactive:
                short = one in taken.short
                held.drained = short and asks[one].background > 0
                held.look_at = clock + _LOOK_AGAIN if short else 0.0
            held.add(taken.calls.get(one, []), now)
            held.keep_pace(now)
        for known in taken.known:
            enricher = self._enrichers[known.job.enricher]
            item = Item(
                known.job,
                enricher,
                known.cached.finding,
                None,
                known.marking,
                False,
                known.cached.obtained_at,
            )
            self._tell(item, self._held[known.job.lane])
        self._refused += len(taken.refused)

    def _give_back_blocked(self) -> None:
        for held in self._held.values():
            if held.waiting and time.time() < held.limiter.blocked_until:
                for one in held.give_back(time.time()):
                    self._tell(one, held)

    # Calling

    def _start(self) -> None:
        for lane, held in self._held.items():
            # A worker that was asleep for longer than its lease must not ask what another one asks by now.
            while (
                time.monotonic() < self._leased_until
                and (next_call := held.next_call(time.time())) is not None
            ):
                task = asyncio.create_task(self._ask(held, next_call, self._clients[lane]))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)

    async def _ask(self, held: LeasedQueue, asked: Call, client: GuardedClient) -> None:
        started, clock = time.time(), time.perf_counter()
        job = asked.job
        outcome = await call(held.enricher, Query(job.type, job.value), held.key, client, held.base)
        CALL_SECONDS.labels(job.enricher).observe(time.perf_counter() - clock)
        CALLS.labels(job.enricher, type(outcome).__name__).inc()
        self._tell(held.came_of(asked, outcome, started, time.time()), held)
        self._start()
        self._wake.set()

    def _tell(self, outcome: Item | Ended, held: LeasedQueue) -> None:
        self._recorder.tell(outcome, held.lane.id, held.limiter)

    # Resting and ending

    async def _pause(self) -> None:
        busy = any(not held.idle or not held.drained for held in self._held.values())
        try:
            async with asyncio.timeout(_TICK if busy else _LOOK_AGAIN):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _let_go(self) -> None:
        """Release lanes that have nothing under way and nothing to ask, or may not ask for a while."""
        now = time.time()
        for one, held in list(self._held.items()):
            rests = held.limiter.next_at(held.plan, now) > now + _PATIENCE
            if held.idle and not self._recorder.pending(one) and (held.drained or rests):
                await asyncio.to_thread(self._release, held)
                del self._held[one]

    def _release(self, held: LeasedQueue) -> None:
        now = time.time()
        held.keep_pace(now)
        froms = [
            held.limiter.next_at(held.plan, now, interactive=interactive)
            for interactive in (True, False)
        ]
        interactive, others = (
            datetime.fromtimestamp(one, UTC) if one > now else None for one in froms
        )
        with self._database.transaction(PLATFORM) as session:
            provider_queues.release(
                session, self.me, held.lane.id, held.limiter, interactive, others
            )

    async def _worth_waiting(self) -> bool:
        """Whether to stay awake with no lane in hand: only when there is work soon, and nobody else is awake.

        Whoever comes when a worker was just lost waits for its lease to end.
        """
        expected = await asyncio.to_thread(self._outlook)
        return expected.soon and not expected.others and (self._had_lanes or expected.fading)

    def _outlook(self) -> provider_queues.Outlook:
        with self._database.transaction(PLATFORM) as session:
            return provider_queues.outlook(
                session, self.me, sorted(self._enrichers), _AHEAD, LEASE - 2 * _RENEW
            )

    async def _finish(self, recorder: asyncio.Task[None]) -> None:
        """Give back what has not started, wait for what has, write it down, and release the lanes."""
        for held in self._held.values():
            for one in held.give_back(time.time()):
                self._tell(one, held)
        while self._calls and not recorder.done():  # each has a limit of its own
            await asyncio.wait(self._calls, timeout=_RENEW)
            await self._renew()
        self._recorder.finish()
        while not recorder.done():
            await asyncio.wait([recorder], timeout=_RENEW)
            await self._renew()
        recorder.result()
        for held in self._held.values():
            await asyncio.to_thread(self._release, held)

    async def _renew(self) -> None:
        """Keep the lanes while there is something left to do for them."""
        await self._take(
            {
                one: held.ask(time.time())._replace(interactive=0, background=0)
                for one, held in self._held.items()
            }
        )

    async def _abandon(self) -> None:
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
