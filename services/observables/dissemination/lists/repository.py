"""The SQL of lists and of protected values."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.observables.dissemination.lists.models import (
    CHANGE,
    ENTRY,
    LIST,
    PROTECTED,
    ChangeRow,
    EntryRow,
    ListRow,
    ProtectedRow,
)
from shared.errors import Conflict

NOW: Final = sa.func.now()
"""The time of the transaction, by the database."""

_LIST: Final = tuple(LIST.c[name] for name in ListRow._fields)
_CHANGE: Final = tuple(CHANGE.c[name] for name in ChangeRow._fields)
_ENTRY: Final = tuple(ENTRY.c[name] for name in EntryRow._fields)
_PROTECTED: Final = tuple(PROTECTED.c[name] for name in ProtectedRow._fields)

_DIFFERENCE: Final = sa.text("""
WITH newest AS (
    SELECT DISTINCT ON (observable_id) number, changed_at, observable_id, type, value, kind, score,
        reason FROM list_change
    WHERE list_id = :list AND number > :before AND number <= :after
    ORDER BY observable_id, number DESC
), oldest AS (
    SELECT DISTINCT ON (observable_id) observable_id, kind FROM list_change
    WHERE list_id = :list AND number > :before AND number <= :after
    ORDER BY observable_id, number
)
SELECT number, changed_at, observable_id, type, value, newest.kind, score, reason
FROM newest JOIN oldest USING (observable_id) WHERE newest.kind = oldest.kind
ORDER BY number LIMIT :limit
""")
_MEMBERS_AT: Final = sa.text("""
WITH later AS (
    SELECT DISTINCT ON (observable_id) observable_id, type, value, kind, score, number
    FROM list_change WHERE list_id = :list AND number > :number
    ORDER BY observable_id, number
), present AS (
    SELECT observable_id, type, value, score FROM list_entry
    WHERE list_id = :list AND refused_by IS NULL
)
SELECT observable_id, type, value, score FROM (
    SELECT p.observable_id, p.type, p.value, p.score FROM present p
    WHERE NOT EXISTS (SELECT FROM later l WHERE l.observable_id = p.observable_id)
    UNION ALL
    SELECT observable_id, type, value, score FROM later WHERE kind = 'out'
) past WHERE observable_id > :after ORDER BY observable_id LIMIT :limit
""")
_NUMBER_AT: Final = sa.text("""
SELECT coalesce(max(number), 0) FROM list_change WHERE list_id = :list AND changed_at <= :moment
""")

_STOP_FILL: Final = sa.text("DELETE FROM list_fill WHERE tenant = :tenant AND list_id = :list")
# A list that is being filled may have read the protected values of before.
_RENEW: Final = """
UPDATE dissemination_list l SET revision = revision + 1 WHERE l.tenant = :tenant AND (
    l.filled_revision < l.revision OR EXISTS (
        SELECT FROM list_entry e WHERE e.list_id = l.id AND {condition}))
"""
# Hosts of URLs and of addresses of mail are in the form of the store; other texts are as people
# write them, and a name in them may be written with other letters than ASCII's.
_MAY_TOUCH_NAME: Final = """
e.refused_by IS DISTINCT FROM 'protected' AND (strpos(lower(e.value), :value) > 0
    OR e.value = ANY(:above) OR e.value ~ '[^[:ascii:]]')
"""
_MAY_TOUCH_NETWORK: Final = """
e.refused_by IS DISTINCT FROM 'protected' AND CASE
    WHEN e.type IN ('ipv4-addr', 'ipv6-addr') THEN CAST(e.value AS inet) && CAST(:value AS inet)
    WHEN e.type = 'domain-name' THEN false
    WHEN e.type IN ('url', 'email-addr') THEN e.value ~ '(//|@)[[]?[0-9a-fA-F]*[.:][0-9a-fA-F.:]*'
    ELSE e.value ~ '[0-9a-fA-F]*[.:][0-9a-fA-F]' OR e.value ~ '[^[:ascii:]]' END
"""


def page(session: Session, tenant: str, after: str | None, limit: int) -> list[ListRow]:
    """A tenant's lists by name, beginning after one."""
    query = sa.select(*_LIST).where(LIST.c.tenant == tenant).order_by(LIST.c.name).limit(limit)
    if after is not None:
        query = query.where(LIST.c.name > after)
    return [ListRow(*row) for row in session.execute(query)]


