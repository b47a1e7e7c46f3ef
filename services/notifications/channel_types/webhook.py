"""The webhook channel: a signed POST after the Standard Webhooks specification.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from standardwebhooks import Webhook as Signer

from services.notifications.channel_types.base import SHOWN_MATCHES, Gone, Notification
from shared.errors import InvalidInput, UpstreamError
from shared.http.client import GuardedClient
from shared.http.errors import ForbiddenTarget, UpstreamStatus
from shared.http.guard import Network, OutboundPolicy, Target
from shared.http.response import BufferedResponse
from shared.http.transport import resolve

MAX_BYTES: Final = 20_000
"""Size of a payload: the specification asks for less than 20 kB."""


class WebhookConfig(BaseModel):
    """Where to post to."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000)


class Webhook:
    """Posts the notification as a CloudEvents document; only 2xx means that it was taken."""

    name: ClassVar[str] = "webhook"
    config: type[WebhookConfig] = WebhookConfig
    signs: ClassVar[bool] = True

    async def check(self, config: WebhookConfig, allow: tuple[Network, ...]) -> None:
        """Refuse an address that no attempt may ever reach; a name that does not resolve yet is let pass.

        Raises:
            InvalidInput: with the field and the reason.
        """
        try:
            target = Target.parse(config.url)
            addresses = await resolve(target.host, target.port)
            OutboundPolicy(allow).vet(target.host, target.port, addresses)
        except ForbiddenTarget as error:
            raise InvalidInput(
                f"The webhook's address is refused: {error}.", field="body.config.url"
            ) from error
        except (OSError, UnicodeError):
            return

    async def send(
        self,
        notification: Notification,
        config: WebhookConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> int | None:
        """Post once.

        Raises:
            Gone: the receiver answered 410.
            UpstreamError: any other answer but 2xx, or none.
        """
        content = payload(notification)
        headers = {
            "content-type": "application/json",
            **signature(str(notification.id), content, secret or ""),
        }
        async with client.stream("POST", config.url, headers=headers, content=content) as response:
            _judge(response)
            return response.status


def payload(notification: Notification) -> bytes:
    """The document that is posted: as many matches as fit, the highest scored first."""
    data: dict[str, Any] = {
        "rule": {"id": notification.rule_id, "name": notification.rule},
        "source": notification.source,
        "match_count": notification.match_count,
        "matches": [],
        "url": notification.url,
    }
    document = {
        "specversion": "1.0",
        "id": notification.id,
        "type": "notification",
        "source": "/services/notifications",
        "time": notification.created_at,
        "tenant": notification.tenant,
        "data": data,
    }
    room = MAX_BYTES - 1 - len(msgspec.json.encode(document))
    for match in notification.matches[:SHOWN_MATCHES]:
        room -= len(msgspec.json.encode(match)) + 1
        if room < 0:
            break
        data["matches"].append(match)
    return msgspec.json.encode(document)


def signature(message_id: str, content: bytes, secret: str) -> dict[str, str]:
    """Headers that prove who sent it and when; the time is the attempt's."""
    moment = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Signer(secret).sign(message_id, moment, content.decode()),
    }


def _judge(answer: BufferedResponse) -> None:
    """Anything but 2xx is a failure; a receiver in trouble may answer 404 or 401 for a while, so those are tried again.

    Raises:
        Gone, UpstreamError: see above.
    """
    origin = answer.target.origin
    if answer.status == 410:
        raise Gone(f"{origin} answered 410: it does not want any more.", upstream_status=410)
    if 300 <= answer.status < 400:
        raise UpstreamError(
            f"{origin} redirects; redirects are not followed. Give the channel the final address.",
            retryable=False,
            upstream_status=answer.status,
        )
    try:
        answer.raise_for_status()
    except UpstreamStatus as error:
        error.retryable = True
        raise
