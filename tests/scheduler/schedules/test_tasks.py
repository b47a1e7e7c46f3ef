"""The tasks of schedules on the real database."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa

# A task as a module's attribute would be bound, and read the settings, while pytest collects.
from services.scheduler.schedules import tasks
from shared.database import Database


def test_old_firings_are_deleted_unless_they_are_pending(
    own: Database, add: Callable[..., list[UUID]], query: Callable[..., list[sa.Row[Any]]]
):
    add(late=-3600)
    query(
        "INSERT INTO fire "
        "SELECT 'acme', s.id, now() - d, state, 'system', now() - d, NULL, gen_random_uuid() "
        "FROM schedule s, (VALUES (interval '31 days', 'sent'), ('32 days', 'missed'), "
        "('33 days', 'pending'), ('29 days', 'sent')) v (d, state)"
    )
    assert tasks.prune_fires() == {"status": "ok", "pruned": 2}
    assert sorted(row.state for row in query("SELECT state FROM fire")) == ["pending", "sent"]
