"""The Discord channel: a webhook that posts one embed.

Source: https://docs.discord.com/developers/resources/webhook#execute-webhook and the limits of
embeds in https://docs.discord.com/developers/resources/message#embed-object
"""

from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.markup import MARKDOWN, compose
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

MAX_DESCRIPTION: Final = 4096
_COLOURS: Final = {"low": 0x8899A6, "medium": 0x3B88C3, "high": 0xFF9900, "critical": 0xDD2E44}


class DiscordConfig(BaseModel):
    """A webhook has no configuration beside its address, which is a secret."""

    model_config = ConfigDict(extra="forbid")


class DiscordCredentials(BaseModel):
    """The address that Discord shows for the webhook."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, pattern=r"^[^?#]+$", title="Webhook URL")


class DiscordChannel:
    """Posts an embed that mentions nobody: `allowed_mentions` is empty."""

    name: ClassVar[str] = "discord"
    config: type[DiscordConfig] = DiscordConfig
    credentials: type[DiscordCredentials] = DiscordCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(characters=MAX_DESCRIPTION, per_minute=30)

    async def check(self, config: DiscordConfig, allow: tuple[Allowance, ...]) -> None:
        """Accept the configuration; the address is vetted as a credential."""

    def render(
        self,
        notification: Notification,
        config: DiscordConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The document to post."""
        text, shown = wording.fit(
            notification,
            lambda count: compose(notification, count, MARKDOWN),
            lambda text: wording.utf16_length(text) <= MAX_DESCRIPTION,
        )
        embed: dict[str, Any] = {"description": text, "color": _COLOURS[notification.severity]}
        document = {"embeds": [embed], "allowed_mentions": {"parse": []}}
        return RenderedMessage((exchange.encode(document),), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: DiscordConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Post the notification once; the receipt is the message's id.

        Raises:
            UpstreamError: Discord did not accept it.
        """
        credentials = exchange.credentials_of(DiscordCredentials, secret)
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(client, f"{credentials.url}?wait=true", content)
        exchange.raise_unless_accepted(response)
        reference = exchange.answer_json(response).get("id")
        return exchange.receipt_of(response, str(reference) if reference else None)
