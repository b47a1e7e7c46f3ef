"""Collections, their objects, and the documents that are posted into them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect

revision = "observables_0027"
down_revision = "observables_0026"

SCHEMA = "observables"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _create_collections()
    _create_objects()
    _create_members()
    _create_posts()


def _create_collections() -> None:
    op.create_table(
        "collection",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=""),
        sa.Column("list_id", pg.UUID),
        sa.Column("is_writable", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("tlp", sa.Text, nullable=False, server_default="amber"),
        sa.Column("has_empty_list", sa.Boolean, nullable=False, server_default="false"),
        sa.Column("last_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("last_added", MOMENT),
        sa.Column("last_share", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("object_count", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("list_cursor", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant", "title", name="collection_title"),
        schema=SCHEMA,
    )
    op.create_index("collection_list", "collection", ["list_id"], schema=SCHEMA)
    protect("collection", SCHEMA)


def _create_objects() -> None:
    """Objects in their order, and by their ids; the last versions by themselves."""
    op.create_table(
        "collection_object",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "collection_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.collection.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("object_id", sa.Text, primary_key=True),
        sa.Column("version", MOMENT, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("date_added", MOMENT, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("spec_version", sa.Text, nullable=False),
        sa.Column("is_first", sa.Boolean, nullable=False),
        sa.Column("is_last", sa.Boolean, nullable=False),
        sa.Column("is_revoked", sa.Boolean, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    places = ["collection_id", "date_added", "number"]
    op.create_index("collection_object_place", "collection_object", places, schema=SCHEMA)
    op.create_index(
        "collection_object_last",
        "collection_object",
        places,
        schema=SCHEMA,
        postgresql_where=sa.text("is_last"),
    )
    protect("collection_object", SCHEMA)


def _create_members() -> None:
    """What a list has in a collection: by observable, the indicator that stands for it now."""
    op.create_table(
        "collection_member",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "collection_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.collection.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("observable_id", pg.UUID, primary_key=True),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("score", sa.SmallInteger, nullable=False),
        sa.Column("marking", sa.Text, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        schema=SCHEMA,
    )
    protect("collection_member", SCHEMA)


def _create_posts() -> None:
    op.create_table(
        "collection_post",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", pg.UUID, primary_key=True),
        sa.Column(
            "collection_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.collection.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("requested_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("finished_at", MOMENT),
        schema=SCHEMA,
    )
    op.create_index(
        "collection_post_open",
        "collection_post",
        ["requested_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "posted_object",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "post_id",
            pg.UUID,
            sa.ForeignKey(f"{SCHEMA}.collection_post.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("version", MOMENT),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("spec_version", sa.Text, nullable=False),
        sa.Column("is_revoked", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        sa.Column("payload", sa.LargeBinary),
        schema=SCHEMA,
    )
    op.create_index(
        "posted_object_waiting",
        "posted_object",
        ["post_id", "place"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'pending'"),
    )
    protect("collection_post", SCHEMA)
    protect("posted_object", SCHEMA)
