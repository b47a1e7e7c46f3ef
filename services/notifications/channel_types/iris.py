"""The channel of DFIR-IRIS: an alert for each group.

IRIS takes a repeated alert as a new one; it is found again by its source reference. Source:
https://docs.dfir-iris.org/operations/alerts and the API reference v2.0.4 (alerts)
"""

from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    OutcomeUnknown,
    Receipt,
    RenderedMessage,
    Severity,
)
from services.notifications.channel_types.markup import PLAIN, compose
from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

_TITLE: Final = 250


class IrisConfig(BaseModel):
    """The address of IRIS, and the ids that its alerts need."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=500, title="Address, without a path")
    customer_id: int = Field(ge=1, title="Customer")
    status_id: int = Field(default=2, ge=1, title="Status of new alerts")
    severity_ids: dict[Severity, int] = Field(
        default={"low": 4, "medium": 1, "high": 5, "critical": 6},
        title="Severities, as /manage/severities/list names them",
    )


class IrisCredentials(BaseModel):
    """The API key of a user with the permission `alerts_write`."""

    model_config = ConfigDict(extra="forbid")

    api_key: str = Field(min_length=10, max_length=500, pattern=r"^[\x21-\x7e]+$")


class IrisChannel:
    """Creates alerts, and writes what follows into their notes."""

    name: ClassVar[str] = "iris"
    config: type[IrisConfig] = IrisConfig
    credentials: type[IrisCredentials] = IrisCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits()

    async def check(self, config: IrisConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(self, notification: Notification, config: IrisConfig) -> RenderedMessage:
        """The alert, or the note."""
        count = len(notification.matches)
        text = compose(notification, count, PLAIN)
        document: dict[str, Any] = {"alert_note": text}
        if not _is_note(notification):
            document = _alert(notification, config, text)
        return RenderedMessage((exchange.encode(document),), "application/json", count)

    async def send(
        self,
        notification: Notification,
        config: IrisConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Create an alert, or set the note of the group's; the receipt is the alert's id.

        Raises:
            UpstreamError: IRIS did not accept it.
        """
        path = "/alerts/add"
        if _is_note(notification):
            path = f"/alerts/update/{notification.receipt}"
        content = self.render(notification, config).parts[0]
        response = await exchange.send_json(
            client, config.url.rstrip("/") + path, content, auth_headers=_auth(secret)
        )
        exchange.raise_unless_accepted(response)
        data = _data(exchange.answer_json(response), response.status)
        reference = notification.receipt or data.get("alert_id")
        return exchange.receipt_of(response, str(reference) if reference else None)

    async def update(
        self,
        notification: Notification,
        config: IrisConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Set the note of the group's alert; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)

    async def close(
        self,
        notification: Notification,
        config: IrisConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Set the note of the group's alert, which an analyst closes."""
        return await self.send(notification, config, secret, client)

    async def find(
        self,
        notification: Notification,
        config: IrisConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt | None:
        """Look for the alert by its source reference; a note is just set again."""
        if _is_note(notification):
            return None
        query = urlencode({"source_reference": str(notification.id), "per_page": 1})
        answer = await exchange.get_json(
            client, f"{config.url.rstrip('/')}/alerts/filter?{query}", auth_headers=_auth(secret)
        )
        data = _data(answer if isinstance(answer, dict) else {}, 200)
        for alert in data.get("alerts") or ():
            if alert.get("alert_source_ref") == str(notification.id):
                return Receipt(200, str(alert.get("alert_id")), "found by its source reference")
        return None


def _auth(secret: str | None) -> dict[str, str]:
    key = exchange.credentials_of(IrisCredentials, secret).api_key
    return {"authorization": f"Bearer {key}"}


def _is_note(notification: Notification) -> bool:
    return notification.receipt is not None and notification.kind in ("update", "close", "reminder")


def _data(answer: dict[str, Any], status: int) -> dict[str, Any]:
    """What a successful answer carries."""
    if answer.get("status") == "success":
        data = answer.get("data")
        return data if isinstance(data, dict) else {}
    if not answer:
        raise OutcomeUnknown("The answer of IRIS says nothing.", upstream_status=status)
    raise UpstreamError(
        f"IRIS refuses it: {wording.single_line(answer.get('message'), 200)}.",
        retryable=False,
        upstream_status=status,
    )


def _alert(notification: Notification, config: IrisConfig, text: str) -> dict[str, Any]:
    return {
        "alert_title": wording.single_line(wording.headline(notification), _TITLE),
        "alert_description": text,
        "alert_source": "SentinelIQ",
        "alert_source_ref": str(notification.id),
        "alert_source_link": notification.url,
        "alert_source_event_time": notification.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "alert_source_content": {"matches": notification.matches},
        "alert_severity_id": config.severity_ids.get(notification.severity, 1),
        "alert_status_id": config.status_id,
        "alert_customer_id": config.customer_id,
        "alert_tags": f"sentineliq,{notification.severity}",
    }
