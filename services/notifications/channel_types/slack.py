"""The Slack channel: an incoming webhook.

Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and the limits of
blocks in https://docs.slack.dev/reference/block-kit/blocks
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
from services.notifications.channel_types.markup import entry_lines, template_lines
from services.notifications.channel_types.slack_markup import SLACK, SLACK_PLAIN
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

MAX_SECTION: Final = 1480
"""Characters of a section: Slack takes 3000, and may count a character as two."""
MAX_BLOCKS: Final = 50
_MAX_ENTRY: Final = 1400


class SlackConfig(BaseModel):
    """A webhook has no configuration beside its address, which is a secret."""

    model_config = ConfigDict(extra="forbid")


class SlackCredentials(BaseModel):
    """The address that Slack shows for the webhook."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, title="Webhook URL")


class SlackChannel:
    """Posts to an incoming webhook. Slack knows no repeats, and names no message."""

    name: ClassVar[str] = "slack"
    config: type[SlackConfig] = SlackConfig
    credentials: type[SlackCredentials] = SlackCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(characters=40_000, per_minute=60)

    async def check(self, config: SlackConfig, allow: tuple[Allowance, ...]) -> None:
        """Accept the configuration; the address is vetted as a credential."""

    def render(
        self,
        notification: Notification,
        config: SlackConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The document to post."""
        document, shown = slack_document(notification)
        return RenderedMessage((exchange.encode(document),), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: SlackConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Post the notification once.

        Raises:
            UpstreamError: Slack did not accept it.
        """
        credentials = exchange.credentials_of(SlackCredentials, secret)
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(client, credentials.url, content)
        exchange.raise_unless_accepted(response)
        return exchange.receipt_of(response)


def slack_document(notification: Notification) -> tuple[dict[str, Any], int]:
    """The blocks of a notification, and the number of matches that they show."""

    def write(count: int) -> dict[str, Any]:
        return {
            "text": SLACK_PLAIN.escape(wording.headline(notification)),
            "unfurl_links": False,
            "unfurl_media": False,
            "blocks": _blocks(notification, count),
        }

    return wording.fit(notification, write, _is_small)


def _is_small(document: dict[str, Any]) -> bool:
    return len(document["blocks"]) <= MAX_BLOCKS


def _blocks(notification: Notification, count: int) -> list[dict[str, Any]]:
    title = SLACK_PLAIN.escape(wording.headline(notification))
    blocks = [_section("plain_text", title)]
    if notification.text is None:
        lines = [
            f"{SLACK_PLAIN.escape(name)}: {SLACK_PLAIN.escape(text)}"
            for name, text in wording.facts(notification)
        ]
        lines += entry_lines(notification, count, SLACK_PLAIN)
        rest = wording.left_out(notification, count)
        lines += [rest] if rest else []
    else:
        lines = [SLACK_PLAIN.escape(line) for line in template_lines(notification.text)]
    blocks += [_section("plain_text", text) for text in _chunks(lines)]
    links = [SLACK.link("All matches", notification.url)]
    if notification.acknowledge_url:
        links.append(SLACK.link("Acknowledge", notification.acknowledge_url))
    footer = f"{' · '.join(links)} · Notification {notification.id}"
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": footer}]})
    return blocks


def _section(kind: str, text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": kind, "text": text}}


def _chunks(lines: list[str]) -> list[str]:
    """Lines as texts that fit a section each; a line is never cut within an escape."""
    chunks: list[str] = []
    for line in (piece for whole in lines for piece in _pieces(whole)):
        if chunks and len(chunks[-1]) + 1 + len(line) <= MAX_SECTION:
            chunks[-1] += f"\n{line}"
        else:
            chunks.append(line or " ")
    return chunks


def _pieces(line: str) -> list[str]:
    """A line in pieces of which none is too long for a section."""
    pieces = []
    while len(line) > _MAX_ENTRY:
        place = line.rfind("&", _MAX_ENTRY - 6, _MAX_ENTRY)
        end = place if place > 0 else _MAX_ENTRY
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]
