"""Quotas: how much of a service a tenant may use.

Each service declares its quotas and has two tables in its schema: `quota` holds the limits that
operators set for a tenant, `quota_use` what tenants have used of quotas for a time. A quota of
things (feeds, rules) counts the rows themselves; one for a time (runs an hour) counts in a window
that begins with the first use and ends by the database's clock. Both are decided in the
transaction that uses them, one at a time for each tenant, so that two requests at once do not
exceed a limit. The tenant `public` is the operators' own and has no limits unless they set some.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.database import PLATFORM, PUBLIC
from shared.errors import InvalidInput, NotFound, QuotaExceeded, RateExceeded
from shared.settings import load_settings

_TIME = sa.DateTime(timezone=True)
_METADATA = sa.MetaData()

QUOTA: Final = sa.Table(
    "quota",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("most", sa.BigInteger),
    sa.Column("changed_at", _TIME),
    sa.Column("changed_by", sa.Text),
)
USE: Final = sa.Table(
    "quota_use",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("used", sa.BigInteger),
    sa.Column("started_at", _TIME),
)
MAX_LIMIT: Final = 2**53
"""The highest limit: JSON of any reader holds it."""
_NOW: Final = sa.func.now()
_LOCK: Final = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || :key, 0))"
)


@dataclass(frozen=True, slots=True)
class Quota:
    """A quota of a service.

    Attributes:
        name: what is limited, in the plural: `feeds`, `runs-per-hour`.
        default: the limit of tenants for which operators set none.
        unit: what is counted, for messages: "feeds".
        seconds: the window of a quota for a time; None for one of things.
        count: counts what a tenant has, for a quota of things.
    """

    name: str
    default: int
    unit: str
    seconds: int | None = None
    count: Callable[[Session, str], int] | None = None


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A quota of a tenant as it stands.

    Attributes:
        limit: None where there is none.
        is_default: no operator has set the limit.
        free_at: when the window ends; None for quotas of things, and where nothing was used.
    """

    tenant: str
    name: str
    unit: str
    limit: int | None
    is_default: bool
    used: int
    free_at: datetime | None


def limit_of(session: Session, tenant: str, quota: Quota) -> int | None:
    """The limit of a tenant; None if it has none."""
    query = sa.select(QUOTA.c.most).where(QUOTA.c.tenant == tenant, QUOTA.c.name == quota.name)
    row = session.execute(query).one_or_none()
    return _default(tenant, quota) if row is None else row.most


def _default(tenant: str, quota: Quota) -> int | None:
    if tenant in (PUBLIC, PLATFORM):
        return None
    return load_settings().quotas.get(quota.name, quota.default)


def require_room(session: Session, tenant: str, quota: Quota, amount: int = 1) -> None:
    """Require that a tenant may have more of something; other transactions wait until this ends.

    Raises:
        QuotaExceeded: it may not; the details have the limit and what is used.
    """
    limit = limit_of(session, tenant, quota)
    if limit is None or quota.count is None:
        return
    session.execute(_LOCK, {"key": f".quota.{quota.name}.{tenant}"})
    used = quota.count(session, tenant)
    if used + amount > limit:
        raise QuotaExceeded(
            f"This tenant may have {limit:,} {quota.unit} and has {used:,}: delete some, or let an "
            "operator raise the quota.",
            quota=quota.name,
            limit=limit,
            used=used,
        )


def spend(session: Session, tenant: str, quota: Quota, amount: int = 1) -> None:
    """Use some of a quota for a time.

    Raises:
        RateExceeded: it is used up; the details have the limit, the use, and when it is free again.
    """
    limit = limit_of(session, tenant, quota)
    if limit is None or not amount:
        return
    is_over = _is_over(quota)
    used = sa.case((is_over, amount), else_=USE.c.used + amount)
    statement = _use_row(tenant, quota, amount).on_conflict_do_update(
        index_elements=["tenant", "name"],
        set_={"used": used, "started_at": _started_at(is_over)},
        where=used <= limit,
    )
    if amount > limit or session.execute(statement.returning(USE.c.used)).one_or_none() is None:
        raise _rate_exceeded(session, tenant, quota, limit)


def note_use(session: Session, tenant: str, quota: Quota, amount: int) -> None:
    """Add to the use of a quota what has happened already, even if that exceeds it."""
    is_over = _is_over(quota)
    used = sa.case((is_over, amount), else_=USE.c.used + amount)
    changes = {"used": used, "started_at": _started_at(is_over)}
    statement = _use_row(tenant, quota, amount)
    session.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "name"], set_=changes)
    )


