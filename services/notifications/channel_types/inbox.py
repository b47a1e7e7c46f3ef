"""The inbox: messages that people read in the product.

The delivery's row is the message, so there is nothing to send: `/v1/inbox` lists those that are
delivered.
"""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.markup import PLAIN, compose
from shared.http.client import GuardedClient
from shared.http.guard import Allowance


class InboxConfig(BaseModel):
    """The inbox has no configuration: all of the tenant read it."""

    model_config = ConfigDict(extra="forbid")


class InboxChannel:
    """Puts the notification into the tenant's inbox."""

    name: ClassVar[str] = "inbox"
    config: type[InboxConfig] = InboxConfig
    signs: ClassVar[bool] = False
    recognises_repeats: ClassVar[bool] = True
    stays_inside: ClassVar[bool] = True
    limits: ClassVar[MessageLimits] = MessageLimits()

    async def check(self, config: InboxConfig, allow: tuple[Allowance, ...]) -> None:
        """Accept every configuration."""

    def render(
        self,
        notification: Notification,
        config: InboxConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The notification as a text."""
        count = len(notification.matches)
        text = compose(notification, count, PLAIN)
        return RenderedMessage((text.encode(),), "text/plain", count)

    async def send(
        self,
        notification: Notification,
        config: InboxConfig,  # noqa: ARG002  # part of the protocol
        secret: str | None,  # noqa: ARG002  # part of the protocol
        client: GuardedClient,  # noqa: ARG002  # part of the protocol
    ) -> Receipt:
        """Say that it is there: its row becomes "delivered" in the transaction that follows."""
        return Receipt(reference=str(notification.id))
