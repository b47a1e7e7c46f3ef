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
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.channel_types import ChannelType, channel_types
from services.notifications.channel_types.attempt import AttemptResult, attempt, channel_client
from services.notifications.channel_types.base import (
    MAX_MATCHES,
    Notification,
    RenderingChannel,
)
from services.notifications.channels.service import (
    Channel,
    channel_sealer,
    channels_to,
    destination_of,
    find_channels,
    off_channels,
    open_secret,
)
from services.notifications.deliveries import repository
from services.notifications.deliveries.disclosure import restrict
from services.notifications.deliveries.message import notification_of
from services.notifications.deliveries.records import ClaimedDelivery, Delivery
from services.notifications.deliveries.results import write_results
from services.notifications.deliveries.retry_policy import MAX_ATTEMPTS
from services.notifications.deliveries.wakeup import Vigil, listening
from services.notifications.pauses.service import paused_channels, take_probes
from services.notifications.templates.rendering import WITHOUT_TEXT, with_text
from services.notifications.templates.service import templates_of
from shared import shutdown
from shared.database import PLATFORM, Database
from shared.errors import NotFound, SentinelIQError, UpstreamError
from shared.http.client import GuardedClient
from shared.http.outbound import outbound_of
from shared.settings import Settings
from shared.telemetry.logging import get_logger
from shared.turns import TurnOrder

log = get_logger(__name__)

_SLOTS: Final = 200
_SLOTS_PER_CHANNEL: Final = 10
_SLOTS_PER_DESTINATION: Final = 20
_BATCH: Final = 10
_POLL_SECONDS: Final = 0.25
"""The longest time between two looks for what is due."""
_PACE_SECONDS: Final = 0.02
"""The least time between two rounds: what comes within it is claimed and recorded together."""
_VIGIL_SECONDS: Final = 2.0
"""For so long an idle worker stays awake."""
_KEEP_SECONDS: Final = 1.0
"""Between two signs that it is awake."""
_WRITERS: Final = 2
"""Templates that are written at once."""
_BACKLOG_CLAIMS: Final = 20
"""After so many full claims in a row there is enough to do for a second worker."""
_RATE_SECONDS: Final = 2.0
"""A channel whose receiver takes nothing for longer gets no more claims: leases do not wait."""
_RUN_SECONDS: Final = (240.0, 480.0)
"""The shortest and the longest run. Runs that began together do not end together: a worker whose
run is over claims nothing while its last attempts wait for their receivers."""


class _Job(NamedTuple):
    """A claimed delivery with all that its attempt needs.

    Attributes:
        channel: None if it was deleted.
        receipt: what the channel answered to the message that opened the delivery's group.
        template: of the rule, if it has one.
    """

    claimed: ClaimedDelivery
    channel: Channel | None
    matches: list[dict[str, Any]]
    receipt: str | None
    template: str | None = None


class _Slot(NamedTuple):
    """Who occupies a slot."""

    tenant: str
    channel_id: UUID
    destination: str


