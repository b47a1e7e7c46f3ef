"""The SQL of the backfill: pages of all tenants' rows, and what changes in them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
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


class ModelState(NamedTuple):
    """How far stored scores follow a model of scores, in the order of its columns.

    Attributes:
        progress: tenant and id of the last observable that was scored.
        verdicts: how many observables had each verdict `before`, and have it `after`.
    """

    version: int
    since: datetime
    progress: str | None
    observables: int
    moved: int
    verdicts: Mapping[str, dict[str, int]]


_MODEL_COLUMNS: Final = "version, since, progress, observables, moved, verdicts"
_UNFINISHED_MODEL: Final = sa.text(
    f"SELECT {_MODEL_COLUMNS} FROM scoring_model "  # noqa: S608  # constants
    "WHERE finished_at IS NULL ORDER BY version DESC LIMIT 1"
)
_LOCK_MODEL: Final = sa.text(
    "SELECT progress, verdicts FROM scoring_model WHERE version = :version FOR UPDATE"
)
_RECORD_MODEL: Final = sa.text(
    "UPDATE scoring_model SET progress = :progress, observables = observables + :observables, "
    "moved = moved + :moved, verdicts = CAST(:verdicts AS jsonb) WHERE version = :version"
)
_FINISH_MODEL: Final = sa.text(
    "UPDATE scoring_model SET finished_at = now() "  # noqa: S608  # constants
    f"WHERE version = :version AND finished_at IS NULL RETURNING {_MODEL_COLUMNS}"
)


def unfinished_model(session: Session) -> ModelState | None:
    """The model that not all stored scores follow yet."""
    row = session.execute(_UNFINISHED_MODEL).one_or_none()
    return None if row is None else ModelState(*row)


def record_model_progress(
    session: Session,
    version: int,
    step: tuple[str | None, str],
    observables: int,
    moved: int,
    verdicts: Mapping[str, Mapping[str, int]],
) -> bool:
    """Add what one step of scoring with a model did, unless another worker has done it.

    Args:
        session: that of the step, so that its scores and its counts are stored together.
        version: of the model.
        step: where it begins, as it was stored, and where it ends.
        observables: how many it scored.
        moved: of how many the score moved.
        verdicts: what it adds to those `before` and `after`.

    Returns:
        Whether the walk was still where the step begins.
    """
    begin, end = step
    stored = session.execute(_LOCK_MODEL, {"version": version}).one()
    if stored.progress != begin:
        return False
    total = {
        when: dict(Counter(stored.verdicts.get(when, {})) + Counter(counts))
        for when, counts in verdicts.items()
    }
    values = {
        "version": version,
        "progress": end,
        "observables": observables,
        "moved": moved,
        "verdicts": msgspec.json.encode(total).decode(),
    }
    session.execute(_RECORD_MODEL, values)
    return True


def finish_model(session: Session, version: int) -> ModelState | None:
    """Note that all stored scores follow a model; None if that is noted already."""
    row = session.execute(_FINISH_MODEL, {"version": version}).one_or_none()
    return None if row is None else ModelState(*row)
