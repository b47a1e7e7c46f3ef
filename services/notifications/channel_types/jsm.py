"""The channel of Jira Service Management Operations, and of Opsgenie until it ends in April 2027.

Both take the same alerts: an alias makes a repeated one the same alert. Source:
https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v2/intro/ (integration events)
"""

from typing import Any, ClassVar, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.markup import PLAIN, compose
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

MAX_MESSAGE: Final = 130
MAX_DESCRIPTION: Final = 15_000
MAX_NOTE: Final = 25_000
_PRIORITIES: Final = {"low": "P4", "medium": "P3", "high": "P2", "critical": "P1"}


class JsmConfig(BaseModel):
    """The place of the integration's API."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        default="https://api.atlassian.com/jsm/ops/integration",
        max_length=500,
        title="Address of the API; https://api.opsgenie.com for Opsgenie",
    )


class JsmCredentials(BaseModel):
    """The key of an API integration."""

    model_config = ConfigDict(extra="forbid")

    api_key: str = Field(min_length=10, max_length=200, pattern=r"^[\x21-\x7e]+$")


class JsmChannel:
    """Creates an alert for each group, notes what follows, and closes it with the group."""

    name: ClassVar[str] = "jsm"
    config: type[JsmConfig] = JsmConfig
    credentials: type[JsmCredentials] = JsmCredentials
    signs: ClassVar[bool] = False
    recognises_repeats: ClassVar[bool] = True
    limits: ClassVar[MessageLimits] = MessageLimits(characters=MAX_DESCRIPTION, per_minute=100)

    async def check(self, config: JsmConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(
        self,
        notification: Notification,
        config: JsmConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The alert, or the note to it."""
        text, shown = wording.fit(
            notification,
            lambda count: compose(notification, count, PLAIN),
            lambda text: wording.utf16_length(text) <= MAX_DESCRIPTION,
        )
        document = _note(text) if _is_note(notification) else _alert(notification, text)
        return RenderedMessage((exchange.encode(document),), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: JsmConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Create the alert once; the receipt is its alias.

        Raises:
            UpstreamError: the alert was not accepted.
        """
        return await _post(self, notification, config, secret, client, "/v2/alerts")

    async def update(
        self,
        notification: Notification,
        config: JsmConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Add a note to the group's alert."""
        if not _is_note(notification):
            return await self.send(notification, config, secret, client)
        return await _post(self, notification, config, secret, client, _path(notification, "notes"))

    async def close(
        self,
        notification: Notification,
        config: JsmConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Close the group's alert with a note."""
        if not _is_note(notification):
            return await self.send(notification, config, secret, client)
        return await _post(self, notification, config, secret, client, _path(notification, "close"))


async def _post(  # the arguments of `send`, and the place
    channel: JsmChannel,
    notification: Notification,
    config: JsmConfig,
    secret: str | None,
    client: GuardedClient,
    path: str,
) -> Receipt:
    key = exchange.credentials_of(JsmCredentials, secret).api_key
    content = channel.render(notification, config).parts[0]
    headers = {"authorization": f"GenieKey {key}"}
    response = await exchange.send_json(
        client, f"{config.url}{path}", content, auth_headers=headers
    )
    exchange.raise_unless_accepted(response)
    return exchange.receipt_of(response, _alias(notification))


def _is_note(notification: Notification) -> bool:
    return notification.receipt is not None and notification.kind in ("update", "close", "reminder")


def _alias(notification: Notification) -> str:
    return str(notification.group_id or notification.id)


def _path(notification: Notification, verb: str) -> str:
    alias = quote(notification.receipt or _alias(notification), safe="")
    return f"/v2/alerts/{alias}/{verb}?identifierType=alias"


def _note(text: str) -> dict[str, Any]:
    return {"note": text, "source": "SentinelIQ", "user": "SentinelIQ"}


def _alert(notification: Notification, text: str) -> dict[str, Any]:
    return {
        "message": wording.single_line(wording.headline(notification), MAX_MESSAGE),
        "alias": _alias(notification),
        "description": text,
        "priority": _PRIORITIES[notification.severity],
        "source": "SentinelIQ",
        "entity": wording.inert(notification.source),
        "tags": ["sentineliq", notification.severity],
        "details": {"notification": str(notification.id), "url": notification.url},
    }
