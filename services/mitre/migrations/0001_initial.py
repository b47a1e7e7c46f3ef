"""ATT&CK releases, their objects and techniques, and the loads that bring them in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import create_infrastructure, protect

revision = "mitre_0001"
down_revision = None

SCHEMA = "mitre"
_TIME = sa.DateTime(timezone=True)
_SEARCH = (
    "setweight(to_tsvector('english', attack_id || ' ' || name), 'A') || "
    "setweight(to_tsvector('english', description), 'C')"
)


def upgrade() -> None:
    """Create the first version of the schema."""
    create_infrastructure(SCHEMA)
    _create_object()
    _create_technique()
    _create_release()
    _create_load()
    for table in ("object", "technique", "release", "source", "load"):
        protect(table, SCHEMA)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _create_object() -> None:
    op.create_table(
        "object",
        _id(),
        _text("tenant"),
        _text("stix_id"),
        _text("type"),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("body", pg.JSON, nullable=False),
        sa.UniqueConstraint("stix_id", "digest", "tenant", name="object_content"),
        schema=SCHEMA,
    )


def _create_technique() -> None:
    words = pg.ARRAY(sa.Text)
    op.create_table(
        "technique",
        _id(),
        _text("tenant"),
        _text("domain"),
        _text("attack_id"),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("current", sa.Boolean, nullable=False, server_default=sa.false()),
        _text("stix_id"),
        _text("name"),
        _text("description"),
        sa.Column("tactics", words, nullable=False),
        sa.Column("tactic_ids", words, nullable=False),
        sa.Column("platforms", words, nullable=False),
        _text("parent", nullable=True),
        sa.Column("revoked", sa.Boolean, nullable=False),
        _text("revoked_by", nullable=True),
        sa.Column("deprecated", sa.Boolean, nullable=False),
        _text("url", nullable=True),
        _text("own_version", nullable=True),
        sa.Column("search", pg.TSVECTOR, sa.Computed(_SEARCH, persisted=True), nullable=False),
        sa.UniqueConstraint("attack_id", "domain", "digest", "tenant", name="technique_content"),
        schema=SCHEMA,
    )
    # Text search reads the current rows only, about a thousand. There is no GIN index: under
    # row-level security it would not be used, since text search operators are not leakproof.
    op.create_index(
        "technique_current",
        "technique",
        ["attack_id", "domain", "tenant"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("current"),
    )


def _create_release() -> None:
    op.create_table(
        "release",
        _id(),
        _text("tenant"),
        _text("domain"),
        _text("version"),
        sa.Column("revision", sa.Integer, nullable=False),
        _text("name"),
        _text("bundle_id"),
        _text("stix_version"),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("objects", pg.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("techniques", pg.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("counts", pg.JSONB, nullable=False),
        sa.Column("diff", pg.JSONB, nullable=False),
        _text("previous", nullable=True),
        sa.Column("current", sa.Boolean, nullable=False),
        sa.Column("announced", sa.Boolean, nullable=False),
        sa.Column("loaded_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("domain", "version", "revision", "tenant", name="release_version"),
        sa.UniqueConstraint("domain", "version", "digest", "tenant", name="release_content"),
        schema=SCHEMA,
    )
    op.create_index(
        "release_current",
        "release",
        ["domain", "tenant"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("current"),
    )


def _create_load() -> None:
    op.create_table(
        "source",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("domain", sa.Text, primary_key=True),
        _text("url"),
        sa.Column("enabled", sa.Boolean, nullable=False),
        _text("etag", nullable=True),
        _text("last_modified", nullable=True),
        sa.Column("checked_at", _TIME),
        schema=SCHEMA,
    )
    op.create_table(
        "load",
        sa.Column("id", pg.UUID, primary_key=True),
        _text("tenant"),
        _text("domain", nullable=True),
        _text("version", nullable=True),
        _text("name"),
        _text("url", nullable=True),
        _text("path", nullable=True),
        sa.Column("refresh", sa.Boolean, nullable=False),
        sa.Column("activate", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="queued"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column(
            "hint_at",
            _TIME,
            nullable=False,
            server_default=sa.text("now() + interval '10 seconds'"),
        ),
        sa.Column("lease_until", _TIME),
        sa.Column("error", pg.JSONB),
        sa.Column("result", pg.JSONB),
        _text("requested_by"),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'unchanged', 'failed')", name="load_state"
        ),
        sa.CheckConstraint("(url IS NULL) <> (path IS NULL)", name="load_origin"),
        schema=SCHEMA,
    )
    op.create_index(
        "load_open",
        "load",
        ["hint_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
