"""The SQL of fills that go on: their phase, and what changes while they do.

Whoever applies changes reads the phases with a shared lock, so that a fill which goes on to its
next phase waits for all who have acted by the one before.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import PUBLIC

STAGING: Final = "staging"
"""The fill looks at all observables; changes are applied to the list, and noted for the fill."""
APPLYING: Final = "applying"
"""The fill changes the list, which is locked; changes are noted alone."""
FOLLOWING: Final = "following"
"""The fill has ended; changes are applied, and what was noted is looked at again."""

_SHARE: Final = """
SELECT list_id, phase FROM list_fill {condition} ORDER BY list_id FOR SHARE
"""
_SHARE_ALL: Final = sa.text(_SHARE.format(condition=""))
_SHARE_OWN: Final = sa.text(_SHARE.format(condition="WHERE tenant = :tenant"))
_NOTE: Final = sa.text("""
INSERT INTO list_fill_change (tenant, list_id, observable_id, is_immediate)
SELECT fill.tenant, fill.list_id, fresh.id, :is_immediate
FROM list_fill fill CROSS JOIN unnest(CAST(:ids AS uuid[])) AS fresh (id)
WHERE fill.list_id = ANY(:lists) AND fill.phase <> 'following'
""")
_CLAIM: Final = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 30))")
_BEGIN: Final = sa.text("""
INSERT INTO list_fill (tenant, list_id, phase)
SELECT tenant, id, 'staging' FROM dissemination_list WHERE id = :list
ON CONFLICT (list_id) DO UPDATE SET phase = 'staging'
""")
_ADVANCE: Final = sa.text("UPDATE list_fill SET phase = :phase WHERE list_id = :list")
_TAKE: Final = sa.text("""
DELETE FROM list_fill_change WHERE number IN (
    SELECT number FROM list_fill_change WHERE list_id = :list ORDER BY number LIMIT :limit)
RETURNING observable_id, is_immediate
""")
_END: Final = sa.text("""
DELETE FROM list_fill WHERE list_id = :list AND phase = 'following'
    AND NOT EXISTS (SELECT FROM list_fill_change c WHERE c.list_id = :list)
""")
_OPEN: Final = sa.text("SELECT list_id FROM list_fill ORDER BY list_id")
_LOCK_WAIT: Final = sa.text("SET LOCAL lock_timeout = '5s'")


def share_phases(session: Session, tenant: str) -> dict[UUID, str]:
    """The phases of the fills that events of a tenant concern; none goes on until this ends."""
    rows = (
        session.execute(_SHARE_ALL)
        if tenant == PUBLIC
        else session.execute(_SHARE_OWN, {"tenant": tenant})
    )
    return {row[0]: row[1] for row in rows}


def note_changes(
    session: Session, list_ids: Iterable[UUID], ids: Collection[UUID], *, is_immediate: bool
) -> None:
    """Note for the fills of some lists that observables have changed; a person may have judged."""
    lists = sorted(list_ids)
    if lists and ids:
        values = {"lists": lists, "ids": sorted(ids), "is_immediate": is_immediate}
        session.execute(_NOTE, values)


def claim_fill(session: Session, list_id: UUID) -> bool:
    """Become the only one that fills a list, until the transaction ends; False if one does."""
    return bool(session.execute(_CLAIM, {"key": str(list_id)}).scalar_one())


def begin_fill(session: Session, list_id: UUID) -> None:
    """Let changes be noted from now on, for a list that is claimed. Notes of before stay.

    Raises:
        Unavailable: those who act by the phase before take too long.
    """
    session.execute(_LOCK_WAIT)
    session.execute(_BEGIN, {"list": list_id})


def advance_fill(session: Session, list_id: UUID, phase: str) -> None:
    """Go on to the next phase, when all have ended who act by the one before.

    Raises:
        Unavailable: that takes too long.
    """
    session.execute(_LOCK_WAIT)
    session.execute(_ADVANCE, {"list": list_id, "phase": phase})


def take_changes(session: Session, list_id: UUID, limit: int) -> Mapping[UUID, bool]:
    """Take the first notes of a list: the observables, and whether a person has judged them."""
    noted: dict[UUID, bool] = {}
    rows = session.execute(_TAKE, {"list": list_id, "limit": limit})
    for observable, is_immediate in rows:
        noted[observable] = noted.get(observable, False) or is_immediate
    return noted


def end_fill(session: Session, list_id: UUID) -> None:
    """Forget a fill of which nothing is left to look at."""
    session.execute(_END, {"list": list_id})


def open_fills(session: Session) -> list[UUID]:
    """The lists with a fill that goes on, ended without its end, or left notes."""
    return list(session.scalars(_OPEN))
