"""Lists note which of their sources were marked above their ceiling when they were filled."""

import sqlalchemy as sa
from alembic import op

revision = "observables_0029"
down_revision = "observables_0028"


def upgrade() -> None:
    """Add the note. Lists with such sources are filled anew by the next sweep."""
    op.add_column(
        "dissemination_list",
        sa.Column("strict_sources", sa.Text, nullable=False, server_default=""),
        schema="observables",
    )
