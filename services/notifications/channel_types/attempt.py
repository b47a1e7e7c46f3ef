"""One attempt to send a notification: limited in time, its result told apart from its errors."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from services.notifications.channel_types.base import ChannelGone, ChannelType, Notification
from shared.errors import SentinelIQError, UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance
from shared.http.limits import Limits
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

TIMEOUT: Final = 15.0
"""Seconds for an attempt."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of an attempt.

    Attributes:
        status: the receiver's status, if the protocol has one.
        error: the reason of a failure; None if the receiver accepted the notification.
    """

    status: int | None = None
    error: SentinelIQError | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the channel must not be used again."""
        return isinstance(self.error, ChannelGone)


def channel_client(allow: tuple[Allowance, ...]) -> GuardedClient:
    """A client for channels. It follows no redirects and reads 64 KiB of an answer at most."""
    return GuardedClient(
        allow=allow, limits=Limits(total=TIMEOUT, max_bytes=64 * 1024, redirects=0)
    )


async def attempt(
    kind: ChannelType[Any],
    config: dict[str, Any],
    secret: str | None,
    notification: Notification,
    outbound: GuardedClient,
    seconds: float = TIMEOUT,
) -> AttemptResult:
    """Send a notification once; every error becomes part of the result.

    Args:
        kind: the kind of channel.
        config: the channel's stored configuration.
        secret: the channel's signing secret, opened.
        notification: the message.
        outbound: from `channel_client`.
        seconds: the time for the attempt.
    """
    try:
        async with asyncio.timeout(seconds):
            status = await kind.send(
                notification, kind.config.model_validate(config), secret, outbound
            )
    except TimeoutError:
        return AttemptResult(
            error=UpstreamError(f"No answer within {seconds:g} seconds.", retryable=True)
        )
    except SentinelIQError as error:
        return AttemptResult(error.details.get("upstream_status"), error)
    except Exception as error:
        # A bug in one channel, built in or of a plug-in, must not stop the others.
        log.exception("channel.failed", kind=kind.name)
        return AttemptResult(
            error=SentinelIQError(f"The channel {kind.name} has a bug: {type(error).__name__}.")
        )
    return AttemptResult(status)
