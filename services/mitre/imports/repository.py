"""SQL of imports and of the sources they come from."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.mitre.imports.models import (
    IMPORT,
    SOURCE,
    AttackImport,
    DomainSource,
    NewImport,
)
from services.mitre.releases.domains import DOMAINS
from shared.database import PUBLIC
from shared.errors import NotFound
from shared.leases import LeasedTable
from shared.pagination import Page, paginate

IMPORTS: Final = LeasedTable(IMPORT, lease=timedelta(seconds=60))
MAX_ATTEMPTS: Final = 5
"""Times an import is begun before it counts as failed for good."""

_NOW: Final = sa.func.now()
_FIELDS: Final = [IMPORT.c[field.name] for field in fields(AttackImport)]
_SOURCE_FIELDS: Final = [SOURCE.c[field.name] for field in fields(DomainSource)]


# Imports


def insert_import(session: Session, new: NewImport) -> AttackImport:
    """Add an import that waits for a worker."""
    statement = sa.insert(IMPORT).values(tenant=PUBLIC, **asdict(new)).returning(*_FIELDS)
    return AttackImport(*session.execute(statement).one())


def get_import(session: Session, import_id: UUID) -> AttackImport:
    """An import.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(sa.select(*_FIELDS).where(IMPORT.c.id == import_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no load {import_id}.")
    return AttackImport(*row)


def list_imports(
    session: Session,
    *,
    before: datetime | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Page[AttackImport]:
    """Imports, newest first.

    Args:
        session: of the tenant that reads.
        before: only those that were requested before this time.
        after: the place of the last import of the page before.
        limit: most imports.
    """
    key = (IMPORT.c.created_at, IMPORT.c.id)
    query = sa.select(*_FIELDS).order_by(*(column.desc() for column in key)).limit(limit + 1)
    if before is not None:
        query = query.where(IMPORT.c.created_at < before)
    if after is not None:
        query = query.where(sa.tuple_(*key) < after)
    imports = [AttackImport(*row) for row in session.execute(query)]
    return paginate(imports, limit, lambda item: (item.created_at, item.id))


def list_open_imports(session: Session) -> list[AttackImport]:
    """Imports that are not done."""
    is_open = IMPORT.c.state.in_(("queued", "running"))
    return [AttackImport(*row) for row in session.execute(sa.select(*_FIELDS).where(is_open))]


def claim_import(session: Session, import_id: UUID) -> AttackImport | None:
    """Begin an import; None when it is done, has a worker, or was begun too often."""
    is_hopeful = sa.and_(IMPORT.c.id == import_id, IMPORT.c.attempts < MAX_ATTEMPTS)
    rows = IMPORTS.claim(session, uuid4(), where=is_hopeful)
    return _import_of(rows[0]) if rows else None


def _import_of(row: sa.Row[Any]) -> AttackImport:
    return AttackImport(*(getattr(row, column.name) for column in _FIELDS))


def retry_import(
    session: Session, item: AttackImport, *, seconds: float, error: Mapping[str, Any]
) -> None:
    """Let an import wait for its next attempt.

    Raises:
        LeaseLost: another worker has it.
    """
    IMPORTS.retry(session, _holder(item), item.id, seconds=seconds, error=error)


def complete_import(
    session: Session, item: AttackImport, state: str, result: Mapping[str, Any]
) -> None:
    """End an import with what it brought.

    Raises:
        LeaseLost: another worker has it; the transaction must not be committed.
    """
    IMPORTS.complete(session, _holder(item), item.id, state, {"result": dict(result)})


def fail_import(session: Session, item: AttackImport, error: Mapping[str, Any]) -> None:
    """End an import with the reason why it failed.

    Raises:
        LeaseLost: another worker has it.
    """
    IMPORTS.fail(session, _holder(item), item.id, error)


def renew_import(session: Session, item: AttackImport) -> bool:
    """Let the lease last from now on; whether it is still the worker's."""
    return bool(IMPORTS.renew(session, _holder(item), [item.id]))


def _holder(item: AttackImport) -> UUID:
    if item.holder is None:
        raise ValueError(f"The import {item.id} is not claimed.")
    return item.holder


def give_up_imports(session: Session) -> None:
    """End the imports that keep killing their workers."""
    message = (
        f"The load was begun {MAX_ATTEMPTS} times and its worker died each time; "
        "see the worker's log."
    )
    IMPORTS.give_up(session, MAX_ATTEMPTS, {"code": "given-up", "message": message})


def list_lost_imports(session: Session) -> list[UUID]:
    """Imports that could be worked on and are not: their message is lost, or their worker."""
    return IMPORTS.due(session)


def hand_back_import(session: Session, item: AttackImport) -> None:
    """Give an import back as if it had not been claimed.

    Raises:
        LeaseLost: another worker has it.
    """
    IMPORTS.hand_back(session, _holder(item), item.id)


# Sources


def ensure_sources(session: Session) -> None:
    """Make the rows of domains that have none yet."""
    rows = [
        {"tenant": PUBLIC, "domain": domain.name, "url": domain.url, "enabled": domain.enabled}
        for domain in DOMAINS.values()
    ]
    session.execute(pg.insert(SOURCE).values(rows).on_conflict_do_nothing())


def list_sources(session: Session) -> list[DomainSource]:
    """All sources."""
    query = sa.select(*_SOURCE_FIELDS).order_by(SOURCE.c.domain)
    return [DomainSource(*row) for row in session.execute(query)]


def get_source(session: Session, domain: str) -> DomainSource:
    """A domain's source."""
    query = sa.select(*_SOURCE_FIELDS).where(SOURCE.c.domain == domain)
    return DomainSource(*session.execute(query).one())


def update_source(
    session: Session, domain: str, *, url: str | None, enabled: bool | None
) -> DomainSource:
    """Change a source; None leaves a setting as it is."""
    values: dict[str, Any] = {}
    if enabled is not None:
        values["enabled"] = enabled
    if url is not None:
        # The headers of the old address do not hold for the new one.
        values |= {"url": url, "etag": None, "last_modified": None}
    statement = sa.update(SOURCE).where(SOURCE.c.domain == domain).values(**values)
    return DomainSource(*session.execute(statement.returning(*_SOURCE_FIELDS)).one())


def mark_checked(
    session: Session, domain: str, url: str, headers: Mapping[str, str | None]
) -> None:
    """Remember the headers of the server's answer, unless the source has another address by now."""
    is_same = sa.and_(SOURCE.c.domain == domain, SOURCE.c.url == url)
    session.execute(sa.update(SOURCE).where(is_same).values(checked_at=_NOW, **headers))
