"""The webhook channel: a signed POST as the Standard Webhooks specification describes it.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from standardwebhooks import Webhook as Signer

from services.notifications.channel_types.base import (
    MAX_MATCHES,
    ChannelGone,
    MessageLimits,
    Notification,
    RenderedMessage,
)
from services.notifications.channel_types.exchange import check_target
from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.errors import UpstreamStatus
from shared.http.guard import Allowance
from shared.http.limits import Limits
from shared.http.response import BufferedResponse, StreamedResponse

MAX_BYTES: Final = 20_000
"""Bytes of a payload; the specification asks for less than 20 kB."""
_LIMITS: Final = Limits(total=15.0, max_bytes=1 << 62, redirects=0)
"""The head of an answer says all. Its body is not read, so that its size does not matter."""
_SHORT_BODY: Final = 4096
_BODY_SECONDS: Final = 0.25


class WebhookConfig(BaseModel):
    """The receiver of the webhook."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000)


class WebhookChannel:
    """Posts the notification as a CloudEvents document; only a 2xx answer accepts it."""

    name: ClassVar[str] = "webhook"
    config: type[WebhookConfig] = WebhookConfig
    signs: ClassVar[bool] = True
    recognises_repeats: ClassVar[bool] = True
    limits: ClassVar[MessageLimits] = MessageLimits(bytes=MAX_BYTES)

    async def check(self, config: WebhookConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach; a name that does not resolve yet may pass.

        Raises:
            InvalidInput: the address is forbidden, with the reason.
        """
        await check_target(config.url, allow, "config.url")

    def render(
        self,
        notification: Notification,
        config: WebhookConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The document to post."""
        content, shown = document(notification)
        return RenderedMessage((content,), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: WebhookConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> int | None:
        """Post the notification once.

        Raises:
            ChannelGone: the receiver answered 410.
            UpstreamError: the receiver did not answer, or with another status than 2xx.
        """
        content = payload(notification)
        headers = {
            "content-type": "application/json",
            **signature(str(notification.id), content, secret or ""),
        }
        async with client.stream(
            "POST", config.url, headers=headers, content=content, limits=_LIMITS
        ) as response:
            _raise_unless_accepted(response)
            await _read_short_body(response)
            return response.status


async def _read_short_body(response: StreamedResponse) -> None:
    """Read what is short and comes at once: only then can the connection be used again."""
    missing = "0" if response.status == 204 else str(_SHORT_BODY + 1)
    if int(response.headers.get("content-length", missing)) > _SHORT_BODY:
        return
    # The message is accepted, whatever becomes of the body.
    with suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            async for _ in response.iter_bytes():
                pass


def payload(notification: Notification) -> bytes:
    """The document to post, with as many matches as fit, highest scores first."""
    return document(notification)[0]


def document(notification: Notification) -> tuple[bytes, int]:
    """The document to post, and how many matches it shows."""
    data: dict[str, Any] = {
        "rule": {"id": notification.rule_id, "name": notification.rule},
        "source": notification.source,
        "match_count": notification.match_count,
        "matches": [],
        "url": notification.url,
        "kind": notification.kind,
        "severity": notification.severity,
        **_group_of(notification),
    }
    envelope = {
        "specversion": "1.0",
        "id": notification.id,
        "type": "notification",
        "source": "/services/notifications",
        "time": notification.created_at,
        "tenant": notification.tenant,
        "data": data,
    }
    free_bytes = MAX_BYTES - 1 - len(msgspec.json.encode(envelope))
    for match in notification.matches[:MAX_MATCHES]:
        free_bytes -= len(msgspec.json.encode(match)) + 1
        if free_bytes < 0:
            break
        data["matches"].append(match)
    return msgspec.json.encode(envelope), len(data["matches"])


def _group_of(notification: Notification) -> dict[str, Any]:
    """What a notification tells beyond its matches; what does not apply is left out."""
    values: dict[str, Any] = {
        "reason": notification.reason,
        "due_at": notification.due_at,
        "late": notification.is_late or None,
        "acknowledge_url": notification.acknowledge_url,
    }
    if notification.group_id is not None:
        values["group"] = {
            "id": notification.group_id,
            "labels": notification.labels,
            "total_count": notification.total_count,
        }
    return {name: value for name, value in values.items() if value is not None}


def signature(message_id: str, content: bytes, secret: str) -> dict[str, str]:
    """The headers that prove the sender and the time of the attempt."""
    moment = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Signer(secret).sign(message_id, moment, content.decode()),
    }


def _raise_unless_accepted(response: BufferedResponse) -> None:
    """Raise for every status but 2xx.

    A receiver in trouble may answer 404 or 401 for a while: these are retried, too.

    Raises:
        ChannelGone, UpstreamError: see `WebhookChannel.send`.
    """
    origin = response.target.origin
    if response.status == 410:
        raise ChannelGone(f"{origin} answered 410: it does not want any more.", upstream_status=410)
    if 300 <= response.status < 400:
        raise UpstreamError(
            f"{origin} redirects; redirects are not followed. Give the channel the final address.",
            retryable=False,
            upstream_status=response.status,
        )
    try:
        response.raise_for_status()
    except UpstreamStatus as error:
        error.retryable = True
        raise
