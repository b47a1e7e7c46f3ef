"""What services accept no more: told by the gateway, stored by each service.

The gateway writes a row of its own and an event in one transaction (`revoke`). Each service stores
the event as a row of its table `token` (`apply_revocations`), which its processes read every two
seconds. With Kafka away, the gateway refuses by its own row what comes through it; a service that
is asked directly learns of it when Kafka is back, and an access token lives five minutes at most.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.errors import InvalidInput
from shared.events import Event
from shared.events.gateway import REVOKED, RevocationKind, Revoked
from shared.frozen_tenants import FROZEN
from shared.kafka.outbox import publish
from shared.token_registry import ACTOR, TOKEN
from shared.tokens import MAX_ACCESS_LIFETIME, MAX_LIFETIME

_LONGEST: Final[dict[RevocationKind, timedelta]] = {
    "token": MAX_LIFETIME,
    # Clocks of hosts differ.
    "grant": MAX_ACCESS_LIFETIME + timedelta(minutes=5),
    "actor": MAX_LIFETIME,
    "tenant": timedelta(days=36_500),
}
_LONGEST_NAME: Final = 500
_YEARS: Final = range(2000, 2300)


def revoke(
    session: Session,
    service: str,
    tenant: str,
    kind: RevocationKind,
    name: str,
    actor: str,
    *,
    is_lifted: bool = False,
) -> None:
    """Accept something no more, here at once and in all services within seconds.

    Args:
        session: a transaction that may write for the tenant.
        service: which tells the others.
        tenant: whose tokens end; `public` for a grant, which may reach into several.
        kind: see `Revoked`.
        name: see `Revoked`.
        actor: who revokes it.
        is_lifted: whether a tenant may act again.
    """
    # The process's clock, not the database's: it is compared with the times that the process has
    # written into tokens.
    moment = datetime.fromtimestamp(time.time(), UTC)
    data = Revoked(
        kind,
        name,
        moment.isoformat(),
        (moment if is_lifted else moment + _LONGEST[kind]).isoformat(),
        actor,
        is_lifted,
    )
    key = f"{tenant} {kind} {name}".encode()
    event = Event(REVOKED, data, tenant, f"/services/{service}", key)
    apply_revocations(session, [event])
    publish(session, [event])


def apply_revocations(session: Session, events: Sequence[Event[Revoked]]) -> None:
    """Store revocations of one tenant; a repeated one changes nothing.

    Raises:
        InvalidInput: an event has no time, or a name that is too long.
    """
    rows = {row["id"]: row for row in map(_row, events)}
    if not rows:
        return
    # In the order of ids, in which all who write several lock them.
    statement = insert(TOKEN).values([rows[name] for name in sorted(rows)])
    new = statement.excluded
    is_tenant = TOKEN.c.id == FROZEN
    later = sa.func.greatest
    statement = statement.on_conflict_do_update(
        index_elements=["tenant", "id"],
        set_={
            "revoked_at": new.revoked_at,
            "revoked_by": new.revoked_by,
            "issued_at": sa.case(
                (TOKEN.c.id.startswith(ACTOR), later(TOKEN.c.issued_at, new.issued_at)),
                else_=TOKEN.c.issued_at,
            ),
            "expires_at": sa.case(
                (is_tenant, new.expires_at), else_=later(TOKEN.c.expires_at, new.expires_at)
            ),
        },
    )
    session.execute(statement)


def _row(event: Event[Revoked]) -> dict[str, Any]:
    data = event.data
    if len(data.name) > _LONGEST_NAME:
        raise InvalidInput("The name of what is revoked is too long.", field="name")
    moment = _time(data.revoked_at)
    expires_at = _time(data.expires_at)
    names = {"tenant": FROZEN, "actor": f"{ACTOR}{data.name}"}
    return {
        "tenant": event.tenant,
        "id": names.get(data.kind, data.name),
        # When it became known here: processes read what is newer than their last look.
        "revoked_at": None if data.is_lifted else sa.func.now(),
        "revoked_by": data.actor,
        "issued_at": moment if data.kind == "actor" else None,
        "expires_at": expires_at,
    }


def _time(text: str) -> datetime:
    """Read a time, which every process reads again with each look at the table."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("A time of the revocation is none.", field="revoked_at") from error
    if moment.tzinfo is None or moment.year not in _YEARS:
        raise InvalidInput(
            "A time of the revocation has no zone, or is far off.", field="revoked_at"
        )
    return moment
