"""SQL of signing in, in transactions of the platform."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.gateway.sessions.models import SESSION

_DAYS: Final = sa.text("interval '30 days'")
_IN_NETWORK: Final = sa.text(
    "CASE WHEN address ~ '^[0-9a-fA-F]*:[0-9a-fA-F:.]+$' "
    "THEN address::inet <<= CAST(:network AS inet) ELSE false END"
)
"""A session's address is text, and not always one of IP."""


def has_signed_in(session: Session, peer: str) -> bool:
    """Whether a session began within 30 days at an address, or in an IPv6 network.

    It reads all sessions of that time, so ask it only where the answer decides.
    """
    is_network = "/" in peer
    place = _IN_NETWORK.bindparams(network=peer) if is_network else SESSION.c.address == peer
    presence = sa.exists().where(SESSION.c.created_at > sa.func.now() - _DAYS, place)
    return bool(session.scalar(sa.select(presence)))
