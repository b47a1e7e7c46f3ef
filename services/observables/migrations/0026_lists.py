"""Lists of observables for devices and tools: members, changes, consumers, files."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0026"
down_revision = "observables_0025"

SCHEMA = "observables"
NOW = sa.func.now()


def _time(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), **options)


def _text(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False, **options)


def upgrade() -> None:
    """Add the tables; there are no lists at first."""
    _create_lists()
    _create_entries()
    _create_changes()
    _create_protected_values()
    _create_consumers()
    _create_files()
    for table in (
        "dissemination_list",
        "list_entry",
        "list_change",
        "protected_value",
        "list_consumer",
        "list_poll",
        "list_file",
        "list_content",
    ):
        protect(table, SCHEMA)


def _create_lists() -> None:
    op.create_table(
        "dissemination_list",
        _text("tenant"),
        sa.Column("id", pg.UUID, primary_key=True),
        _text("name"),
        _text("description", server_default=""),
        _text("filter"),
        _text("order_by", server_default="score"),
        sa.Column("capacity", sa.Integer),
        _text("profile", server_default="standard"),
        _text("tlp_ceiling", server_default="green"),
        sa.Column("grace_seconds", sa.Integer, nullable=False, server_default="0"),
        sa.Column("max_growth", sa.Integer, server_default="100"),
        sa.Column("max_shrink", sa.Integer, server_default="50"),
        sa.Column("format_options", pg.JSONB, nullable=False, server_default="{}"),
        sa.Column("is_collection", sa.Boolean, nullable=False, server_default=sa.false()),
        _text("state", server_default="active"),
        _text("held_reason", server_default=""),
        _time("held_at"),
        sa.Column("last_change_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("published_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("members", sa.Integer, nullable=False, server_default="0"),
        sa.Column("baseline", sa.Integer, nullable=False, server_default="0"),
        _time("baseline_at", nullable=False, server_default=NOW),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("filled_revision", sa.BigInteger, nullable=False, server_default="0"),
        _text("fill_error", server_default=""),
        _time("created_at", nullable=False, server_default=NOW),
        _time("updated_at", nullable=False, server_default=NOW),
        _text("created_by"),
        sa.UniqueConstraint("tenant", "name", name="dissemination_list_name"),
        schema=SCHEMA,
    )


def _list_id() -> sa.Column[Any]:
    list_key = sa.ForeignKey(f"{SCHEMA}.dissemination_list.id", ondelete="CASCADE")
    return sa.Column("list_id", pg.UUID, list_key, primary_key=True)


def _create_entries() -> None:
    op.create_table(
        "list_entry",
        _text("tenant"),
        _list_id(),
        sa.Column("observable_id", pg.UUID, primary_key=True),
        _text("type"),
        _text("value"),
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("refused_by", sa.Text),
        sa.Column("number", sa.BigInteger, nullable=False, server_default="0"),
        _time("joined_at", nullable=False),
        _time("leaves_at"),
        sa.Column("is_dated", sa.Boolean, nullable=False, server_default=sa.false()),
        schema=SCHEMA,
    )
    for name, columns, rows in (
        ("leaving", ["leaves_at"], "leaves_at IS NOT NULL"),
        ("undated", ["list_id"], "NOT is_dated AND refused_by IS NULL"),
        ("refused", ["list_id", "refused_by"], "refused_by IS NOT NULL"),
    ):
        op.create_index(
            f"list_entry_{name}",
            "list_entry",
            columns,
            schema=SCHEMA,
            postgresql_where=sa.text(rows),
        )


def _create_changes() -> None:
    op.create_table(
        "list_change",
        _text("tenant"),
        _list_id(),
        sa.Column("number", sa.BigInteger, primary_key=True),
        _time("changed_at", nullable=False),
        sa.Column("observable_id", pg.UUID, nullable=False),
        _text("type"),
        _text("value"),
        _text("kind"),
        sa.Column("score", sa.SmallInteger, nullable=False),
        _text("reason"),
        schema=SCHEMA,
    )
    op.create_index(
        "list_change_observable",
        "list_change",
        ["observable_id", "list_id", "number"],
        schema=SCHEMA,
    )
    op.create_index("list_change_time", "list_change", ["list_id", "changed_at"], schema=SCHEMA)


def _create_protected_values() -> None:
    op.create_table(
        "protected_value",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        _text("note", server_default=""),
        _time("created_at", nullable=False, server_default=NOW),
        _text("created_by"),
        schema=SCHEMA,
    )


def _create_consumers() -> None:
    op.create_table(
        "list_consumer",
        _text("tenant"),
        sa.Column("id", pg.UUID, primary_key=True),
        _text("name"),
        sa.Column("list_ids", pg.ARRAY(pg.UUID), nullable=False),
        sa.Column("token_digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("networks", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("silent_after_seconds", sa.Integer, nullable=False, server_default="86400"),
        _time("silent_since"),
        _time("created_at", nullable=False, server_default=NOW),
        _text("created_by"),
        _time("revoked_at"),
        sa.UniqueConstraint("tenant", "name", name="list_consumer_name"),
        schema=SCHEMA,
    )
    consumer_key = sa.ForeignKey(f"{SCHEMA}.list_consumer.id", ondelete="CASCADE")
    op.create_table(
        "list_poll",
        _text("tenant"),
        sa.Column("consumer_id", pg.UUID, consumer_key, primary_key=True),
        _list_id(),
        sa.Column("format", sa.Text, primary_key=True),
        _time("polled_at", nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        _text("address", server_default=""),
        _text("agent", server_default=""),
        schema=SCHEMA,
    )


def _create_files() -> None:
    op.create_table(
        "list_file",
        _text("tenant"),
        _list_id(),
        sa.Column("format", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("left_out", pg.JSONB, nullable=False, server_default="{}"),
        _time("changed_at", nullable=False),
        _time("wanted_at", nullable=False, server_default=NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "list_content",
        _text("tenant"),
        _list_id(),
        sa.Column("format", sa.Text, primary_key=True),
        sa.Column("encoding", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.execute(f"ALTER TABLE {SCHEMA}.list_content ALTER COLUMN content SET STORAGE EXTERNAL")
