"""Groups of matches, held deliveries, attempts, silences, digests, watchlists and pauses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import PLATFORM
from shared.migrations import protect

revision = "notifications_0015"
down_revision = "notifications_0014"

_SCHEMA = "notifications"
_TIME = sa.DateTime(timezone=True)
_IDS = sa.ARRAY(sa.Uuid)
_TEXTS = sa.ARRAY(sa.Text)


def upgrade() -> None:
    """Add what is new; rules of before go on notifying of each event by itself."""
    _extend_rules()
    _extend_deliveries()
    _create_groups()
    _create_attempts()
    _create_silences()
    _create_digests()
    _create_watchlists()
    _create_channel_tables()
    for table in (
        "match_group",
        "group_batch",
        "delivery_attempt",
        "silence",
        "digest",
        "watchlist",
        "watchlist_entry",
        "channel_health",
        "quiet_hours",
    ):
        protect(table, _SCHEMA)
        _hide_public(table)
    for table in ("silence", "digest", "watchlist", "quiet_hours"):
        op.execute(
            f"CREATE TRIGGER grow_rule_version AFTER INSERT OR UPDATE OR DELETE ON "
            f"{_SCHEMA}.{table} FOR EACH ROW EXECUTE FUNCTION {_SCHEMA}.grow_rule_version()"
        )


def _extend_rules() -> None:
    op.execute(
        f"ALTER TABLE {_SCHEMA}.rule "
        "ADD COLUMN group_by text[] NOT NULL DEFAULT '{event}', "
        "ADD COLUMN update_seconds integer NOT NULL DEFAULT 300, "
        "ADD COLUMN max_groups integer NOT NULL DEFAULT 20, "
        "ADD COLUMN severity text NOT NULL DEFAULT 'medium', "
        "ADD COLUMN digest_id uuid, "
        "ADD COLUMN escalation jsonb NOT NULL DEFAULT '[]'"
    )


def _extend_deliveries() -> None:
    op.execute(
        f"ALTER TABLE {_SCHEMA}.delivery "
        "ADD COLUMN group_id uuid, "
        "ADD COLUMN window_number integer NOT NULL DEFAULT 0, "
        "ADD COLUMN kind text NOT NULL DEFAULT 'open', "
        "ADD COLUMN total_count bigint, "
        "ADD COLUMN severity text NOT NULL DEFAULT 'medium', "
        "ADD COLUMN held_until timestamp with time zone, "
        "ADD COLUMN held_by text, "
        "ADD COLUMN summary_id uuid, "
        "ADD COLUMN labels jsonb NOT NULL DEFAULT '{}', "
        "ADD COLUMN reason text, "
        "ADD COLUMN due_at timestamp with time zone, "
        "ADD COLUMN receipt text, "
        "ADD COLUMN is_outcome_unknown boolean NOT NULL DEFAULT false, "
        "ADD COLUMN is_maybe_repeated boolean NOT NULL DEFAULT false, "
        "ADD COLUMN replay_of uuid"
    )
    op.execute(f"ALTER TABLE {_SCHEMA}.delivery DROP CONSTRAINT delivery_state")
    op.execute(
        f"ALTER TABLE {_SCHEMA}.delivery ADD CONSTRAINT delivery_state CHECK (state IN "
        "('pending', 'delivering', 'delivered', 'failed', 'held', 'silenced')) NOT VALID"
    )


def _create_groups() -> None:
    op.create_table(
        "match_group",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("rule_id", sa.Uuid, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("channel_ids", _IDS, nullable=False),
        sa.Column("update_seconds", sa.Integer, nullable=False),
        sa.Column("silence_id", sa.Uuid),
        sa.Column("digest_id", sa.Uuid),
        sa.Column("window_number", sa.Integer, nullable=False, server_default="0"),
        sa.Column("window_ends_at", _TIME, nullable=False),
        sa.Column("match_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("last_match_at", _TIME),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("closed_at", _TIME),
        sa.Column("close_reason", sa.Text),
        sa.Column("closing_reason", sa.Text),
        sa.Column("acknowledged_at", _TIME),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("escalation", JSONB, nullable=False, server_default="[]"),
        sa.Column("escalation_step", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("escalates_at", _TIME),
        schema=_SCHEMA,
    )
    is_open = sa.text("closed_at IS NULL")
    for name, columns, where, unique in (
        ("match_group_open", ["rule_id", "key"], is_open, True),
        ("match_group_due", ["window_ends_at"], is_open, False),
        ("match_group_newest", ["tenant", "id"], None, False),
    ):
        op.create_index(
            name, "match_group", columns, schema=_SCHEMA, unique=unique, postgresql_where=where
        )
    # By hash: a value may be longer than an entry of the other kind of index.
    op.create_index(
        "match_group_subject",
        "match_group",
        ["subject"],
        schema=_SCHEMA,
        postgresql_using="hash",
        postgresql_where=is_open,
    )
    op.create_index(
        "match_group_escalation",
        "match_group",
        ["escalates_at"],
        schema=_SCHEMA,
        postgresql_where=sa.text("escalates_at IS NOT NULL"),
    )
    op.create_table(
        "group_batch",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("group_id", sa.Uuid, nullable=False),
        sa.Column("window_number", sa.Integer),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("matches", JSONB, nullable=False),
        sa.Column("match_count", sa.Integer, nullable=False),
        sa.Column("event_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("group_id", "event_id", "key", name="group_batch_once"),
        schema=_SCHEMA,
    )
    op.create_index(
        "group_batch_waiting",
        "group_batch",
        ["group_id"],
        schema=_SCHEMA,
        postgresql_where=sa.text("window_number IS NULL"),
    )
    op.create_index("group_batch_age", "group_batch", ["created_at"], schema=_SCHEMA)


def _create_attempts() -> None:
    op.create_table(
        "delivery_attempt",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("delivery_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.SmallInteger, nullable=False),
        sa.Column("attempted_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("response_status", sa.SmallInteger),
        sa.Column("answer", sa.Text),
        sa.Column("error", JSONB),
        schema=_SCHEMA,
    )
    op.create_index(
        "attempt_of_delivery", "delivery_attempt", ["delivery_id", "id"], schema=_SCHEMA
    )
    op.create_index("attempt_age", "delivery_attempt", ["attempted_at"], schema=_SCHEMA)


def _create_silences() -> None:
    op.create_table(
        "silence",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("starts_at", _TIME, nullable=False),
        sa.Column("ends_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("ended_by", sa.Text),
        schema=_SCHEMA,
    )
    op.create_index("silence_newest", "silence", ["tenant", "id"], schema=_SCHEMA)
    op.create_index("silence_end", "silence", ["ends_at"], schema=_SCHEMA)


def _create_digests() -> None:
    op.create_table(
        "digest",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("channel_ids", _IDS, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("next_due_at", _TIME, nullable=False),
        sa.Column("last_due_at", _TIME),
        *_stamps(),
        sa.UniqueConstraint("tenant", "name", name="digest_name"),
        schema=_SCHEMA,
    )
    op.create_index("digest_due", "digest", ["next_due_at"], schema=_SCHEMA)


def _create_watchlists() -> None:
    op.create_table(
        "watchlist",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("entry_count", sa.Integer, nullable=False, server_default="0"),
        sa.Column("version", sa.BigInteger, nullable=False, server_default="0"),
        *_stamps(),
        sa.UniqueConstraint("tenant", "name", name="watchlist_name"),
        schema=_SCHEMA,
    )
    op.create_table(
        "watchlist_entry",
        sa.Column("watchlist_id", sa.Uuid, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.ForeignKeyConstraint(["watchlist_id"], [f"{_SCHEMA}.watchlist.id"], ondelete="CASCADE"),
        schema=_SCHEMA,
    )


def _create_channel_tables() -> None:
    op.create_table(
        "channel_health",
        sa.Column("channel_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failing_since", _TIME),
        sa.Column("paused_at", _TIME),
        sa.Column("probe_at", _TIME),
        sa.Column("probes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error", JSONB),
        schema=_SCHEMA,
    )
    op.create_table(
        "quiet_hours",
        sa.Column("channel_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("periods", JSONB, nullable=False),
        sa.Column("passing", _TEXTS, nullable=False),
        *_stamps(),
        sa.ForeignKeyConstraint(["channel_id"], [f"{_SCHEMA}.channel.id"], ondelete="CASCADE"),
        schema=_SCHEMA,
    )


def _hide_public(table: str) -> None:
    """What the operators watch for, and where they are told, is not for every tenant to read."""
    current = "(SELECT current_setting('sentineliq.tenant', true))"
    op.execute(
        f"ALTER POLICY reads ON {_SCHEMA}.{table} USING (tenant = {current} OR {current} = "
        f"'{PLATFORM}')"
    )


def _stamps() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    ]
