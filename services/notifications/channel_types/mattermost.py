"""The Mattermost channel: an incoming webhook.

Source: https://developers.mattermost.com/integrate/webhooks/incoming/
"""

from typing import ClassVar, Final

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

MAX_CHARACTERS: Final = 16_383


class MattermostConfig(BaseModel):
    """A webhook has no configuration beside its address, which is a secret."""

    model_config = ConfigDict(extra="forbid")


class MattermostCredentials(BaseModel):
    """The address that Mattermost shows for the webhook."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, title="Webhook URL")


class MattermostChannel:
    """Posts text in Markdown. `@` is written so that it calls nobody."""

    name: ClassVar[str] = "mattermost"
    config: type[MattermostConfig] = MattermostConfig
    credentials: type[MattermostCredentials] = MattermostCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(characters=MAX_CHARACTERS)

    async def check(self, config: MattermostConfig, allow: tuple[Allowance, ...]) -> None:
        """Accept the configuration; the address is vetted as a credential."""

    def render(
        self,
        notification: Notification,
        config: MattermostConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The document to post."""
        text, shown = wording.fit(
            notification,
            lambda count: compose(notification, count, MARKDOWN),
            lambda text: wording.utf16_length(text) <= MAX_CHARACTERS,
        )
        return RenderedMessage((exchange.encode({"text": text}),), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: MattermostConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Post the notification once.

        Raises:
            UpstreamError: Mattermost did not accept it.
        """
        credentials = exchange.credentials_of(MattermostCredentials, secret)
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(client, credentials.url, content)
        exchange.raise_unless_accepted(response)
        return exchange.receipt_of(response)
