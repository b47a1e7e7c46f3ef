"""The channel types by name."""

from functools import cache
from typing import Any, Final

from services.notifications.channel_types.apprise import AppriseChannel
from services.notifications.channel_types.base import ChannelType
from services.notifications.channel_types.discord import DiscordChannel
from services.notifications.channel_types.email import EmailChannel
from services.notifications.channel_types.file import FileChannel
from services.notifications.channel_types.inbox import InboxChannel
from services.notifications.channel_types.iris import IrisChannel
from services.notifications.channel_types.jira import JiraChannel
from services.notifications.channel_types.jsm import JsmChannel
from services.notifications.channel_types.kafka import KafkaChannel
from services.notifications.channel_types.log import LogChannel
from services.notifications.channel_types.mattermost import MattermostChannel
from services.notifications.channel_types.misp import MispChannel
from services.notifications.channel_types.pagerduty import PagerDutyChannel
from services.notifications.channel_types.slack import SlackChannel
from services.notifications.channel_types.slack_bot import SlackBotChannel
from services.notifications.channel_types.syslog import SyslogChannel
from services.notifications.channel_types.teams import TeamsChannel
from services.notifications.channel_types.telegram import TelegramChannel
from services.notifications.channel_types.thehive import TheHiveChannel
from services.notifications.channel_types.webhook import WebhookChannel
from shared.errors import InvalidInput
from shared.plugins import load_plugins

GROUP: Final = "sentineliq.channels"
"""Entry points of this group are classes that implement `ChannelType`."""

_BUILT_IN: Final[tuple[ChannelType[Any], ...]] = (
    WebhookChannel(),
    InboxChannel(),
    EmailChannel(),
    SlackChannel(),
    SlackBotChannel(),
    TeamsChannel(),
    DiscordChannel(),
    TelegramChannel(),
    MattermostChannel(),
    PagerDutyChannel(),
    JsmChannel(),
    JiraChannel(),
    TheHiveChannel(),
    IrisChannel(),
    MispChannel(),
    KafkaChannel(),
    AppriseChannel(),
    SyslogChannel(),
    FileChannel(),
    LogChannel(),
)


@cache
def channel_types() -> dict[str, ChannelType[Any]]:
    """All channel types by name: the built-in ones, then those of installed packages."""
    built_in: dict[str, ChannelType[Any]] = {kind.name: kind for kind in _BUILT_IN}
    return built_in | load_plugins(GROUP, built_in)


def channel_type_named(name: str) -> ChannelType[Any]:
    """Return the channel type of that name.

    Raises:
        InvalidInput: there is none; the message lists the names.
    """
    kind = channel_types().get(name)
    if kind is None:
        names = ", ".join(sorted(channel_types()))
        raise InvalidInput(
            f"There is no kind of channel named {name}; there are {names}.", field="kind"
        )
    return kind
