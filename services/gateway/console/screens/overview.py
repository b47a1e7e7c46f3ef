"""Overview: what needs attention, what is new, and what an empty installation does first."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.feed_states import with_shown_health
from services.gateway.console.visits import ConsoleVisit, Screen

_TREND_DAYS: Final = 7
_SHOWN: Final = 8


async def show_overview(visit: ConsoleVisit) -> Response:
    """All panels side by side: an API that is away takes only its own."""
    since = (datetime.now(UTC) - timedelta(days=_TREND_DAYS)).isoformat()
    feeds, groups, trends, failed, runs, releases = await asyncio.gather(
        visit.get("feeds", "/v1/feeds", limit=1000),
        visit.get("notifications", "/v1/groups", open="true", limit=_SHOWN),
        visit.get("observables", "/v1/trends", since=since, limit=_SHOWN),
        visit.get("notifications", "/v1/deliveries", state="failed", limit=_SHOWN),
        visit.get("feeds", "/v1/runs", limit=_SHOWN),
        visit.get("mitre", "/v1/releases"),
    )
    ailing = [feed for feed in with_shown_health(feeds.items) if _needs_attention(feed)]
    return visit.page(
        "overview.html",
        feeds=feeds,
        ailing=ailing[:_SHOWN],
        ailing_count=len(ailing),
        listed=sum(feed["listed"] for feed in feeds.items),
        groups=groups,
        trends=trends,
        failed=failed,
        runs=runs,
        releases=releases,
    )


def _needs_attention(feed: Any) -> bool:
    is_fine = feed["health"] == "healthy"
    return bool(feed["enabled"]) and (not is_fine or feed["held"] is not None)


SCREENS: Final = [Screen("GET", "/", show_overview)]
