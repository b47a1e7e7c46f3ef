"""The SQL of the backfill: pages of all tenants' rows, and what changes in them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.store.models import ASSERTION_COLUMNS


class StoredContext(NamedTuple):
    """An observable with its context as JSON."""

    tenant: str
    id: str
    type: str
    value: str
    context: str


class AssertionKey(NamedTuple):
    """The key of an assertion."""

    tenant: str
    observable: str
    source: str


class StoredMapping(NamedTuple):
    """The malware and tags of an assertion, and the ATT&CK ids it was mapped to."""

    key: AssertionKey
    malware: str | None
    tags: tuple[str, ...]
    attack: tuple[str, ...]


class NewMapping(NamedTuple):
    """The ATT&CK ids of an assertion from now on."""

    observable: str
    source: str
    attack: tuple[str, ...]


_NEXT_CONTEXTS: Final = sa.text(
    "SELECT tenant, id::text, type, value, context::text FROM observable "
    "WHERE (tenant, id) > (:tenant, CAST(:id AS uuid)) ORDER BY tenant, id LIMIT :limit"
)
_CHANGE_CONTEXTS: Final = sa.text(
    "WITH outdated AS ("
    "SELECT o.tenant, o.id, o.context, fresh.context AS now FROM observable o "
    "JOIN unnest(CAST(:ids AS uuid[]), CAST(:contexts AS json[])) fresh(id, context) "
    "ON o.tenant = :tenant AND o.id = fresh.id), "
    "past AS (INSERT INTO context_past SELECT tenant, id, :at, context FROM outdated) "
    "UPDATE observable o SET context = outdated.now FROM outdated "
    "WHERE o.tenant = outdated.tenant AND o.id = outdated.id"
)
_NEXT_ASSERTIONS: Final = sa.text(
    "SELECT tenant, observable_id::text, source_id::text, malware, tags, attack FROM assertion "
    "WHERE (tenant, observable_id, source_id) > "
    "(:tenant, CAST(:observable AS uuid), CAST(:source AS uuid)) "
    "ORDER BY tenant, observable_id, source_id LIMIT :limit"
)
# Row by row, by their keys: the planner reads the whole table when it is joined with an array and
# was not analyzed lately.
_BY_KEY: Final = (
    "WHERE tenant = :tenant AND observable_id = CAST(:observable AS uuid) "
    "AND source_id = CAST(:source AS uuid)"
)
_KEEP_ASSERTION: Final = sa.text(
    f"INSERT INTO assertion_past ({ASSERTION_COLUMNS}, recorded_until) "  # noqa: S608  # constants
    f"SELECT {ASSERTION_COLUMNS}, CAST(:at AS timestamptz) FROM assertion {_BY_KEY} "
    "ON CONFLICT DO NOTHING"
)
_CHANGE_ASSERTION: Final = sa.text(
    f"UPDATE assertion SET attack = :attack, recorded_at = :at {_BY_KEY}"  # noqa: S608  # see above
)


def next_contexts(session: Session, tenant: str, after: str, limit: int) -> list[StoredContext]:
    """Observables of all tenants behind a tenant and an id, in the order of both."""
    rows = session.execute(_NEXT_CONTEXTS, {"tenant": tenant, "id": after, "limit": limit})
    return [StoredContext(*row) for row in rows]


def change_contexts(
    session: Session, tenant: str, contexts: Mapping[str, str], at: datetime
) -> None:
    """Replace contexts, by id, and keep the former ones."""
    values = {
        "ids": list(contexts),
        "contexts": list(contexts.values()),
        "tenant": tenant,
        "at": at,
    }
    session.execute(_CHANGE_CONTEXTS, values)


def next_mappings(session: Session, after: AssertionKey, limit: int) -> list[StoredMapping]:
    """Assertions of all tenants behind a key, in the order of keys."""
    rows = session.execute(_NEXT_ASSERTIONS, after._asdict() | {"limit": limit})
    return [
        StoredMapping(
            AssertionKey(row.tenant, row.observable_id, row.source_id),
            row.malware,
            tuple(row.tags),
            tuple(row.attack),
        )
        for row in rows
    ]


def change_mappings(session: Session, tenant: str, mappings: Sequence[NewMapping]) -> None:
    """Change the ATT&CK ids of assertions, and keep the former assertions."""
    if not mappings:
        return
    now = session.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    rows = [
        {
            "tenant": tenant,
            "observable": mapping.observable,
            "source": mapping.source,
            "at": now,
            "attack": list(mapping.attack),
        }
        for mapping in mappings
    ]
    session.execute(_KEEP_ASSERTION, rows)
    session.execute(_CHANGE_ASSERTION, rows)
