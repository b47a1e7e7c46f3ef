"""Let sightings be withdrawn: a wrong report stops to count, and still counts for the past."""

import sqlalchemy as sa
from alembic import op

revision = "observables_0011"
down_revision = "observables_0010"

SCHEMA = "observables"


def upgrade() -> None:
    """Add the moment of withdrawal."""
    op.add_column("sighting", sa.Column("withdrawn_at", sa.DateTime(timezone=True)), schema=SCHEMA)
