"""SQL of the turns at providers, and of the slots of a machine."""

from typing import Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.feeds.runs.models import PROVIDER
from shared.database import PLATFORM

_NOW: Final = sa.func.now()


def take_turn(session: Session, host: str, interval: float) -> float:
    """Take the next turn at a provider's host.

    Args:
        session: of the platform.
        host: all feeds of it take turns.
        interval: least seconds between two visits.

    Returns:
        0 when the turn was taken, otherwise the seconds until one is free.
    """
    row = {"tenant": PLATFORM, "host": host, "next_visit_at": _NOW}
    session.execute(insert(PROVIDER).values(**row).on_conflict_do_nothing())
    seconds = sa.func.extract("epoch", PROVIDER.c.next_visit_at - _NOW)
    query = sa.select(seconds).where(PROVIDER.c.host == host).with_for_update()
    wait = max(0.0, float(session.scalar(query) or 0.0))
    if wait == 0.0:
        postpone_visits(session, host, interval)
    return wait


def postpone_visits(session: Session, host: str, seconds: float) -> None:
    """Do not visit a host for some seconds."""
    later = _NOW + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    changed = {"next_visit_at": sa.func.greatest(PROVIDER.c.next_visit_at, later)}
    statement = insert(PROVIDER).values(tenant=PLATFORM, host=host, next_visit_at=later)
    session.execute(statement.on_conflict_do_update(index_elements=["host"], set_=changed))


def lock_slot(connection: psycopg.Connection, name: str, slot: int) -> bool:
    """Take a numbered slot for as long as the connection lives; False when it is taken."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtext(%s), %s)", (name, slot)
    ).fetchone()
    return bool(row and row[0])
