<<<<<<< HEAD
"""Record the form in which a release's cards were published; older ones name no users."""
=======
"""The form in which a release's cards were published: the first had no software and groups."""
>>>>>>> b6fb4fc (Divide mitre into rooms: imports, releases, techniques; lease imports and runs by shared leases)

import sqlalchemy as sa
from alembic import op

revision = "mitre_0002"
down_revision = "mitre_0001"

SCHEMA = "mitre"


def upgrade() -> None:
    """Add the column; present rows have the form before the first."""
    op.add_column(
        "release",
        sa.Column("cards", sa.SmallInteger, nullable=False, server_default="0"),
        schema=SCHEMA,
    )
