"""The SQL of reference data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.reference.models import DATASET
from shared.database import PUBLIC


@dataclass(frozen=True, slots=True)
class DatasetState:
    """A dataset as it is stored, without its bytes.

    Attributes:
        digest: of its packed bytes; None when it was never obtained.
        described: the digest of the bytes that all stored observables were last described with.
        described_as_of: when those bytes were obtained.
        progress: the last observable that is described with the present bytes; None when none
            is, or all are.
        size: of the packed bytes.
    """

    name: str
    digest: str | None
    origin: str | None
    obtained_at: datetime | None
    checked_at: datetime
    described: str | None
    described_as_of: datetime | None
    progress: str | None
    error: str | None
    size: int | None


_STATE: Final = [
    *(column for column in DATASET.c if column.name not in {"tenant", "packed"}),
    sa.func.octet_length(DATASET.c.packed),
]


def digests(session: Session) -> dict[str, str]:
    """The digest of each dataset that was obtained, by name."""
    query = sa.select(DATASET.c.name, DATASET.c.digest).where(DATASET.c.digest.is_not(None))
    return {row.name: row.digest for row in session.execute(query)}


def packed_bytes(session: Session, name: str) -> bytes:
    """A dataset's packed bytes."""
    query = sa.select(DATASET.c.packed).where(DATASET.c.name == name)
    return bytes(session.execute(query).scalar_one())


def list_states(session: Session) -> list[DatasetState]:
    """The state of each dataset, by name."""
    query = sa.select(*_STATE).order_by(DATASET.c.name)
    return [DatasetState(*row) for row in session.execute(query)]


def dates(session: Session) -> dict[str, datetime]:
    """By dataset, the date of the oldest data that any stored observable is described with."""
    described = DATASET.c.described
    date = sa.case(
        (described == DATASET.c.digest, DATASET.c.obtained_at), else_=DATASET.c.described_as_of
    )
    query = sa.select(DATASET.c.name, date.label("date")).where(date.is_not(None))
    return {row.name: row.date for row in session.execute(query)}


def upsert(session: Session, name: str, **columns: Any) -> None:
    """Change columns of a dataset's row, or insert it; the session is that of `public`."""
    statement = insert(DATASET).values(tenant=PUBLIC, name=name, **columns)
    changes = dict(columns)
    if "digest" in columns:
        # From now on some observables are described with the new bytes. Should those of before come
        # back, they are not yet what all are described with.
        is_same = DATASET.c.digest.is_not_distinct_from(columns["digest"])
        changes["described"] = sa.case((is_same, DATASET.c.described), else_=sa.null())
    session.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "name"], set_=changes)
    )


def record_progress(session: Session, name: str, digest: str, progress: str) -> None:
    """Note how far the description has come, unless the dataset has other bytes by now."""
    _update(session, name, digest, progress=progress)


def record_described(
    session: Session, name: str, digest: str, obtained_at: datetime | None
) -> None:
    """Note that all observables are described, unless the dataset has other bytes by now."""
    _update(session, name, digest, described=digest, described_as_of=obtained_at, progress=None)


def _update(session: Session, name: str, digest: str, **columns: Any) -> None:
    session.execute(
        sa.update(DATASET)
        .where(DATASET.c.name == name, DATASET.c.digest == digest)
        .values(**columns)
    )