def require_rate(session: Session, tenant: str, quota: Quota, amount: int = 1) -> None:
    """Require that some is left of a quota for a time, whose use is noted or spent afterwards.

    Raises:
        RateExceeded: too little is.
    """
    limit = limit_of(session, tenant, quota)
    if limit is None or not amount:
        return
    if _use_of(session, tenant, quota)[0] + amount > limit:
        raise _rate_exceeded(session, tenant, quota, limit)


def list_states(session: Session, tenant: str, quotas: Iterable[Quota]) -> list[QuotaState]:
    """The quotas of a tenant as they stand."""
    query = sa.select(QUOTA.c.name, QUOTA.c.most).where(QUOTA.c.tenant == tenant)
    limits = {row.name: row.most for row in session.execute(query)}
    return [_state(session, tenant, quota, limits) for quota in quotas]


def list_tenants(session: Session) -> list[str]:
    """The tenants for which operators set limits."""
    return list(session.scalars(sa.select(QUOTA.c.tenant).distinct().order_by(QUOTA.c.tenant)))


def set_limit(
    session: Session, tenant: str, quota: Quota, limit: int | None, actor: str
) -> int | None:
    """Set the limit of a tenant, or take it away, so that the default holds; the limit before.

    Raises:
        InvalidInput: the limit is no number that a quota may have.
    """
    if limit is not None and not 0 <= limit <= MAX_LIMIT:
        raise InvalidInput(f"A limit lies between 0 and {MAX_LIMIT}.", field="limit")
    before = limit_of(session, tenant, quota)
    is_row = sa.and_(QUOTA.c.tenant == tenant, QUOTA.c.name == quota.name)
    if limit is None:
        session.execute(sa.delete(QUOTA).where(is_row))
        return before
    values = {"most": limit, "changed_at": _NOW, "changed_by": actor}
    statement = insert(QUOTA).values(tenant=tenant, name=quota.name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant", "name"], set_=values))
    return before


def quota_named(quotas: Iterable[Quota], name: str) -> Quota:
    """A quota by its name.

    Raises:
        NotFound: the service has no such quota.
    """
    by_name = {quota.name: quota for quota in quotas}
    if name not in by_name:
        raise NotFound(f"This service has no quota {name!r}; it has {', '.join(sorted(by_name))}.")
    return by_name[name]


def _state(session: Session, tenant: str, quota: Quota, limits: Mapping[str, int]) -> QuotaState:
    limit = limits[quota.name] if quota.name in limits else _default(tenant, quota)
    used = 0
    free_at = None
    if quota.count is not None:
        used = quota.count(session, tenant)
    elif quota.seconds is not None:
        used, free_at = _use_of(session, tenant, quota)
    is_default = quota.name not in limits
    return QuotaState(tenant, quota.name, quota.unit, limit, is_default, used, free_at)


def _use_row(tenant: str, quota: Quota, amount: int) -> Any:
    return insert(USE).values(tenant=tenant, name=quota.name, used=amount, started_at=_NOW)


def _window(quota: Quota) -> sa.ColumnElement[Any]:
    return sa.func.make_interval(0, 0, 0, 0, 0, 0, quota.seconds or 0)


def _is_over(quota: Quota) -> sa.ColumnElement[bool]:
    return USE.c.started_at + _window(quota) <= _NOW


def _started_at(is_over: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.case((is_over, _NOW), else_=USE.c.started_at)


def _use_of(session: Session, tenant: str, quota: Quota) -> tuple[int, datetime | None]:
    """What is used in the window that is open, and when it ends."""
    query = sa.select(USE.c.used, (USE.c.started_at + _window(quota)).label("free_at")).where(
        USE.c.tenant == tenant, USE.c.name == quota.name, ~_is_over(quota)
    )
    row = session.execute(query).one_or_none()
    return (0, None) if row is None else (row.used, row.free_at)


def _rate_exceeded(session: Session, tenant: str, quota: Quota, limit: int) -> RateExceeded:
    used, free_at = _use_of(session, tenant, quota)
    now = session.execute(sa.select(_NOW)).scalar_one()
    error = RateExceeded(
        f"This tenant may use {limit:,} {quota.unit} and has used {used:,}: the rest has to wait, "
        "or an operator raises the quota.",
        quota=quota.name,
        limit=limit,
        used=used,
        free_at=free_at.isoformat() if free_at else None,
    )
    wait = (free_at - now).total_seconds() if free_at else float(quota.seconds or 1)
    error.retry_after = max(1.0, wait)
    return error
