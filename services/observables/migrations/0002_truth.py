"""Add history, sightings, relations, enrichments, due times of scores and search keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from services.observables.store.search_keys import key_of, prefix_of
from shared.migrations import protect

revision = "observables_0002"
down_revision = "observables_0001"

SCHEMA = "observables"
_TIME = sa.DateTime(timezone=True)
_NOW = sa.func.now()


def upgrade() -> None:
    """Add what is missing to the tables that stand, then the new ones."""
    _source()
    _observable()
    _assertion()
    _sighting()
    _relation()
    for table in ("source_past", "assertion_past", "context_past", "sighting", "relation"):
        protect(table, SCHEMA)


def _source() -> None:
    op.add_column(
        "source", sa.Column("kind", sa.Text, nullable=False, server_default="stream"), schema=SCHEMA
    )
    op.add_column("source", sa.Column("confirmed_at", _TIME), schema=SCHEMA)
    op.add_column(
        "source",
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "source_past",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("reliability", sa.SmallInteger, nullable=False),
        sa.Column("tlp", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("confirmed_at", _TIME),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("recorded_until", _TIME, primary_key=True),
        schema=SCHEMA,
    )


def _observable() -> None:
    key = sa.Column("key", sa.Text(collation="C"), nullable=False, server_default="")
    op.add_column("observable", key, schema=SCHEMA)
    op.add_column(
        "observable",
        sa.Column("context", pg.JSONB, nullable=False, server_default="{}"),
        schema=SCHEMA,
    )
    op.add_column("observable", sa.Column("due_at", _TIME), schema=SCHEMA)
    op.add_column("observable", sa.Column("prefix", sa.SmallInteger), schema=SCHEMA)
    _fill_keys(op.get_bind())
    op.alter_column("observable", "key", server_default=None, schema=SCHEMA)
    op.create_index("observable_key", "observable", ["tenant", "key"], schema=SCHEMA)
    op.create_index(
        "observable_due",
        "observable",
        ["due_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "observable_network",
        "observable",
        ["tenant", "type", "prefix"],
        schema=SCHEMA,
        postgresql_where=sa.text("prefix IS NOT NULL"),
    )
    op.create_table(
        "context_past",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("observable_id", pg.UUID, primary_key=True),
        sa.Column("recorded_until", _TIME, primary_key=True),
        sa.Column("context", pg.JSONB, nullable=False),
        schema=SCHEMA,
    )


def _fill_keys(connection: sa.Connection) -> None:
    """Fill the keys of existing rows; every score is due, since none was ever computed again."""
    rows = connection.execute(
        sa.text(f"SELECT tenant, id, type, value FROM {SCHEMA}.observable")
    ).all()
    change = sa.text(
        f"UPDATE {SCHEMA}.observable SET key = :key, due_at = now(), prefix = :prefix "
        "WHERE tenant = :tenant AND id = :id"
    )
    for start in range(0, len(rows), 5_000):
        changes = [
            {
                "tenant": row.tenant,
                "id": row.id,
                "key": key_of(row.type, row.value),
                "prefix": prefix_of(row.type, row.value),
            }
            for row in rows[start : start + 5_000]
        ]
        connection.execute(change, changes)


def _assertion() -> None:
    for column in (
        sa.Column("attack", pg.ARRAY(sa.Text), nullable=False, server_default="{}"),
        sa.Column("observed_at", _TIME),
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
    ):
        op.add_column("assertion", column, schema=SCHEMA)
    op.execute(f"UPDATE {SCHEMA}.assertion SET observed_at = last_seen")  # a constant
    op.alter_column("assertion", "observed_at", nullable=False, schema=SCHEMA)
    op.execute(
        f"CREATE TABLE {SCHEMA}.assertion_past "
        f"(LIKE {SCHEMA}.assertion, recorded_until timestamptz NOT NULL, "
        "PRIMARY KEY (tenant, observable_id, source_id, recorded_until))"
    )


def _sighting() -> None:
    op.create_table(
        "sighting",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("observable_id", pg.UUID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("last_seen", _TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
        schema=SCHEMA,
    )
    op.create_index("sighting_observable", "sighting", ["tenant", "observable_id"], schema=SCHEMA)


def _relation() -> None:
    op.create_table(
        "relation",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("from_id", pg.UUID, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("to_id", pg.UUID, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.Column("last_seen", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
        schema=SCHEMA,
    )
    op.create_index("relation_to", "relation", ["tenant", "to_id"], schema=SCHEMA)
