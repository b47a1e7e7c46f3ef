"""The tables that every service has."""

from alembic import op

from shared.migrations import (
    chain_audit,
    create_audit,
    create_infrastructure,
    create_quotas,
    create_sweep,
    create_tokens,
    extend_offsets,
    extend_outbox,
    require_signatures,
)

revision = "gateway_0001"
down_revision = None

SCHEMA = "gateway"


def upgrade() -> None:
    """Create the first version of the schema."""
    create_infrastructure(SCHEMA)
    extend_outbox(SCHEMA)
    create_sweep(SCHEMA)
    extend_offsets(SCHEMA)
    require_signatures(SCHEMA)
    create_audit(SCHEMA)
    chain_audit(SCHEMA)
    op.create_index("audit_places", "audit", ["tenant", "position"], unique=True, schema=SCHEMA)
    create_tokens(SCHEMA)
    create_quotas(SCHEMA)
