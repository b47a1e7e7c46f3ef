"""The channel of TheHive 5: an alert for each group, with its observables.

TheHive refuses a second alert of the same type, source and `sourceRef` with 400, which shows that
the first one has arrived. Source: https://docs.strangebee.com/thehive/api-docs/ (Alert)
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
from services.notifications.channel_types.markup import MARKDOWN, compose
from services.notifications.channel_types.observable_names import THEHIVE, is_observable, tags_of
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

MAX_TITLE: Final = 512
MAX_SOURCE: Final = 64
MAX_DATA: Final = 4096
MAX_DESCRIPTION: Final = 1_048_576
_SEVERITIES: Final = {"low": 1, "medium": 2, "high": 3, "critical": 4}


class TheHiveConfig(BaseModel):
    """The address of TheHive, and the organisation that gets the alerts."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=500, title="Address, without a path")
    organisation: str | None = Field(default=None, max_length=200, pattern=r"^[\x20-\x7e]+$")
    tlp: int = Field(default=2, ge=0, le=4, title="TLP of alerts and observables")
    pap: int = Field(default=2, ge=0, le=3, title="PAP of alerts")


class TheHiveCredentials(BaseModel):
    """The API key of a user who may create alerts."""

    model_config = ConfigDict(extra="forbid")

    api_key: str = Field(min_length=10, max_length=500, pattern=r"^[\x21-\x7e]+$")


class TheHiveChannel:
    """Creates alerts, and comments on them."""

    name: ClassVar[str] = "thehive"
    config: type[TheHiveConfig] = TheHiveConfig
    credentials: type[TheHiveCredentials] = TheHiveCredentials
    signs: ClassVar[bool] = False
    recognises_repeats: ClassVar[bool] = True
    limits: ClassVar[MessageLimits] = MessageLimits(characters=MAX_DESCRIPTION)

    async def check(self, config: TheHiveConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(self, notification: Notification, config: TheHiveConfig) -> RenderedMessage:
        """The alert, or the comment."""
        count = len(notification.matches)
        text = compose(notification, count, MARKDOWN)
        document: dict[str, Any] = {"message": text}
        if not _is_comment(notification):
            document = _alert(notification, config, text)
        return RenderedMessage((exchange.encode(document),), "application/json", count)

    async def send(
        self,
        notification: Notification,
        config: TheHiveConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Create an alert, or comment on the group's; the receipt is the alert's id.

        Raises:
            UpstreamError: TheHive did not accept it.
        """
        key = exchange.credentials_of(TheHiveCredentials, secret).api_key
        headers = {"authorization": f"Bearer {key}"}
        if config.organisation:
            headers["x-organisation"] = config.organisation
        path = "/api/v1/alert"
        if _is_comment(notification):
            path += f"/{quote(notification.receipt or '', safe='~')}/comment"
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(
            client, config.url.rstrip("/") + path, content, auth_headers=headers
        )
        answer = exchange.answer_json(response)
        if response.status == 400 and _is_repeat(answer):
            return exchange.receipt_of(response)
        exchange.raise_unless_accepted(response)
        reference = notification.receipt or answer.get("_id")
        return exchange.receipt_of(response, str(reference) if reference else None)

    async def update(
        self,
        notification: Notification,
        config: TheHiveConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Comment on the group's alert; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)

    async def close(
        self,
        notification: Notification,
        config: TheHiveConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Comment on the group's alert, which an analyst closes; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)


def _is_comment(notification: Notification) -> bool:
    return notification.receipt is not None and notification.kind in ("update", "close", "reminder")


def _is_repeat(answer: dict[str, Any]) -> bool:
    return answer.get("type") == "CreateError" and "already exist" in str(answer.get("message"))


def _alert(notification: Notification, config: TheHiveConfig, text: str) -> dict[str, Any]:
    return {
        "type": "sentineliq",
        "source": wording.single_line(f"SentinelIQ {notification.tenant}", MAX_SOURCE),
        "sourceRef": str(notification.id),
        "externalLink": notification.url,
        "title": wording.single_line(wording.headline(notification), MAX_TITLE),
        "description": text,
        "severity": _SEVERITIES[notification.severity],
        "date": int(notification.created_at.timestamp() * 1000),
        "tags": ["sentineliq"],
        "tlp": config.tlp,
        "pap": config.pap,
        "observables": _observables(notification, config),
    }


def _observables(notification: Notification, config: TheHiveConfig) -> list[dict[str, Any]]:
    observables: dict[tuple[str, str], dict[str, Any]] = {}
    for match in notification.matches:
        if not is_observable(match) or len(match["value"]) > MAX_DATA:
            continue
        kind = THEHIVE.get(str(match.get("type")), "other")
        # TheHive refuses an alert in which an observable stands twice.
        observables[kind, match["value"]] = {
            "dataType": kind,
            "data": match["value"],
            "message": f"score {match.get('score')}",
            "tlp": config.tlp,
            "tags": [wording.single_line(tag, 120) for tag in tags_of(match)],
        }
    return list(observables.values())
