"""The Slack channel with a bot's token: updates of a group stand in the thread of its opening.

Source: https://docs.slack.dev/reference/methods/chat.postMessage,
https://docs.slack.dev/reference/methods/conversations.history
"""

from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    OutcomeUnknown,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.slack import slack_document
from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

_EVENT: Final = "sentineliq_notification"
_TRANSIENT: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"}
)
_HISTORY: Final = 100
"""Messages that are looked through for one that may have arrived."""


class SlackBotConfig(BaseModel):
    """The place where the bot writes."""

    model_config = ConfigDict(extra="forbid")

    channel: str = Field(pattern=r"^[A-Z0-9]{2,30}$", title="Channel id, such as C024BE91L")
    url: str = Field(default="https://slack.com/api", max_length=500, title="Address of the API")


class SlackBotCredentials(BaseModel):
    """The bot's token, with the scopes `chat:write` and, to find messages, `channels:history`."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=10, max_length=500, pattern=r"^[\x21-\x7e]+$")


class SlackBotChannel:
    """Writes as a bot; a message carries the notification's id, by which it is found again."""

    name: ClassVar[str] = "slack_bot"
    config: type[SlackBotConfig] = SlackBotConfig
    credentials: type[SlackBotCredentials] = SlackBotCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(characters=40_000, per_minute=60)

    async def check(self, config: SlackBotConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(self, notification: Notification, config: SlackBotConfig) -> RenderedMessage:
        """The document to post."""
        document, shown = slack_document(notification)
        document["channel"] = config.channel
        document["link_names"] = False
        document["metadata"] = {
            "event_type": _EVENT,
            "event_payload": {"id": str(notification.id)},
        }
        if notification.receipt and notification.kind in ("update", "close", "reminder"):
            document["thread_ts"] = notification.receipt
        return RenderedMessage((exchange.encode(document),), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: SlackBotConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Post the notification once; the receipt is the message's `ts`.

        Raises:
            UpstreamError: Slack did not accept it.
        """
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(
            client, f"{config.url}/chat.postMessage", content, auth_headers=_bearer(secret)
        )
        exchange.raise_unless_accepted(response)
        answer = exchange.answer_json(response)
        _raise_unless_ok(answer, response.status)
        return exchange.receipt_of(response, str(answer.get("ts")) if answer.get("ts") else None)

    async def update(
        self,
        notification: Notification,
        config: SlackBotConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Answer in the thread; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)

    async def close(
        self,
        notification: Notification,
        config: SlackBotConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Answer in the thread; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)

    async def find(
        self,
        notification: Notification,
        config: SlackBotConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt | None:
        """Look for the notification's id in what was written since it was created."""
        query: dict[str, Any] = {
            "channel": config.channel,
            "oldest": f"{notification.created_at.timestamp() - 300:.6f}",
            "limit": _HISTORY,
            "include_all_metadata": "true",
        }
        method = "conversations.history"
        if notification.receipt and notification.kind in ("update", "close", "reminder"):
            method = "conversations.replies"
            query["ts"] = notification.receipt
        address = f"{config.url}/{method}?{urlencode(query)}"
        answer = await exchange.get_json(client, address, auth_headers=_bearer(secret))
        _raise_unless_ok(answer, 200)
        for message in answer.get("messages", ()):
            payload = (message.get("metadata") or {}).get("event_payload") or {}
            if payload.get("id") == str(notification.id):
                return Receipt(200, str(message.get("ts")), "found in the channel's history")
        return None


def _bearer(secret: str | None) -> dict[str, str]:
    token = exchange.credentials_of(SlackBotCredentials, secret).token
    return {"authorization": f"Bearer {token}"}


def _raise_unless_ok(answer: Any, status: int) -> None:
    if isinstance(answer, dict) and answer.get("ok") is True:
        return
    reason = str(answer.get("error")) if isinstance(answer, dict) else "no JSON object"
    if reason == "None" or not isinstance(answer, dict):
        raise OutcomeUnknown("Slack's answer says nothing.", upstream_status=status)
    raise UpstreamError(
        f"Slack refuses it: {reason}.",
        retryable=reason in _TRANSIENT,
        upstream_status=status,
        answer=reason,
    )
