"""Attempts to send claimed deliveries: each ends with a result, whatever is wrong with it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from services.notifications.channel_types import ChannelType, channel_types
from services.notifications.channel_types.attempt import AttemptResult, attempt, channel_client
from services.notifications.channel_types.base import Notification, RenderingChannel
from services.notifications.channels.service import Channel, channel_sealer, open_secret
from services.notifications.deliveries.disclosure import restrict
from services.notifications.deliveries.message import notification_of
from services.notifications.deliveries.records import ClaimedDelivery, Delivery
from services.notifications.deliveries.retry_policy import MAX_ATTEMPTS
from services.notifications.templates.rendering import WITHOUT_TEXT, with_text
from shared.errors import NotFound, SentinelIQError, UpstreamError
from shared.http.client import GuardedClient
from shared.http.outbound import outbound_of
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_WRITERS: Final = 2
"""Templates that are written at once."""
_RATE_SECONDS: Final = 2.0
"""A channel whose receiver takes nothing for longer gets no more claims: leases do not wait."""


class DeliveryJob(NamedTuple):
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


class DeliverySender:
    """Sends deliveries, many at a time; an async context manager that keeps connections.

    Args:
        settings: name the private networks that may be reached, and the address of the API.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sealer = channel_sealer(settings)
        self._clients: dict[UUID, GuardedClient] = {}
        self._free_at: dict[UUID, float] = {}
        self._stack = AsyncExitStack()
        # Of their own: a template that takes long holds up no round.
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="template")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writers.shutdown(wait=False, cancel_futures=True)
        await self._stack.aclose()

    def slow_channels(self) -> set[UUID]:
        """The channels whose receivers take no further message for some seconds."""
        later = time.monotonic() + _RATE_SECONDS
        return {channel for channel, moment in self._free_at.items() if moment > later}

    async def send(self, job: DeliveryJob) -> AttemptResult:
        """Attempt a delivery; whatever is wrong with it becomes its result."""
        try:
            return await self._attempt(job, await self._client_of(job.claimed.delivery))
        except SentinelIQError as error:
            return AttemptResult(error=error)
        except Exception as error:
            log.exception("delivery.failed", id=str(job.claimed.delivery.id))
            message = f"This delivery cannot be attempted: {type(error).__name__}."
            return AttemptResult(error=SentinelIQError(message))

    async def _client_of(self, delivery: Delivery) -> GuardedClient:
        # Each channel has its own client: it reuses its connections, and cannot use up others'.
        if delivery.channel_id not in self._clients:
            client = channel_client(outbound_of(self._settings, delivery.tenant))
            self._clients[delivery.channel_id] = await self._stack.enter_async_context(client)
        return self._clients[delivery.channel_id]

    async def _attempt(self, job: DeliveryJob, outbound: GuardedClient) -> AttemptResult:
        channel = job.channel
        delivery = job.claimed.delivery
        if channel is None:
            return AttemptResult(error=NotFound("The channel was deleted."))
        if obstacle := _obstacle(delivery, channel):
            return AttemptResult(error=obstacle)
        try:
            secret = open_secret(channel, self._sealer)
        except SentinelIQError as error:
            return AttemptResult(error=error)
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
        return replace(result, answer=answer or None)

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


def _obstacle(delivery: Delivery, channel: Channel) -> SentinelIQError | None:
    """The reason not to attempt a delivery."""
    if channel.kind not in channel_types():
        return NotFound(f"No channel of kind {channel.kind} is installed.")
    if delivery.attempts > MAX_ATTEMPTS:
        return UpstreamError("Every worker that tried this was lost.", retryable=False)
    return None
