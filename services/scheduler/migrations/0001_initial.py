"""Schedules, their firings, and the Beats that fire them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import create_infrastructure, protect

revision = "scheduler_0001"
down_revision = None

SCHEMA = "scheduler"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the first version of the schema."""
    create_infrastructure(SCHEMA)
    _create_schedule()
    _create_fire()
    op.create_table(
        "beat",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("last_tick_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("last_fired_at", _TIME),
        schema=SCHEMA,
    )
    for table in ("schedule", "fire", "beat"):
        protect(table, SCHEMA)


def _create_schedule() -> None:
    op.create_table(
        "schedule",
        # The id first: every look-up names it, and the unique name must never seem the better one.
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("args", pg.JSONB, nullable=False),
        sa.Column("cron", sa.Text),
        sa.Column("every_seconds", sa.Integer),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("jitter_seconds", sa.Integer, nullable=False),
        sa.Column("catch_up", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("next_due_at", _TIME),
        sa.Column("fires_at", _TIME),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_by", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant", "name", name="schedule_name"),
        sa.CheckConstraint("num_nonnulls(cron, every_seconds) = 1", name="schedule_one_timing"),
        sa.CheckConstraint("every_seconds > 0 AND jitter_seconds >= 0", name="schedule_positive"),
        sa.CheckConstraint("catch_up IN ('skip', 'once')", name="schedule_catch_up"),
        sa.CheckConstraint("owner IN ('code', 'api')", name="schedule_owner"),
        # What is disabled is never due: the claim asks for one index range and nothing else.
        sa.CheckConstraint(
            "enabled = (fires_at IS NOT NULL) AND enabled = (next_due_at IS NOT NULL)",
            name="schedule_due_if_enabled",
        ),
        schema=SCHEMA,
    )
    op.create_index("schedule_fires_at", "schedule", ["fires_at"], schema=SCHEMA)


def _create_fire() -> None:
    op.create_table(
        "fire",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("schedule_id", pg.UUID, primary_key=True),
        sa.Column("due_at", _TIME, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("fired_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("sent_at", _TIME),
        sa.Column("message_id", pg.UUID, nullable=False),
        sa.CheckConstraint("state IN ('pending', 'sent', 'missed')", name="fire_state"),
        sa.ForeignKeyConstraint(
            ["schedule_id", "tenant"],
            [f"{SCHEMA}.schedule.id", f"{SCHEMA}.schedule.tenant"],
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "fire_pending",
        "fire",
        ["fired_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'pending'"),
    )
    # Firings are appended in the order of time and pruned in that order once a day.
    op.create_index("fire_age", "fire", ["fired_at"], schema=SCHEMA, postgresql_using="brin")
