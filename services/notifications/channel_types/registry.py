"""Which kinds of channels there are."""

from functools import cache
from typing import Any, Final

from services.notifications.channel_types.base import ChannelKind
from services.notifications.channel_types.log import Log
from services.notifications.channel_types.webhook import Webhook
from shared.errors import InvalidInput
from shared.plugins import load_plugins

_GROUP: Final = "sentineliq.channels"


@cache
def kinds() -> dict[str, ChannelKind[Any]]:
    """All kinds by name: ours, and those of installed packages under names that are not taken."""
    found: dict[str, ChannelKind[Any]] = {kind.name: kind for kind in (Webhook(), Log())}
    return found | load_plugins(_GROUP, found)


def kind_named(name: str) -> ChannelKind[Any]:
    """A kind of channel.

    Raises:
        InvalidInput: there is none of that name.
    """
    try:
        return kinds()[name]
    except KeyError:
        known = ", ".join(sorted(kinds()))
        raise InvalidInput(
            f"There is no kind of channel named {name}; there are {known}.", field="body.kind"
        ) from None