def get(session: Session, tenant: str, list_id: UUID) -> ListRow | None:
    """A list of the tenant."""
    row = session.execute(sa.select(*_LIST).where(_is(tenant, list_id))).one_or_none()
    return ListRow(*row) if row else None


def get_by_name(session: Session, tenant: str, name: str) -> ListRow | None:
    """The list of that name."""
    query = sa.select(*_LIST).where(LIST.c.tenant == tenant, LIST.c.name == name)
    row = session.execute(query).one_or_none()
    return ListRow(*row) if row else None


def lock(session: Session, tenant: str, list_id: UUID) -> ListRow | None:
    """A list of the tenant, locked until the transaction ends."""
    query = sa.select(*_LIST).where(_is(tenant, list_id)).with_for_update(key_share=True)
    row = session.execute(query).one_or_none()
    return ListRow(*row) if row else None


def add(
    session: Session, tenant: str, list_id: UUID, values: Mapping[str, Any], actor: str
) -> ListRow:
    """Store a list.

    Raises:
        Conflict: the tenant has one of that name.
    """
    row = {**values, "tenant": tenant, "id": list_id, "created_by": actor}
    try:
        return ListRow(*session.execute(sa.insert(LIST).values(**row).returning(*_LIST)).one())
    except IntegrityError as error:
        raise _name_conflict(values) from error


def change(
    session: Session, tenant: str, list_id: UUID, values: Mapping[str, Any]
) -> ListRow | None:
    """Change columns of a list; None where the tenant has no such list.

    Raises:
        Conflict: the tenant has another one of that name.
    """
    statement = sa.update(LIST).where(_is(tenant, list_id)).values(**values)
    try:
        row = session.execute(statement.returning(*_LIST)).one_or_none()
    except IntegrityError as error:
        raise _name_conflict(values) from error
    return ListRow(*row) if row else None


def stop_fill(session: Session, tenant: str, list_id: UUID) -> None:
    """Forget the fill of a list that is to be deleted."""
    session.execute(_STOP_FILL, {"tenant": tenant, "list": list_id})


def delete(session: Session, tenant: str, list_id: UUID) -> bool:
    """Delete a list with its entries, changes and files; whether there was one."""
    statement = sa.delete(LIST).where(_is(tenant, list_id)).returning(LIST.c.id)
    return session.execute(statement).first() is not None


def refusals(session: Session, list_ids: Collection[UUID]) -> dict[UUID, dict[str, int]]:
    """How many observables match lists and are refused, by reason."""
    query = (
        sa.select(ENTRY.c.list_id, ENTRY.c.refused_by, sa.func.count())
        .where(ENTRY.c.list_id.in_(list_ids), ENTRY.c.refused_by.is_not(None))
        .group_by(ENTRY.c.list_id, ENTRY.c.refused_by)
    )
    counts: dict[UUID, dict[str, int]] = {}
    for list_id, reason, count in session.execute(query):
        counts.setdefault(list_id, {})[reason] = count
    return counts


def changes_after(session: Session, list_id: UUID, number: int, limit: int) -> list[ChangeRow]:
    """The published changes of a list behind a number, in their order."""
    query = (
        sa.select(*_CHANGE)
        .join(LIST, LIST.c.id == CHANGE.c.list_id)
        .where(
            CHANGE.c.list_id == list_id,
            CHANGE.c.number > number,
            CHANGE.c.number <= LIST.c.published_number,
        )
        .order_by(CHANGE.c.number)
        .limit(limit)
    )
    return [ChangeRow(*row) for row in session.execute(query)]


def changes_of(session: Session, list_id: UUID, observable: UUID, limit: int) -> list[ChangeRow]:
    """The last changes of an observable in a list, the newest first."""
    query = (
        sa.select(*_CHANGE)
        .where(CHANGE.c.list_id == list_id, CHANGE.c.observable_id == observable)
        .order_by(CHANGE.c.number.desc())
        .limit(limit)
    )
    return [ChangeRow(*row) for row in session.execute(query)]


def first_number(session: Session, list_id: UUID) -> int | None:
    """The oldest change that is kept; None if there is none."""
    query = sa.select(sa.func.min(CHANGE.c.number)).where(CHANGE.c.list_id == list_id)
    number: int | None = session.scalar(query)
    return number


def difference(
    session: Session, list_id: UUID, before: int, after: int, limit: int
) -> list[ChangeRow]:
    """What differs between two versions: the last change of each such observable."""
    values = {"list": list_id, "before": before, "after": after, "limit": limit}
    return [ChangeRow(*row) for row in session.execute(_DIFFERENCE, values)]


