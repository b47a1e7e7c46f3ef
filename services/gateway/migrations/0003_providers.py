"""Identity providers, sign-ins under way at them, and who they say that persons are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect
from shared.tenants import PLATFORM

revision = "gateway_0003"
down_revision = "gateway_0002"

SCHEMA = "gateway"
MOMENT = sa.DateTime(timezone=True)
ID = pg.UUID(as_uuid=True)
CURRENT = "(SELECT current_setting('sentineliq.tenant', true))"
VISIBLE = f"tenant = {CURRENT} OR {CURRENT} = '{PLATFORM}'"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "provider",
        sa.Column("id", ID, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("client_secret", sa.LargeBinary),
        sa.Column("algorithms", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("rules", pg.JSONB, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant", "name"),
        schema=SCHEMA,
    )
    op.create_table(
        "provider_request",
        sa.Column("state", sa.LargeBinary, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "provider_id",
            ID,
            sa.ForeignKey(f"{SCHEMA}.provider.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("browser", sa.LargeBinary, nullable=False),
        sa.Column("nonce", sa.Text, nullable=False),
        sa.Column("verifier", sa.Text, nullable=False),
        sa.Column("next", sa.Text, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "identity",
        sa.Column(
            "provider_id",
            ID,
            sa.ForeignKey(f"{SCHEMA}.provider.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column(
            "person_id",
            ID,
            sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("claims", pg.JSONB, nullable=False),
        sa.Column("outcomes", pg.JSONB, nullable=False),
        sa.Column("role", sa.Text),
        sa.Column("seen_at", MOMENT, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.create_index("identity_of_person", "identity", ["person_id"], schema=SCHEMA)
    for table in ("provider", "provider_request", "identity"):
        protect(table, SCHEMA)
        op.execute(f"ALTER POLICY reads ON {SCHEMA}.{table} USING ({VISIBLE})")
