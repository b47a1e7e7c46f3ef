"""The health of feeds as pages show it. No I/O."""

from collections.abc import Iterable
from typing import Any, Final

UNREAD: Final = "never-fetched"
"""No document of the feed has been read to its end: there is nothing that could be healthy."""


def shown_health(feed: Any) -> str:
    """The health of a feed for people: one of which nothing was read yet is not healthy."""
    is_unread = feed["health"] == "healthy" and not feed.get("was_read", True)
    return UNREAD if is_unread and feed.get("url") else str(feed["health"])


def with_shown_health(feeds: Iterable[Any]) -> list[Any]:
    """Feeds with the health that pages show."""
    return [{**feed, "health": shown_health(feed)} for feed in feeds]