def number_at(session: Session, list_id: UUID, moment: datetime) -> int:
    """The version of a list at a moment."""
    return int(session.execute(_NUMBER_AT, {"list": list_id, "moment": moment}).scalar_one())


def members_at(
    session: Session, list_id: UUID, number: int, after: UUID, limit: int
) -> list[tuple[UUID, str, str, int]]:
    """Members of a version, by id: the present ones, with what came later undone."""
    values = {"list": list_id, "number": number, "after": after, "limit": limit}
    return [(row[0], row[1], row[2], row[3]) for row in session.execute(_MEMBERS_AT, values)]


def entries_of(
    session: Session, list_id: UUID, observables: Collection[UUID]
) -> dict[UUID, EntryRow]:
    """The members among some observables, by id."""
    query = sa.select(*_ENTRY).where(
        ENTRY.c.list_id == list_id,
        ENTRY.c.refused_by.is_(None),
        ENTRY.c.observable_id.in_(observables),
    )
    rows = [EntryRow(*row) for row in session.execute(query)]
    return {row.observable_id: row for row in rows}


def entry(session: Session, list_id: UUID, observable: UUID) -> EntryRow | None:
    """What a list has to do with an observable."""
    query = sa.select(*_ENTRY).where(
        ENTRY.c.list_id == list_id, ENTRY.c.observable_id == observable
    )
    row = session.execute(query).one_or_none()
    return EntryRow(*row) if row else None


def protected_values(session: Session, tenant: str) -> list[ProtectedRow]:
    """The protected names and networks of a tenant."""
    query = sa.select(*_PROTECTED).where(PROTECTED.c.tenant == tenant)
    rows = session.execute(query.order_by(PROTECTED.c.value))
    return [ProtectedRow(*row) for row in rows]


def protect(session: Session, tenant: str, value: str, note: str, actor: str) -> ProtectedRow:
    """Store a protected value.

    Raises:
        Conflict: it is protected already.
    """
    row = {"tenant": tenant, "value": value, "note": note, "created_by": actor}
    statement = sa.insert(PROTECTED).values(**row).returning(*_PROTECTED)
    try:
        return ProtectedRow(*session.execute(statement).one())
    except IntegrityError as error:
        raise Conflict(f"{value} is protected already.", field="value") from error


def unprotect(session: Session, tenant: str, value: str) -> bool:
    """Delete a protected value; whether there was one."""
    statement = sa.delete(PROTECTED).where(PROTECTED.c.tenant == tenant, PROTECTED.c.value == value)
    return session.execute(statement.returning(PROTECTED.c.value)).first() is not None


def lock_all(session: Session, tenant: str) -> None:
    """Lock the lists of a tenant in the order of their ids: no event is applied meanwhile."""
    query = sa.select(LIST.c.id).where(LIST.c.tenant == tenant).order_by(LIST.c.id)
    session.execute(query.with_for_update(key_share=True)).all()


def renew_touched(session: Session, tenant: str, value: str, *, network: bool) -> None:
    """Let lists be selected anew that have an entry which a protected value may keep out.

    They are locked. What the condition selects and the guard does not refuse costs a fill alone.

    Args:
        session: of the tenant.
        tenant: whose lists.
        value: a network or a name.
        network: whether it is a network.
    """
    condition = _MAY_TOUCH_NETWORK if network else _MAY_TOUCH_NAME
    labels = value.split(".")
    above = [] if network else [".".join(labels[place:]) for place in range(1, len(labels))]
    parameters: dict[str, Any] = {"tenant": tenant, "value": value}
    if not network:
        parameters["above"] = above
    session.execute(sa.text(_RENEW.format(condition=condition)), parameters)


def renew_refusing(session: Session, tenant: str, refusal: str) -> None:
    """Let lists be selected anew that a guard keeps something out of; they are locked."""
    condition = "e.refused_by = :refusal"
    statement = sa.text(_RENEW.format(condition=condition))
    session.execute(statement, {"tenant": tenant, "refusal": refusal})


def _is(tenant: str, list_id: UUID) -> sa.ColumnElement[bool]:
    return sa.and_(LIST.c.tenant == tenant, LIST.c.id == list_id)


def _name_conflict(values: Mapping[str, Any]) -> Conflict:
    return Conflict(f"There is a list named {values.get('name')!r} already.", field="name")
