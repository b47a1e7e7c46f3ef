"""Indexes on tables that are in use."""

from typing import Final

import sqlalchemy as sa
from alembic import op

_WAIT: Final = sa.text("SELECT set_config('lock_timeout', :limit, false)")
_STATE: Final = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_BUILD_WAIT: Final = "10min"


def build_index(service: str, name: str, definition: str, *, unique: bool = False) -> None:
    """Build an index while others read and write its table.

    It cannot be part of a transaction: a migration that builds an index does nothing else. A build
    that was cut short leaves an invalid index, which this drops and builds again; a valid one
    stays.

    Args:
        service: the schema's name.
        name: the index's.
        definition: what follows `ON` in `CREATE INDEX`: `feeds.run (feed_id) WHERE …`.
        unique: whether two rows may not be equal in it.
    """
    kind = "UNIQUE INDEX" if unique else "INDEX"
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        limit = connection.execute(sa.text("SHOW lock_timeout")).scalar_one()
        # It waits for the transactions that are open now, and nobody waits behind it.
        connection.execute(_WAIT, {"limit": _BUILD_WAIT})
        is_valid = connection.execute(_STATE, {"name": f"{service}.{name}"}).scalar_one_or_none()
        if is_valid is False:
            connection.execute(sa.text(f"DROP INDEX CONCURRENTLY {service}.{name}"))
        if not is_valid:
            connection.execute(sa.text(f"CREATE {kind} CONCURRENTLY {name} ON {definition}"))
        connection.execute(_WAIT, {"limit": limit})
