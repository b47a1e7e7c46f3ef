"""An error of one feed does not keep the others from being assessed."""

from typing import Any

import pytest
import sqlalchemy as sa

from services.feeds.runs import service
from services.feeds.subscriptions.models import Feed
from shared.database import PLATFORM
from tests.feeds.conftest import Desk


def test_a_feed_that_cannot_be_assessed_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = [
        desk.feed(name=f"feed-{number}", url="https://192.0.2.1/list.txt", every_seconds=60)
        for number in range(3)
    ]
    with desk.own.transaction(PLATFORM) as session:
        # Two days without a run: all are late.
        session.execute(sa.text("UPDATE feed SET created_at = now() - interval '2 days'"))
    update_health = service.update_health

    def update(session: Any, feed: Feed, runs: Any) -> bool:
        changed = update_health(session, feed, runs)
        if feed.name == "feed-1":
            raise ValueError("It cannot be assessed.")
        return changed

    monkeypatch.setattr(service, "update_health", update)
    service.check_health(desk.own)
    states = [desk.client.get(f"/v1/feeds/{feed['id']}").json()["health"] for feed in feeds]
    assert [state["state"] if isinstance(state, dict) else state for state in states] == [
        "late",
        "healthy",
        "late",
    ]
