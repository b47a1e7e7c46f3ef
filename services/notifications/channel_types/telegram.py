"""The Telegram channel: a bot's message in HTML, cut between matches, never within a tag.

Source: https://core.telegram.org/bots/api#sendmessage and #html-style
"""

from html import unescape
from re import compile as compile_pattern
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.markup import HTML, compose
from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance
from shared.http.response import Response

MAX_CHARACTERS: Final = 4096
"""In UTF-16 units, after the markup is read."""
_TAG: Final = compile_pattern(r"<[^>]*>")


class TelegramConfig(BaseModel):
    """The chat that the bot writes to."""

    model_config = ConfigDict(extra="forbid")

    chat: str = Field(
        pattern=r"^(-?[0-9]{1,20}|@[A-Za-z0-9_]{4,40})$", title="Chat id, or @name of a channel"
    )
    url: str = Field(default="https://api.telegram.org", max_length=500, title="Address of the API")


class TelegramCredentials(BaseModel):
    """The bot's token."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(pattern=r"^[0-9]{3,20}:[A-Za-z0-9_-]{20,100}$")


class TelegramChannel:
    """Writes as a bot; updates of a group answer the message that opened it."""

    name: ClassVar[str] = "telegram"
    config: type[TelegramConfig] = TelegramConfig
    credentials: type[TelegramCredentials] = TelegramCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(characters=MAX_CHARACTERS, per_minute=20)

    async def check(self, config: TelegramConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(self, notification: Notification, config: TelegramConfig) -> RenderedMessage:
        """The document to post."""
        text, shown = wording.fit(
            notification,
            lambda count: compose(notification, count, HTML),
            lambda text: visible_length(text) <= MAX_CHARACTERS,
        )
        document: dict[str, Any] = {
            "chat_id": config.chat,
            "text": text,
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        if notification.receipt and notification.kind in ("update", "close", "reminder"):
            document["reply_parameters"] = {
                "message_id": int(notification.receipt),
                "allow_sending_without_reply": True,
            }
        return RenderedMessage((exchange.encode(document),), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: TelegramConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Post the notification once; the receipt is the message's id.

        Raises:
            UpstreamError: Telegram did not accept it.
        """
        token = exchange.credentials_of(TelegramCredentials, secret).token
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(client, f"{config.url}/bot{token}/sendMessage", content)
        _raise_if_limited(response)
        exchange.raise_unless_accepted(response)
        message = exchange.answer_json(response).get("result")
        number = message.get("message_id") if isinstance(message, dict) else None
        return exchange.receipt_of(response, str(number) if isinstance(number, int) else None)

    async def update(
        self,
        notification: Notification,
        config: TelegramConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Answer the message that opened the group; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)

    async def close(
        self,
        notification: Notification,
        config: TelegramConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Answer the message that opened the group; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)


def visible_length(text: str) -> int:
    """The length that Telegram counts: without tags, entities read, in UTF-16 units."""
    return wording.utf16_length(unescape(_TAG.sub("", text)))


def _raise_if_limited(response: Response) -> None:
    """Telegram says how long to wait in the answer's body."""
    parameters = exchange.answer_json(response).get("parameters")
    wait = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if response.status == 429 and isinstance(wait, int | float):
        raise UpstreamError(
            "Telegram takes no more messages for now.",
            retry_after=float(wait),
            upstream_status=429,
            answer=exchange.answer_text(response),
        )
