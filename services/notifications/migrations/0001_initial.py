"""Channels, rules and deliveries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.database import PLATFORM
from shared.migrations import create_infrastructure, protect

revision = "notifications_0001"
down_revision = None

_SCHEMA = "notifications"
_WORDS = sa.ARRAY(sa.Text)
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_infrastructure(_SCHEMA)
    _channel()
    _rule()
    _delivery()
    _version()
    for table in ("channel", "rule", "delivery", "rule_version"):
        protect(table, _SCHEMA)
        _hide_public(table)


def _channel() -> None:
    op.create_table(
        "channel",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("config", JSONB, nullable=False),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.Text),
        *_stamps(),
        sa.UniqueConstraint("tenant", "name", name="channel_name"),
        schema=_SCHEMA,
    )


def _rule() -> None:
    op.create_table(
        "rule",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("kinds", _WORDS, nullable=False),
        sa.Column("types", _WORDS, nullable=False),
        sa.Column("min_score", sa.SmallInteger),
        sa.Column("sources", _WORDS, nullable=False),
        sa.Column("tags", _WORDS, nullable=False),
        sa.Column("channel_ids", sa.ARRAY(sa.Uuid), nullable=False),
        *_stamps(),
        sa.UniqueConstraint("tenant", "name", name="rule_name"),
        schema=_SCHEMA,
    )


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("rule_id", sa.Uuid, nullable=False),
        sa.Column("channel_id", sa.Uuid, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="pending"),
        sa.Column("matches", JSONB, nullable=False),
        sa.Column("match_count", sa.Integer, nullable=False),
        sa.Column("attempts", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("next_attempt_at", _TIME, server_default=sa.func.now()),
        sa.Column("lease_until", _TIME),
        sa.Column("last_error", JSONB),
        sa.Column("response_status", sa.SmallInteger),
        sa.Column("event_at", _TIME, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("finished_at", _TIME),
        sa.UniqueConstraint("rule_id", "channel_id", "event_id", name="delivery_once"),
        sa.CheckConstraint(
            "state IN ('pending', 'delivering', 'delivered', 'failed')", name="delivery_state"
        ),
        schema=_SCHEMA,
    )
    # When it may be taken: at its next attempt, or when the lease of a lost worker ends.
    op.execute(
        f"CREATE INDEX delivery_due ON {_SCHEMA}.delivery (coalesce(lease_until, next_attempt_at)) "
        "WHERE state IN ('pending', 'delivering')"
    )
    op.create_index("delivery_newest", "delivery", ["tenant", "id"], schema=_SCHEMA)


def _version() -> None:
    """Add a number per tenant that grows with every committed change of rules and channels.

    It is one row: writers of one tenant wait for each other, and no change hides behind a later
    commit, which `max(updated_at)` cannot promise.
    """
    op.create_table(
        "rule_version",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        schema=_SCHEMA,
    )
    op.execute(
        "CREATE FUNCTION notifications.grow_rule_version() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN "
        "INSERT INTO notifications.rule_version AS mine (tenant, version) VALUES "
        "(coalesce(NEW.tenant, OLD.tenant), 1) "
        "ON CONFLICT (tenant) DO UPDATE SET version = mine.version + 1; RETURN NULL; END $$"
    )
    for table in ("rule", "channel"):
        op.execute(
            f"CREATE TRIGGER grow_rule_version AFTER INSERT OR UPDATE OR DELETE ON "
            f"{_SCHEMA}.{table} "
            f"FOR EACH ROW EXECUTE FUNCTION {_SCHEMA}.grow_rule_version()"
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
