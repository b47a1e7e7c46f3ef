"""The Teams channel: a workflow that posts an Adaptive Card.

Teams' own connectors are gone; a workflow with the trigger "When a Teams webhook request is
received" takes their place. Source: https://learn.microsoft.com/microsoftteams/platform/
webhooks-and-connectors/how-to/connectors-using, and https://adaptivecards.io/explorer/
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
from services.notifications.channel_types.markup import PLAIN, entry_lines, template_lines
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

MAX_BYTES: Final = 28 * 1024
_COLOURS: Final = {
    "low": "default",
    "medium": "accent",
    "high": "warning",
    "critical": "attention",
}


class TeamsConfig(BaseModel):
    """A workflow has no configuration beside its address, which is a secret."""

    model_config = ConfigDict(extra="forbid")


class TeamsCredentials(BaseModel):
    """The address that the workflow shows, with its signature."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, title="Workflow URL")


class TeamsChannel:
    """Posts an Adaptive Card. Its text runs are plain: nothing in them is a mention or a link."""

    name: ClassVar[str] = "teams"
    config: type[TeamsConfig] = TeamsConfig
    credentials: type[TeamsCredentials] = TeamsCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(bytes=MAX_BYTES, per_minute=60)

    async def check(self, config: TeamsConfig, allow: tuple[Allowance, ...]) -> None:
        """Accept the configuration; the address is vetted as a credential."""

    def render(
        self,
        notification: Notification,
        config: TeamsConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The document to post."""

        def write(count: int) -> bytes:
            return exchange.encode(_message(notification, count))

        content, shown = wording.fit(notification, write, lambda body: len(body) <= MAX_BYTES)
        return RenderedMessage((content,), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: TeamsConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Post the notification once.

        Raises:
            UpstreamError: the workflow did not accept it.
        """
        credentials = exchange.credentials_of(TeamsCredentials, secret)
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(client, credentials.url, content)
        exchange.raise_unless_accepted(response)
        return exchange.receipt_of(response)


def _message(notification: Notification, count: int) -> dict[str, Any]:
    title = wording.headline(notification)
    colour = _COLOURS[notification.severity]
    body = [_runs([_run(title, weight="bolder", color=colour)])]
    if notification.text is None:
        pairs = wording.facts(notification)
        body += [_runs([_run(f"{name}: {text}")]) for name, text in pairs]
        body += [_runs([_run(line)]) for line in entry_lines(notification, count, PLAIN)]
        rest = wording.left_out(notification, count)
        body += [_runs([_run(rest, isSubtle=True)])] if rest else []
    else:
        body += [_runs([_run(line or " ")]) for line in template_lines(notification.text)]
    body.append(_runs([_run(f"Notification {notification.id}", isSubtle=True, size="small")]))
    actions = [_open("All matches", notification.url)]
    if notification.acknowledge_url:
        actions.append(_open("Acknowledge", notification.acknowledge_url))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": title,
        "body": body,
        "actions": actions,
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _runs(inlines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": inlines}


def _open(title: str, url: str) -> dict[str, Any]:
    return {"type": "Action.OpenUrl", "title": title, "url": url}
