"""Stored secrets are sealed anew, in batches, after the installation's secret was replaced."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from shared.crypto import Sealer, UnsealError
from shared.database import PLATFORM, Database
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

RESEAL_SECONDS: Final = 5.0
"""Seconds between two looks for secrets that wait."""
_BATCH: Final = 100


@dataclass(frozen=True)
class SealedColumn:
    """A column of sealed secrets.

    Attributes:
        table: has it.
        column: its key in the table.
        primary_key: the keys of the columns of the primary key.
        places: returns the places that a row's secret may be sealed for, as `Sealer.reseal` takes
            them.
    """

    table: sa.Table
    column: str
    primary_key: tuple[str, ...]
    places: Callable[[sa.Row[Any]], Iterable[str]]


def reseal_rows(database: Database, sealer: Sealer, sealed: SealedColumn) -> int:
    """Seal what a former key has sealed under the present one; return how many rows.

    A row that does not open stays as it is: its secret has to be set anew, as before.

    Args:
        database: the service's.
        sealer: of the column's purpose.
        sealed: the column.

    Raises:
        Unavailable: the database does not answer; what was sealed anew by then stays so.
    """
    if not sealer.has_former_keys:
        return 0
    count = 0
    after: tuple[Any, ...] | None = None
    while True:
        rows = _reseal_batch(database, sealer, sealed, after)
        count += sum(is_changed for _, is_changed in rows)
        if len(rows) < _BATCH:
            return count
        after = rows[-1][0]


def _reseal_batch(
    database: Database, sealer: Sealer, sealed: SealedColumn, after: tuple[Any, ...] | None
) -> list[tuple[tuple[Any, ...], bool]]:
    """Seal the next rows anew, in one transaction: their keys, and whether each was changed."""
    columns = [sealed.table.c[name] for name in sealed.primary_key]
    secret = sealed.table.c[sealed.column]
    prefix = sealer.prefix
    query = sa.select(sealed.table).where(
        secret.is_not(None), sa.func.substring(secret, 1, len(prefix)) != prefix
    )
    if after is not None:
        query = query.where(sa.tuple_(*columns) > sa.tuple_(*after))
    query = query.order_by(*columns).limit(_BATCH).with_for_update()
    outcomes = []
    with database.transaction(PLATFORM) as session:
        for row in session.execute(query).all():
            key = tuple(getattr(row, name) for name in sealed.primary_key)
            try:
                stored = bytes(getattr(row, sealed.column))
                anew = sealer.reseal(stored, sealed.places(row))
            except UnsealError as error:
                log.warning("secret.not_resealed", table=sealed.table.name, reason=error.message)
                outcomes.append((key, False))
                continue
            is_row = [column == value for column, value in zip(columns, key, strict=True)]
            session.execute(sa.update(sealed.table).where(*is_row).values({sealed.column: anew}))
            outcomes.append((key, True))
    return outcomes
