"""The PagerDuty channel: events whose key makes a repeated one the same incident.

Source: https://developer.pagerduty.com/docs/events-api-v2-overview
"""

from typing import Any, ClassVar, Final

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.markup import template_lines
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

MAX_BYTES: Final = 512 * 1024
MAX_SUMMARY: Final = 1024
_SEVERITIES: Final = {"low": "info", "medium": "warning", "high": "error", "critical": "critical"}


class PagerDutyConfig(BaseModel):
    """The region of the account."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        default="https://events.pagerduty.com", max_length=500, title="Address of the Events API"
    )


class PagerDutyCredentials(BaseModel):
    """The integration key of a service or an orchestration."""

    model_config = ConfigDict(extra="forbid")

    routing_key: str = Field(pattern=r"^[A-Za-z0-9]{32}$")


class PagerDutyChannel:
    """Triggers an incident for each group, and resolves it when the group is closed.

    `render` shows the document without the integration key, which is a part of it.
    """

    name: ClassVar[str] = "pagerduty"
    config: type[PagerDutyConfig] = PagerDutyConfig
    credentials: type[PagerDutyCredentials] = PagerDutyCredentials
    signs: ClassVar[bool] = False
    recognises_repeats: ClassVar[bool] = True
    limits: ClassVar[MessageLimits] = MessageLimits(bytes=MAX_BYTES, per_minute=120)

    async def check(self, config: PagerDutyConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(
        self,
        notification: Notification,
        config: PagerDutyConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The event, but for the integration key."""

        def write(count: int) -> bytes:
            return exchange.encode(_event(notification, count))

        content, shown = wording.fit(
            notification, write, lambda body: len(body) <= MAX_BYTES - 1024
        )
        return RenderedMessage((content,), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: PagerDutyConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Send the event once; the receipt is its key.

        Raises:
            UpstreamError: PagerDuty did not accept it.
        """
        credentials = exchange.credentials_of(PagerDutyCredentials, secret)
        event = msgspec.json.decode(self.render(notification, config).parts[0])
        content = exchange.encode({"routing_key": credentials.routing_key, **event})
        response = await exchange.send_json(client, f"{config.url}/v2/enqueue", content)
        exchange.raise_unless_accepted(response)
        return exchange.receipt_of(response, event["dedup_key"])


def _event(notification: Notification, count: int) -> dict[str, Any]:
    key = str(notification.group_id or notification.id)
    if notification.kind == "close":
        return {"event_action": "resolve", "dedup_key": key}
    details: dict[str, Any] = dict(wording.facts(notification))
    if notification.text is None:
        listed = wording.entries(notification)[:count]
        details["matches"] = [f"{entry.value} {entry.detail}" for entry in listed]
        details["not shown"] = wording.left_out(notification, count)
    else:
        details["text"] = "\n".join(template_lines(notification.text))
    details["notification"] = str(notification.id)
    links = [{"href": notification.url, "text": "All matches"}]
    if notification.acknowledge_url:
        links.append({"href": notification.acknowledge_url, "text": "Acknowledge"})
    return {
        "event_action": "trigger",
        "dedup_key": key,
        "client": "SentinelIQ",
        "client_url": notification.url,
        "links": links,
        "payload": {
            "summary": wording.single_line(wording.headline(notification), MAX_SUMMARY),
            "source": wording.inert(notification.source) or "SentinelIQ",
            "severity": _SEVERITIES[notification.severity],
            "timestamp": notification.created_at.isoformat(),
            "component": wording.inert(notification.rule),
            "custom_details": details,
        },
    }
