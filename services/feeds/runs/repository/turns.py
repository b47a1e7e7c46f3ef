"""SQL of the turns at providers, and of the slots of a machine.

A visit needs three things: the host is free, the address is (the catalog says how often the
platform as a whole may fetch it), and the tenant's own pause at the host is over. The host's own
wishes (`Retry-After`) count for everybody; a tenant's `min_interval` counts for itself. Tenants
that wait for a host take turns: the one that visited it the longest ago goes first.
"""

from datetime import timedelta
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.feeds.runs.models import PROVIDER, PROVIDER_TURN, Visit
from shared.database import PLATFORM

_NOW: Final = sa.func.now()
_HOST_SECONDS: Final = 1.0
"""Between two visits of the platform to a host."""
_YIELD_SECONDS: Final = 1.0
_GRACE: Final = timedelta(seconds=20)
"""How long a host is kept for a tenant whose turn it is: a run that waits comes back within it."""


def take_turn(session: Session, visit: Visit) -> float:
    """Take the next turn at a provider's host.

    Args:
        session: of the platform.
        visit: that is about to begin.

    Returns:
        0 when the turn was taken, otherwise the seconds until one is free.
    """
    shared_wait = max(_lock_host(session, visit.host), _address_wait(session, visit))
    own_wait = _lock_own(session, visit)
    if not shared_wait and not own_wait and _is_behind(session, visit):
        shared_wait = _YIELD_SECONDS
    if shared_wait or own_wait:
        _note_waiting(session, visit, max(shared_wait, own_wait))
        return max(shared_wait, own_wait)
    postpone_visits(session, visit.host, _HOST_SECONDS)
    _note_visit(session, visit.host, visit.tenant, visit.tenant_seconds)
    if visit.address_seconds:
        _note_visit(session, visit.url, PLATFORM, visit.address_seconds)
    return 0.0


def postpone_visits(session: Session, host: str, seconds: float) -> None:
    """Do not visit a host for some seconds."""
    later = _NOW + _seconds(seconds)
    changed = {"next_visit_at": sa.func.greatest(PROVIDER.c.next_visit_at, later)}
    statement = insert(PROVIDER).values(tenant=PLATFORM, host=host, next_visit_at=later)
    session.execute(statement.on_conflict_do_update(index_elements=["host"], set_=changed))


def postpone_tenant(session: Session, host: str, tenant: str, seconds: float) -> None:
    """Let a tenant not visit a host for some seconds; others may."""
    later = _NOW + _seconds(seconds)
    changed = {"next_visit_at": sa.func.greatest(PROVIDER_TURN.c.next_visit_at, later)}
    statement = insert(PROVIDER_TURN).values(target=host, tenant=tenant, next_visit_at=later)
    keys = ["target", "tenant"]
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))


def _lock_host(session: Session, host: str) -> float:
    """Let no other visit of the host be decided until the transaction ends; its wait."""
    row = {"tenant": PLATFORM, "host": host, "next_visit_at": _NOW}
    session.execute(insert(PROVIDER).values(**row).on_conflict_do_nothing())
    query = sa.select(_wait(PROVIDER)).where(PROVIDER.c.host == host).with_for_update()
    return _positive(session.scalar(query))


def _address_wait(session: Session, visit: Visit) -> float:
    if not visit.address_seconds:
        return 0.0
    query = sa.select(_wait(PROVIDER_TURN)).where(_is_row(visit.url, PLATFORM))
    return _positive(session.scalar(query))


def _lock_own(session: Session, visit: Visit) -> float:
    row = {"target": visit.host, "tenant": visit.tenant}
    session.execute(insert(PROVIDER_TURN).values(**row).on_conflict_do_nothing())
    query = sa.select(_wait(PROVIDER_TURN)).where(_is_row(visit.host, visit.tenant))
    return _positive(session.scalar(query.with_for_update()))


def _is_behind(session: Session, visit: Visit) -> bool:
    """Whether another tenant waits for the host that visited it longer ago."""
    other = PROVIDER_TURN.alias("other")
    is_earlier = sa.or_(
        other.c.visited_at.is_(None), other.c.visited_at < PROVIDER_TURN.c.visited_at
    )
    waits = sa.exists().where(
        other.c.target == visit.host,
        other.c.tenant != visit.tenant,
        other.c.waits_until > _NOW,
        other.c.next_visit_at <= _NOW,
        is_earlier,
        # Of two that were never there, the first one in the alphabet.
        sa.or_(PROVIDER_TURN.c.visited_at.is_not(None), other.c.tenant < PROVIDER_TURN.c.tenant),
    )
    return bool(session.scalar(sa.select(waits).where(_is_row(visit.host, visit.tenant))))


def _note_waiting(session: Session, visit: Visit, seconds: float) -> None:
    values = {"waits_until": _NOW + _seconds(seconds) + _GRACE}
    is_own = _is_row(visit.host, visit.tenant)
    session.execute(sa.update(PROVIDER_TURN).where(is_own).values(values))


def _note_visit(session: Session, target: str, tenant: str, seconds: float) -> None:
    values: dict[str, Any] = {
        "next_visit_at": _NOW + _seconds(seconds),
        "visited_at": _NOW,
        "waits_until": sa.null(),
    }
    statement = insert(PROVIDER_TURN).values(target=target, tenant=tenant, **values)
    changed = statement.on_conflict_do_update(index_elements=["target", "tenant"], set_=values)
    session.execute(changed)


def _is_row(target: str, tenant: str) -> sa.ColumnElement[bool]:
    return sa.and_(PROVIDER_TURN.c.target == target, PROVIDER_TURN.c.tenant == tenant)


def _wait(table: sa.Table) -> sa.ColumnElement[Any]:
    return sa.func.extract("epoch", table.c.next_visit_at - _NOW)


def _positive(seconds: Any) -> float:
    return max(0.0, float(seconds or 0.0))


def _seconds(seconds: float) -> sa.ColumnElement[Any]:
    return sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def lock_slot(connection: psycopg.Connection, name: str, slot: int) -> bool:
    """Take a numbered slot for as long as the connection lives; False when it is taken."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtext(%s), %s)", (name, slot)
    ).fetchone()
    return bool(row and row[0])