_Ended = tuple[_Job, AttemptResult]
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
        self._settings = settings
        self._wake_successor = wake_successor
        if seconds is None:
            seconds = random.uniform(*_RUN_SECONDS)  # noqa: S311  # no secret depends on it
        self._seconds = seconds
        self._sealer = channel_sealer(settings)
        self._turns = TurnOrder()
        self._running: dict[_Attempt, _Slot] = {}
        self._clients: dict[UUID, GuardedClient] = {}
        self._counts = DispatchCounts()
        self._free_at: dict[UUID, float] = {}
        # Of their own: a template that takes long holds up no round.
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="template")
        self._ended: list[_Attempt] = []
        self._news = asyncio.Event()
        self._vigil = vigil
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
            self._writers.shutdown(wait=False, cancel_futures=True)
        return self._counts

    async def _run_until(self, end: float) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._cancel_running)
            if self._vigil is not None:
                await stack.enter_async_context(listening(self._database, self._news))
            while True:
                started = time.monotonic()
                if not self._is_leaving and self._is_over(end):
                    await self._hand_over()
                self._news.clear()
                jobs = await self._exchange()
                for job in jobs:
                    await self._start(job, stack)
                await self._keep_vigil(len(jobs))
                if not self._running and not self._ended and not await self._stays_awake():
                    break
                # A full claim means that more is due: claim again at once.
                if len(jobs) < _BATCH:
                    await self._wait_for_news(started)

    async def _wait_for_news(self, started: float) -> None:
        """Wait until deliveries are stored, or attempts have ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await self._news.wait()
        await asyncio.sleep(started + _PACE_SECONDS - time.monotonic())

    async def _keep_vigil(self, claimed: int) -> None:
        """Say that this worker is awake, unless there is enough to do for others too."""
        now = time.monotonic()
        if claimed:
            self._busy_at = now
            self._is_last_look = False
        self._full_claims = self._full_claims + 1 if claimed == _BATCH else 0
        if self._vigil is None or self._is_leaving or self._is_last_look or now < self._keep_at:
            return
        self._keep_at = now + _KEEP_SECONDS
        if self._full_claims >= _BACKLOG_CLAIMS:
            await asyncio.to_thread(self._vigil.end)
        elif not await asyncio.to_thread(self._vigil.keep) and not self._full_claims:
            # Another one is awake, and what is due is not too much for one.
            self._is_leaving = True

    async def _stays_awake(self) -> bool:
        """Whether a run goes on that has nothing to do."""
        if self._vigil is None or self._is_leaving or self._is_last_look:
            return False
        if time.monotonic() - self._busy_at >= _VIGIL_SECONDS:
            await asyncio.to_thread(self._vigil.end)
            # Deliveries that were stored before have sent no message.
            self._is_last_look = True
            self._news.set()
        return True

    def _is_over(self, end: float) -> bool:
        return time.monotonic() >= end or shutdown.is_requested()

    async def _hand_over(self) -> None:
        """Claim nothing more: what is due from now on is another worker's."""
        self._is_leaving = True
        self._counts.has_more = True
        if self._vigil is not None:
            await asyncio.to_thread(self._vigil.end)
        if self._wake_successor is not None:
            await asyncio.to_thread(self._wake_successor)

    async def _exchange(self) -> list[_Job]:
        """Record what has ended, and claim what is due, in one transaction."""
        results = [task.result() for task in self._ended]
        self._ended = []
        count = 0 if self._is_leaving else min(_SLOTS - len(self._running), _BATCH)
        if not results and count <= 0:
            return []
        return await asyncio.to_thread(self._record_and_claim, results, count)

    def _record_and_claim(self, results: Sequence[_Ended], count: int) -> list[_Job]:
        states: list[str | None] = []
        jobs: list[_Job] = []
        with self._database.transaction(PLATFORM) as session:
            if results:
                states = write_results(session, [(job.claimed, result) for job, result in results])
            if count > 0:
                jobs = self._claim(session, count)
        self._counts.delivered += states.count("delivered")
        self._counts.failed += states.count("failed")
        self._counts.retrying += states.count("pending")
        return jobs

    def _claim(self, session: Session, count: int) -> list[_Job]:
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
            _Job(
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
        later = time.monotonic() + _RATE_SECONDS
        busy |= {channel for channel, moment in self._free_at.items() if moment > later}
        to_destinations = Counter(slot.destination for slot in slots if slot.destination)
        full = {
            destination
            for destination, number in to_destinations.items()
            if number >= _SLOTS_PER_DESTINATION
        }
        return busy | channels_to(session, tenant, full) if full else busy

    async def _start(self, job: _Job, stack: AsyncExitStack) -> None:
        # Each channel has its own client: it reuses its connections, and cannot use up others'.
        channel_id = job.claimed.delivery.channel_id
        if channel_id not in self._clients:
            client = channel_client(outbound_of(self._settings, job.claimed.delivery.tenant))
            self._clients[channel_id] = await stack.enter_async_context(client)
        task = asyncio.create_task(self._attempt(job, self._clients[channel_id]))
        destination = destination_of(job.channel) if job.channel else ""
        self._running[task] = _Slot(job.claimed.delivery.tenant, channel_id, destination)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: _Attempt) -> None:
        del self._running[task]
        self._ended.append(task)
        self._news.set()

    async def _attempt(self, job: _Job, outbound: GuardedClient) -> tuple[_Job, AttemptResult]:
        channel = job.channel
        delivery = job.claimed.delivery
        if channel is None:
            return job, AttemptResult(error=NotFound("The channel was deleted."))
        if obstacle := _obstacle(delivery, channel):
            return job, AttemptResult(error=obstacle)
        try:
            secret = open_secret(channel, self._sealer)
        except SentinelIQError as error:
            return job, AttemptResult(error=error)
        notification = notification_of(delivery, job.matches, self._settings, job.receipt)
        kind = channel_types()[channel.kind]
        notification = restrict(notification, kind, channel.max_tlp)
        notification, note = await self._write_text(notification, kind, job.template)
        await self._keep_rate(kind, channel.id)
        result = await attempt(
            kind,
            channel.config,
            secret,
            notification,
            outbound,
            is_repetition=delivery.is_outcome_unknown,
        )
        answer = " ".join(filter(None, (note, result.answer)))
        return job, replace(result, answer=answer or None)

    async def _write_text(
        self, notification: Notification, kind: ChannelType[Any], template: str | None
    ) -> tuple[Notification, str]:
        """The notification with what its template writes, and a note for the ledger.

        No template decides whether somebody is told: where one cannot be used, the channel's own
        words are sent.
        """
        if template is None or kind.name in WITHOUT_TEXT:
            return notification, ""
        write = partial(with_text, notification, template)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writers, write), ""
        except SentinelIQError as error:
            log.warning("template.not_used", rule=str(notification.rule_id), reason=error.message)
            line = f" (line {error.details['line']})" if "line" in error.details else ""
            return notification, f"The channel's own words were sent: {error.message}{line}"

    async def _keep_rate(self, kind: ChannelType[Any], channel_id: UUID) -> None:
        """Wait until the receiver takes another message."""
        if not isinstance(kind, RenderingChannel) or kind.limits.per_minute is None:
            return
        start = max(time.monotonic(), self._free_at.get(channel_id, 0.0))
        self._free_at[channel_id] = start + 60.0 / kind.limits.per_minute
        await asyncio.sleep(start - time.monotonic())

    async def _cancel_running(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _obstacle(delivery: Delivery, channel: Channel) -> SentinelIQError | None:
    """The reason not to attempt a delivery."""
    if channel.kind not in channel_types():
        return NotFound(f"No channel of kind {channel.kind} is installed.")
    if delivery.attempts > MAX_ATTEMPTS:
        return UpstreamError("Every worker that tried this was lost.", retryable=False)
    return None
