"""One attempt to send a notification: limited in time, its result told apart from its errors."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from services.notifications.channel_types.base import (
    ChannelGone,
    ChannelType,
    FindingChannel,
    Notification,
    OutcomeUnknown,
    Receipt,
    RecognisingChannel,
    ThreadingChannel,
)
from shared.errors import SentinelIQError, UpstreamError, storable
from shared.http.client import GuardedClient
from shared.http.errors import TimedOut, Unreachable
from shared.http.guard import Allowance
from shared.http.limits import Limits
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

TIMEOUT: Final = 15.0
"""Seconds for an attempt."""
MAX_ANSWER: Final = 2048
"""Characters of an answer that the ledger keeps."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of an attempt.

    Attributes:
        status: the receiver's status, if the protocol has one.
        error: the reason of a failure; None if the receiver accepted the notification.
        reference: the receiver's name of the message.
        answer: the beginning of what the receiver said.
        milliseconds: duration.
        is_unknown: the receiver may have accepted it although there is an error.
        is_maybe_repeated: it was sent again after an unknown outcome, to a receiver that cannot be
            asked and does not recognise repeats.
    """

    status: int | None = None
    error: SentinelIQError | None = None
    reference: str | None = None
    answer: str | None = None
    milliseconds: int = 0
    is_unknown: bool = False
    is_maybe_repeated: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether the channel must not be used again."""
        return isinstance(self.error, ChannelGone)


def channel_client(allow: tuple[Allowance, ...]) -> GuardedClient:
    """A client for channels. It follows no redirects and reads 64 KiB of an answer at most."""
    return GuardedClient(
        allow=allow, limits=Limits(total=TIMEOUT, max_bytes=64 * 1024, redirects=0)
    )


async def attempt(  # an attempt is what these six say
    kind: ChannelType[Any],
    config: dict[str, Any],
    secret: str | None,
    notification: Notification,
    outbound: GuardedClient,
    seconds: float = TIMEOUT,
    *,
    is_repetition: bool = False,
) -> AttemptResult:
    """Send a notification once; every error becomes part of the result.

    Args:
        kind: the kind of channel.
        config: the channel's stored configuration.
        secret: the channel's signing secret, opened.
        notification: the message.
        outbound: from `channel_client`.
        seconds: the time for the attempt.
        is_repetition: an attempt before may have been accepted. A receiver that can be asked is
            asked first.
    """
    started = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            valid = kind.config.model_validate(config)
            receipt = None
            if is_repetition and isinstance(kind, FindingChannel):
                receipt = await kind.find(notification, valid, secret, outbound)
            if receipt is None:
                answer = await _verb(kind, notification)(notification, valid, secret, outbound)
                receipt = answer if isinstance(answer, Receipt) else Receipt(answer)
        result = AttemptResult(receipt.status, None, receipt.reference, receipt.answer)
    except TimeoutError:
        late = UpstreamError(f"No answer within {seconds:g} seconds.", retryable=True)
        result = AttemptResult(error=late, is_unknown=True)
    except SentinelIQError as error:
        result = _failure(error)
    except Exception as error:
        # A bug in one channel, built in or of a plug-in, must not stop the others.
        log.exception("channel.failed", kind=kind.name)
        bug = SentinelIQError(f"The channel {kind.name} has a bug: {type(error).__name__}.")
        result = AttemptResult(error=bug)
    return replace(
        result,
        answer=storable(result.answer[:MAX_ANSWER]) if result.answer else None,
        # What a receiver calls its message may hold anything, and stands in a row.
        reference=storable(result.reference[:MAX_ANSWER]) if result.reference else None,
        milliseconds=round((time.perf_counter() - started) * 1000),
        is_maybe_repeated=is_repetition and not _knows_repeats(kind),
    )


_Verb = Callable[[Notification, Any, str | None, GuardedClient], Awaitable[int | Receipt | None]]


def _verb(kind: ChannelType[Any], notification: Notification) -> _Verb:
    if isinstance(kind, ThreadingChannel):
        if notification.kind in ("update", "reminder"):
            return kind.update
        if notification.kind == "close":
            return kind.close
    return kind.send


def _knows_repeats(kind: ChannelType[Any]) -> bool:
    recognises = isinstance(kind, RecognisingChannel) and kind.recognises_repeats
    return recognises or isinstance(kind, FindingChannel)


def _failure(error: SentinelIQError) -> AttemptResult:
    is_unknown = isinstance(error, OutcomeUnknown) or (
        isinstance(error, Unreachable | TimedOut) and error.may_have_arrived
    )
    answer = error.details.pop("answer", None)
    return AttemptResult(
        error.details.get("upstream_status"),
        error,
        answer=answer if isinstance(answer, str) else None,
        is_unknown=is_unknown,
    )
