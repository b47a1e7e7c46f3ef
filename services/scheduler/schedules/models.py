"""The tables of schedules and of their firings."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA = sa.MetaData()
_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

SCHEDULE = sa.Table(
    "schedule",
    _METADATA,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("task", sa.Text),
    sa.Column("queue", sa.Text),
    sa.Column("args", pg.JSONB),
    sa.Column("cron", sa.Text),
    sa.Column("every_seconds", sa.Integer),
    sa.Column("timezone", sa.Text),
    sa.Column("jitter_seconds", sa.Integer),
    sa.Column("catch_up", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("disabled_reason", sa.Text),
    sa.Column("next_due_at", _TIME),
    sa.Column("fires_at", _TIME),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
    sa.Column("updated_at", _TIME),
    sa.Column("updated_by", sa.Text),
)
FIRE = sa.Table(
    "fire",
    _METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("schedule_id", _ID, primary_key=True),
    sa.Column("due_at", _TIME, primary_key=True),
    sa.Column("state", sa.Text),
    sa.Column("actor", sa.Text),
    sa.Column("fired_at", _TIME),
    sa.Column("sent_at", _TIME),
    sa.Column("message_id", _ID),
    sa.Column("confirm_by", _TIME),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("run_id", _ID),
)
