"""One attempt: a notification through a channel, and what is to be made of its outcome."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any, Final

from services.notifications.channel_types import ChannelKind, Gone, Notification
from shared.errors import SentinelIQError, UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Network
from shared.http.limits import Limits
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

TIMEOUT: Final = 15.0
"""Seconds an attempt may take."""

WAITS: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0)
"""Seconds between attempts, before jitter: eight attempts within about eight hours."""

MAX_ATTEMPTS: Final = len(WAITS) + 1
MAX_WAIT: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        status: the receiver's status, where there is such a thing.
        error: what went wrong; None when it was taken.
    """

    status: int | None = None
    error: SentinelIQError | None = None

    @property
    def gone(self) -> bool:
        """The channel must not be tried again."""
        return isinstance(self.error, Gone)

    def wait(self, attempts: int) -> float | None:
        """Seconds until the next attempt; None when there is none.

        Args:
            attempts: how many there were, this one included.
        """
        if self.error is None or not self.error.retryable or attempts >= MAX_ATTEMPTS:
            return None
        pause = WAITS[max(attempts, 1) - 1] * random.uniform(0.8, 1.2)  # noqa: S311  # jitter, not a secret
        return min(max(pause, self.error.retry_after or 0.0), MAX_WAIT)


def client(allow: tuple[Network, ...]) -> GuardedClient:
    """The way out for channels: no redirects, and small answers, since nobody reads them."""
    return GuardedClient(
        allow=allow, limits=Limits(total=TIMEOUT, max_bytes=64 * 1024, redirects=0)
    )


async def attempt(
    kind: ChannelKind[Any],
    config: dict[str, Any],
    secret: str | None,
    notification: Notification,
    outbound: GuardedClient,
    seconds: float = TIMEOUT,
) -> Outcome:
    """Try once; never raises, whatever a channel does.

    Args:
        kind: the kind of channel.
        config: the channel's configuration as it is stored.
        secret: its signing secret, opened.
        notification: what to tell.
        outbound: from `client`.
        seconds: the attempt's time.
    """
    try:
        async with asyncio.timeout(seconds):
            status = await kind.send(
                notification, kind.config.model_validate(config), secret, outbound
            )
    except TimeoutError:
        return Outcome(
            error=UpstreamError(f"No answer within {seconds:g} seconds.", retryable=True)
        )
    except SentinelIQError as error:
        return Outcome(error.details.get("upstream_status"), error)
    except (
        Exception
    ) as error:  # a bug in one channel, ours or a plug-in's, must not stop the others
        log.exception("channel.failed", kind=kind.name)
        return Outcome(
            error=SentinelIQError(f"The channel {kind.name} has a bug: {type(error).__name__}.")
        )
    return Outcome(status)
