"""The log channel: one structured line per notification, for systems that collect the logs."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from services.notifications.channel_types.base import Notification
from shared.http.client import GuardedClient
from shared.http.guard import Allowance
from shared.telemetry.logging import get_logger

log = get_logger(__name__)


class LogConfig(BaseModel):
    """The log channel has no configuration."""

    model_config = ConfigDict(extra="forbid")


class LogChannel:
    """Writes the line `notification`."""

    name: ClassVar[str] = "log"
    config: type[LogConfig] = LogConfig
    signs: ClassVar[bool] = False

    async def check(self, config: LogConfig, allow: tuple[Allowance, ...]) -> None:
        """Accept every configuration."""

    async def send(
        self,
        notification: Notification,
        config: LogConfig,  # noqa: ARG002  # part of the protocol
        secret: str | None,  # noqa: ARG002  # part of the protocol
        client: GuardedClient,  # noqa: ARG002  # part of the protocol
    ) -> int | None:
        """Write the line; there is no status."""
        log.info(
            "notification",
            id=str(notification.id),
            tenant=notification.tenant,
            rule=notification.rule,
            source=notification.source,
            match_count=notification.match_count,
            matches=notification.matches,
            url=notification.url,
        )
        return None
