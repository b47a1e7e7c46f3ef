"""Quotas of the scheduler."""

from collections.abc import Callable

from starlette.testclient import TestClient

from services.scheduler.quotas.limits import SCHEDULES
from shared.database import PLATFORM, database
from shared.quotas import set_limit


def test_schedules_beyond_the_quota_are_refused(client_for: Callable[..., TestClient]) -> None:
    with database("scheduler").transaction(PLATFORM) as session:
        set_limit(session, "small", SCHEDULES, 1, "ops")
    api = client_for("scheduler", tenant="small")
    body = {
        "name": "first",
        "task": "feeds.tasks.start_feed",
        "args": ["4c1c6f2e-7f0a-4d0c-9a52-1f1d3f0d2a11"],
        "every_seconds": 3600,
    }
    created = api.post("/v1/schedules", json=body)
    assert created.status_code == 201, created.text
    refused = api.post("/v1/schedules", json=body | {"name": "second"})
    assert (refused.status_code, refused.json()["quota"]) == (403, "schedules")
