"""The deliverer: takes due deliveries, tries them side by side, and writes down what became of each.

A slow receiver holds its own places only: what becomes due meanwhile is taken at once, up to `_SLOTS` together and
`_PER_CHANNEL` for one channel.
"""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.channel_types import Notification, kinds
from services.notifications.deliveries import repository
from services.notifications.deliveries.attempt import (
    MAX_ATTEMPTS,
    TIMEOUT,
    Outcome,
    attempt,
    client,
)
from services.notifications.deliveries.repository import Claimed
from shared.crypto import Sealer
from shared.database import PLATFORM, Database
from shared.errors import NotFound, SentinelIQError, UpstreamError
from shared.events import Event
from shared.events.notifications import DELIVERED, Delivered
from shared.http.client import GuardedClient
from shared.kafka.outbox import publish
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

SOURCE: Final = "/services/notifications"
SECRETS: Final = "notifications.channels"
"""What channels' secrets are sealed for."""

LEASE: Final = 4 * TIMEOUT
_SLOTS: Final = 100
_PER_CHANNEL: Final = 10
_LOOK_SECONDS: Final = 0.25
_SHIFT_SECONDS: Final = 60.0

_Attempt = asyncio.Task[tuple[Claimed, Outcome]]


@dataclass(slots=True)
class Done:
    """What a run of the deliverer did; `more` says that it stopped with work left."""

    delivered: int = 0
    failed: int = 0
    retrying: int = 0
    more: bool = False


class Deliverer:
    """Delivers until nothing is due, or its shift ends.

    Args:
        database: the service's.
        settings: which private networks may be reached, and where the API is.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._sealer = Sealer(settings.secret_key, SECRETS)
        self._running: dict[_Attempt, UUID] = {}
        self._clients: dict[UUID, GuardedClient] = {}
        self._done = Done()

    def run(self) -> Done:
        """Work one shift.

        Raises:
            Unavailable: the database went away; leases run out and everything unfinished is taken again.
        """
        asyncio.run(self._work(time.monotonic() + _SHIFT_SECONDS))
        return self._done

    async def _work(self, end: float) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._abandon)
            while True:
                claimed = await self._take() if time.monotonic() < end else []
                for one in claimed:
                    await self._start(one, stack)
                if not self._running:
                    break
                pause = 0.0 if len(claimed) == _PER_CHANNEL else _LOOK_SECONDS
                ended, _ = await asyncio.wait(
                    self._running, timeout=pause, return_when=asyncio.FIRST_COMPLETED
                )
                await self._record(ended)
        self._done.more = time.monotonic() >= end

    async def _take(self) -> list[Claimed]:
        places = min(_SLOTS - len(self._running), _PER_CHANNEL)
        if places <= 0:
            return []
        busy = [
            channel
            for channel, count in Counter(self._running.values()).items()
            if count >= _PER_CHANNEL
        ]
        return await asyncio.to_thread(self._claim, places, busy)

    def _claim(self, places: int, busy: list[UUID]) -> list[Claimed]:
        with self._database.transaction(PLATFORM) as session:
            return repository.claim(session, places, busy, LEASE)

    async def _start(self, claimed: Claimed, stack: AsyncExitStack) -> None:
        # One client per channel: its connections are reused, and it cannot use up those of another channel.
        if claimed.channel_id not in self._clients:
            outbound = await stack.enter_async_context(client(self._settings.outbound_allow))
            self._clients[claimed.channel_id] = outbound
        task = asyncio.create_task(self._attempt(claimed, self._clients[claimed.channel_id]))
        self._running[task] = claimed.channel_id

    async def _attempt(self, claimed: Claimed, outbound: GuardedClient) -> tuple[Claimed, Outcome]:
        obstacle = _obstacle(claimed)
        if claimed.kind is None or obstacle is not None:
            return claimed, Outcome(error=obstacle)
        try:
            secret = (
                self._sealer.open(claimed.secret, str(claimed.channel_id))
                if claimed.secret
                else None
            )
        except SentinelIQError as error:
            return claimed, Outcome(error=error)
        notification = _notification(claimed, self._settings)
        return claimed, await attempt(
            kinds()[claimed.kind], claimed.config, secret, notification, outbound
        )

    async def _record(self, ended: set[_Attempt]) -> None:
        if ended:
            outcomes = [task.result() for task in ended]
            await asyncio.to_thread(self._write, outcomes)
            for task in ended:
                del self._running[task]

    def _write(self, outcomes: list[tuple[Claimed, Outcome]]) -> None:
        with self._database.transaction(PLATFORM) as session:
            for claimed, outcome in outcomes:
                state = _write(session, claimed, outcome)
                self._done.delivered += state == "delivered"
                self._done.failed += state == "failed"
                self._done.retrying += state == "pending"

    async def _abandon(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def _obstacle(claimed: Claimed) -> SentinelIQError | None:
    """Why there is nothing to try."""
    if claimed.kind is None:
        return NotFound("The channel was deleted.")
    if not claimed.enabled:
        return UpstreamError("The channel is switched off.", retryable=False)
    if claimed.kind not in kinds():
        return NotFound(f"No channel of kind {claimed.kind} is installed.")
    if claimed.attempts > MAX_ATTEMPTS:
        return UpstreamError("Every worker that tried this was lost.", retryable=False)
    return None


def _notification(claimed: Claimed, settings: Settings) -> Notification:
    return Notification(
        id=claimed.id,
        tenant=claimed.tenant,
        rule_id=claimed.rule_id,
        rule=claimed.rule,
        source=claimed.source,
        match_count=claimed.match_count,
        matches=claimed.matches,
        created_at=claimed.created_at,
        url=f"{settings.service_url('notifications')}/v1/deliveries/{claimed.id}",
    )


def _write(session: Session, claimed: Claimed, outcome: Outcome) -> str | None:
    """Record an outcome, with the event that tells of an end; None when somebody else has the delivery by now."""
    wait = outcome.wait(claimed.attempts)
    state = "delivered" if outcome.error is None else "failed" if wait is None else "pending"
    error = outcome.error.as_dict() if outcome.error else None
    if not repository.record(
        session, claimed, state, status=outcome.status, error=error, wait=wait
    ):
        log.warning("delivery.superseded", id=str(claimed.id))
        return None
    if outcome.gone:
        repository.disable_channel(
            session, claimed.channel_id, outcome.error.message if outcome.error else ""
        )
    if state != "pending":
        publish(session, [_event(claimed, state, error)])
    log.info(
        "delivery.attempted", id=str(claimed.id), state=state, attempt=claimed.attempts, error=error
    )
    return state


def _event(claimed: Claimed, state: str, error: dict[str, object] | None) -> Event[Delivered]:
    data = Delivered(
        delivery_id=claimed.id,
        rule_id=claimed.rule_id,
        rule=claimed.rule,
        channel=claimed.channel,
        state="delivered" if state == "delivered" else "failed",
        matches=claimed.match_count,
        attempts=claimed.attempts,
        error={key: str(value) for key, value in error.items()} if error else None,
    )
    key = str(claimed.rule_id).encode()
    return Event(topic=DELIVERED, data=data, tenant=claimed.tenant, source=SOURCE, key=key)
