"""Lists are selected anew, since their guards look at texts of all types from now on."""

import sqlalchemy as sa
from alembic import op

from shared.database import PLATFORM

revision = "observables_0028"
down_revision = "observables_0027"

_ENTER = sa.text("SELECT set_config('sentineliq.tenant', :tenant, true)")


def upgrade() -> None:
    """Give each list another revision, so that members and files are made again."""
    connection = op.get_bind()
    connection.execute(_ENTER, {"tenant": PLATFORM})
    connection.execute(sa.text("UPDATE observables.dissemination_list SET revision = revision + 1"))
    connection.execute(_ENTER, {"tenant": ""})
