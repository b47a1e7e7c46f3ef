"""The retention of the scheduler's tables on the real database."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa

# A task as a module's attribute would be bound, and read the settings, while pytest collects.
from services.scheduler.retention import tasks
from shared.database import Database

FIRINGS = (
    "INSERT INTO fire "
    "SELECT 'acme', s.id, now() - d, state, 'system', now() - d, NULL, gen_random_uuid() "
    "FROM schedule s, (VALUES (interval '31 days', 'sent'), ('32 days', 'missed'), "
    "('33 days', 'pending'), ('29 days', 'sent')) v (d, state)"
)


def test_old_firings_are_deleted_unless_they_are_pending(
    own: Database, add: Callable[..., list[UUID]], query: Callable[..., list[sa.Row[Any]]]
) -> None:
    add(late=-3600)
    query(FIRINGS)
    report = tasks.prune_tables()
    assert report["status"] == "ok"
    assert report["pruned"]["fire"] == 2
    assert sorted(row.state for row in query("SELECT state FROM fire")) == ["pending", "sent"]


def test_the_task_of_firings_alone_has_its_own_days(
    own: Database, add: Callable[..., list[UUID]], query: Callable[..., list[sa.Row[Any]]]
) -> None:
    add(late=-3600)
    query(FIRINGS)
    assert tasks.prune_fires() == {"status": "ok", "pruned": 2}
    assert tasks.prune_fires(days=28) == {"status": "ok", "pruned": 1}
