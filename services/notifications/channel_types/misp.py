"""The MISP channel: an event for each group, with the matches as attributes.

The UUIDs of event and attributes are derived, so that a repeated one is the same. Source:
https://www.misp-project.org/openapi/ (Events), https://www.misp-standard.org/rfc/misp-standard-core
"""

from typing import Any, ClassVar, Final
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.observable_names import MISP, is_observable
from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

_NAMESPACE: Final = UUID("5f6f6f7c-9c0a-5f6c-8a3c-2f3f8d6f2c11")
_LEVELS: Final = {"low": 3, "medium": 2, "high": 1, "critical": 1}
_MAX_INFO: Final = 400
_MAX_COMMENT: Final = 500
_MAX_VALUE: Final = 60_000


class MispConfig(BaseModel):
    """The address of MISP, and who sees the events."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=500, title="Address, without a path")
    distribution: int = Field(default=0, ge=0, le=3, title="0: your organisation … 3: all")
    to_ids: bool = Field(default=False, title="Whether attributes are for detection")


class MispCredentials(BaseModel):
    """The automation key of a user who may create events."""

    model_config = ConfigDict(extra="forbid")

    api_key: str = Field(min_length=20, max_length=200, pattern=r"^[\x21-\x7e]+$")


class MispChannel:
    """Creates events, and adds attributes to them."""

    name: ClassVar[str] = "misp"
    config: type[MispConfig] = MispConfig
    credentials: type[MispCredentials] = MispCredentials
    signs: ClassVar[bool] = False
    recognises_repeats: ClassVar[bool] = True
    limits: ClassVar[MessageLimits] = MessageLimits()

    async def check(self, config: MispConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(self, notification: Notification, config: MispConfig) -> RenderedMessage:
        """The event."""
        count = len(notification.matches)
        document = {"Event": _event(notification, config, count)}
        return RenderedMessage((exchange.encode(document),), "application/json", count)

    async def send(
        self,
        notification: Notification,
        config: MispConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Create the event once; the receipt is its UUID.

        Raises:
            UpstreamError: MISP did not accept it.
        """
        return await self._post(notification, config, secret, client, "/events/add")

    async def update(
        self,
        notification: Notification,
        config: MispConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Add the matches to the group's event; as `send` without a receipt."""
        if notification.receipt is None:
            return await self.send(notification, config, secret, client)
        path = f"/events/edit/{notification.receipt}"
        return await self._post(notification, config, secret, client, path)

    async def close(
        self,
        notification: Notification,
        config: MispConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Set the group's event to "completed"; as `send` without a receipt."""
        return await self.update(notification, config, secret, client)

    async def _post(
        self,
        notification: Notification,
        config: MispConfig,
        secret: str | None,
        client: GuardedClient,
        path: str,
    ) -> Receipt:
        key = exchange.credentials_of(MispCredentials, secret).api_key
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(
            client, config.url.rstrip("/") + path, content, auth_headers={"authorization": key}
        )
        is_refused = response.status in (302, 403, 404, 409)
        is_repeat = is_refused and "already exists" in exchange.answer_text(response)
        if not is_repeat:
            exchange.raise_unless_accepted(response)
            if "Event" not in exchange.answer_json(response):
                # MISP redirects to its login, or shows a page, where an API would refuse.
                raise UpstreamError(
                    f"{response.target.origin} answered with no event.",
                    retryable=False,
                    upstream_status=response.status,
                    answer=exchange.answer_text(response),
                )
        return exchange.receipt_of(response, str(_event_id(notification)))


def _event_id(notification: Notification) -> UUID:
    return uuid5(_NAMESPACE, str(notification.group_id or notification.id))


def _event(notification: Notification, config: MispConfig, count: int) -> dict[str, Any]:
    event_id = _event_id(notification)
    rest = wording.left_out(notification, count)
    return {
        "uuid": str(event_id),
        "info": wording.single_line(wording.headline(notification), _MAX_INFO),
        "date": notification.created_at.date().isoformat(),
        "threat_level_id": _LEVELS[notification.severity],
        "analysis": 2 if notification.kind == "close" else 0,
        "distribution": config.distribution,
        "Attribute": [
            {
                "uuid": str(uuid5(event_id, str(notification.id))),
                "type": "link",
                "category": "External analysis",
                "value": notification.url,
                "to_ids": False,
                "comment": f"Notification {notification.id}. {rest}".strip(),
            },
            *_attributes(notification, event_id, config),
        ],
    }


def _attributes(
    notification: Notification, event_id: UUID, config: MispConfig
) -> list[dict[str, Any]]:
    attributes = {}
    for match in filter(is_observable, notification.matches):
        kind, category = MISP.get(str(match.get("type")), ("text", "Other"))
        value = match["value"][:_MAX_VALUE]
        attribute_id = str(uuid5(event_id, f"{kind} {value}"))
        attributes[attribute_id] = {
            "uuid": attribute_id,
            "type": kind,
            "category": category,
            "value": value,
            "to_ids": config.to_ids and kind != "text",
            "comment": wording.single_line(
                f"{match.get('kind')}, score {match.get('score')}", _MAX_COMMENT
            ),
        }
    return list(attributes.values())
