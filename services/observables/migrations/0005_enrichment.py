"""Add remote enrichment: answers, jobs, queues, settings, policies, and observables' depth."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0005"
down_revision = "observables_0004"

SCHEMA = "observables"
_TIME = sa.DateTime(timezone=True)
_NOW = sa.func.now()
_OPEN = "state IN ('waiting', 'running')"


def upgrade() -> None:
    """Add the tables of remote enrichment."""
    op.add_column(
        "observable",
        sa.Column("depth", sa.SmallInteger, nullable=False, server_default="0"),
        schema=SCHEMA,
    )
    op.add_column("observable", sa.Column("tlp", sa.Text), schema=SCHEMA)
    _answers()
    _lanes()
    _jobs()
    _requests()
    _settings()
    _policies()
    for table in (
        "enrichment",
        "enrichment_past",
        "enrichment_lane",
        "enrichment_job",
        "enrichment_request",
        "enrichment_request_job",
        "enricher_setting",
        "enrichment_policy",
        "enrichment_policy_use",
    ):
        protect(table, SCHEMA)


def _answers() -> None:
    op.create_table(
        "enrichment",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("observable_id", pg.UUID, primary_key=True),
        sa.Column("enricher", sa.Text, primary_key=True),
        sa.Column("found", sa.Boolean, nullable=False),
        sa.Column("facts", pg.JSONB, nullable=False),
        sa.Column("weights", pg.JSONB, nullable=False),
        sa.Column("related", pg.JSONB, nullable=False),
        sa.Column("obtained_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("counts_until", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("raw", sa.LargeBinary),
        schema=SCHEMA,
    )
    # It is compressed already.
    op.execute(f"ALTER TABLE {SCHEMA}.enrichment ALTER COLUMN raw SET STORAGE EXTERNAL")
    op.create_index(
        "enrichment_raw",
        "enrichment",
        ["obtained_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("raw IS NOT NULL"),
    )
    op.create_table(
        "enrichment_past",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("observable_id", pg.UUID, primary_key=True),
        sa.Column("enricher", sa.Text, primary_key=True),
        sa.Column("found", sa.Boolean, nullable=False),
        sa.Column("facts", pg.JSONB, nullable=False),
        sa.Column("weights", pg.JSONB, nullable=False),
        sa.Column("obtained_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("counts_until", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("recorded_until", _TIME, primary_key=True),
        schema=SCHEMA,
    )


def _lanes() -> None:
    # A lane without a key belongs to the installation: the provider sees one address, whoever asks.
    op.create_table(
        "enrichment_lane",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("enricher", sa.Text, nullable=False),
        sa.Column("key_id", pg.UUID),
        sa.Column("holder", pg.UUID),
        sa.Column("lease_until", _TIME),
        sa.Column("meter", pg.JSONB, nullable=False, server_default="{}"),
        sa.Column("clicks_from", _TIME),
        sa.Column("others_from", _TIME),
        schema=SCHEMA,
    )


def _jobs() -> None:
    op.create_table(
        "enrichment_job",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("observable_id", pg.UUID, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
        sa.Column("enricher", sa.Text, nullable=False),
        sa.Column("lane", pg.UUID, nullable=False),
        sa.Column("priority", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("outcome", sa.Text),
        sa.Column("tlp", sa.Text),
        sa.Column("fresh", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("trial", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("policy", pg.UUID),
        sa.Column("depth", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("attempts", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("taken", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("next_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("holder", pg.UUID),
        sa.Column("reason", pg.JSONB),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("finished_at", _TIME),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'refused', 'failed', 'cancelled')",
            name="enrichment_job_state",
        ),
        schema=SCHEMA,
    )
    job = f"{SCHEMA}.enrichment_job"
    # One open question about a value to a provider, however many ask it.
    op.execute(
        f"CREATE UNIQUE INDEX enrichment_job_open ON {job} (tenant, observable_id, enricher) WHERE "
        f"{_OPEN}"
    )
    op.execute(
        f"CREATE INDEX enrichment_job_turn ON {job} (lane, priority, tenant, next_at, id) WHERE "
        f"state = 'waiting'"
    )
    op.execute(f"CREATE INDEX enrichment_job_due ON {job} (lane, next_at) WHERE {_OPEN}")
    op.execute(f"CREATE INDEX enrichment_job_listed ON {job} (tenant, created_at, id)")
    op.execute(
        f"CREATE INDEX enrichment_job_finished ON {job} (finished_at) WHERE finished_at IS NOT NULL"
    )


def _requests() -> None:
    op.create_table(
        "enrichment_request",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "enrichment_request_job",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "request_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.enrichment_request.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "job_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.enrichment_job.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "enrichment_request_of_job", "enrichment_request_job", ["job_id"], schema=SCHEMA
    )


def _settings() -> None:
    op.create_table(
        "enricher_setting",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("enricher", sa.Text, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False, server_default="true"),
        sa.Column("key_id", pg.UUID),
        sa.Column("sealed_key", sa.LargeBinary),
        sa.Column("max_tlp", sa.Text),
        sa.Column("rate_calls", sa.Integer),
        sa.Column("rate_seconds", sa.Float),
        sa.Column("daily", sa.Integer),
        sa.Column("changed_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("changed_by", sa.Text, nullable=False),
        schema=SCHEMA,
    )


def _policies() -> None:
    texts = pg.ARRAY(sa.Text)
    op.create_table(
        "enrichment_policy",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("enrichers", texts, nullable=False),
        sa.Column("types", texts, nullable=False),
        sa.Column("sources", texts, nullable=False),
        sa.Column("tags", texts, nullable=False),
        sa.Column("min_score", sa.SmallInteger, nullable=False),
        sa.Column("depth", sa.SmallInteger, nullable=False),
        sa.Column("daily_budget", sa.Integer),
        sa.Column("created_at", _TIME, nullable=False, server_default=_NOW),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant", "name", name="enrichment_policy_name"),
        schema=SCHEMA,
    )
    op.create_table(
        "enrichment_policy_use",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "policy_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.enrichment_policy.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("asked", sa.Integer, nullable=False),
        sa.Column("over_budget", sa.Integer, nullable=False),
        schema=SCHEMA,
    )
