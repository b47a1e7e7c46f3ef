"""The kinds of channels by name."""

from functools import cache
from typing import Any, Final

from services.notifications.channel_types.base import ChannelKind
from services.notifications.channel_types.log import LogChannel
from services.notifications.channel_types.webhook import WebhookChannel
from shared.errors import InvalidInput
from shared.plugins import load_plugins

GROUP: Final = "sentineliq.channels"
"""Entry points of this group are classes that implement `ChannelKind`."""

_BUILT_IN: Final[tuple[ChannelKind[Any], ...]] = (WebhookChannel(), LogChannel())


@cache
def kinds() -> dict[str, ChannelKind[Any]]:
    """All kinds by name: the built-in ones, then those of installed packages."""
    built_in: dict[str, ChannelKind[Any]] = {kind.name: kind for kind in _BUILT_IN}
    return built_in | load_plugins(GROUP, built_in)


def kind_named(name: str) -> ChannelKind[Any]:
    """The kind of that name.

    Raises:
        InvalidInput: there is no such kind; the message lists the kinds.
    """
    kind = kinds().get(name)
    if kind is None:
        names = ", ".join(sorted(kinds()))
        raise InvalidInput(
            f"There is no kind of channel named {name}; there are {names}.", field="kind"
        )
    return kind
