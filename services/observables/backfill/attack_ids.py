"""Assertions are mapped again when the index of ATT&CK has changed."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.attack import current_index
from services.observables.backfill import repository
from services.observables.backfill.repository import AssertionKey, NewMapping, StoredMapping
from services.observables.reference import context
from services.observables.reference import repository as datasets
from services.observables.reference import service as reference
from services.observables.reference.reloading_cache import CHECK_INTERVAL
from services.observables.scoring.inputs import ObservableState
from services.observables.store import rescore
from services.observables.store.changes import attack_ids, build_change
from services.observables.store.repository import read, write
from services.observables.store.set_aside import apply_isolated
from shared.database import PLATFORM, PUBLIC, Database
from shared.events.observables import Change
from shared.stix import bucket

WORK: Final = "map"
SETTLE_TIME: Final = timedelta(seconds=2 * CHECK_INTERVAL)
"""Time since the last card at which the backfill begins.

A release comes in many pieces, and by then every process maps with the newest index.
"""

_START: Final = AssertionKey("", str(UUID(int=0)), str(UUID(int=0)))
_CHUNK: Final = 2_000


def remap_assertions(
    database: Database, seconds: float = 100, settle_time: timedelta = SETTLE_TIME
) -> int:
    """Map every assertion with the present index; return how many have other ids now.

    It does nothing when all are mapped, or when the newest card is younger than `settle_time`.
    What is left after some seconds is done by the next call, which goes on where this one stopped.
    """
    with database.transaction(PUBLIC) as session:
        state = reference.find_state(session, current_index.DATASET)
        if state is None or state.digest is None or state.digest == state.described:
            return 0
        if datetime.now(UTC) - state.checked_at < settle_time:
            return 0
        current_index.reload_if_stale(session, now=True)
        context.reload_if_stale(session)
    changed = 0
    # With the time: what the same index causes when it comes again is another change.
    cause = f"attack {state.digest!r} {state.obtained_at}"
    deadline = time.monotonic() + seconds
    after = AssertionKey(*state.progress.split(" ")) if state.progress else _START
    while time.monotonic() < deadline:
        with database.transaction(PLATFORM) as session:
            rows = repository.next_mappings(session, after, _CHUNK)
        if not rows:
            with database.transaction(PUBLIC) as session:
                datasets.record_described(session, state.name, state.digest, state.obtained_at)
            return changed
        for tenant, ids in _outdated(rows).items():
            changed += _remap(database, tenant, sorted(ids), cause)
        after = rows[-1].key
    with database.transaction(PUBLIC) as session:
        datasets.record_progress(session, state.name, state.digest, " ".join(after))
    return changed


def _outdated(rows: Iterable[StoredMapping]) -> dict[str, set[str]]:
    """Ids of the observables, by tenant, about which an assertion has other ATT&CK ids now."""
    outdated: dict[str, set[str]] = {}
    for row in rows:
        if current_index.attack_ids(row.malware, row.tags) != row.attack:
            outdated.setdefault(row.key.tenant, set()).add(row.key.observable)
    return outdated


def _remap(database: Database, tenant: str, ids: Sequence[str], cause: str) -> int:
    """Map the assertions about observables, read again now that no other writer changes them.

    Args:
        database: the service's.
        tenant: the tenant.
        ids: of its observables.
        cause: stands for the index.
    """
    return apply_isolated(database, tenant, ids, WORK, partial(_remap_rows, tenant, cause))


def _remap_rows(tenant: str, cause: str, session: Session, ids: Sequence[str]) -> int:
    mappings: list[NewMapping] = []
    changes: list[Change] = []
    write.lock(session, {bucket(identity) for identity in ids})
    now = datetime.now(UTC)
    for identity, state in read.read_states(session, tenant, ids).items():
        new = _new_mappings(identity, state)
        mappings += new
        changes += _changes(identity, state, new, now, cause)
    repository.change_mappings(session, tenant, mappings)
    rescore.publish_changes(session, tenant, changes, "enrichment")
    return len(mappings)


def _new_mappings(identity: str, state: ObservableState) -> list[NewMapping]:
    mappings = []
    for source, assertion in state.assertions.items():
        attack = current_index.attack_ids(assertion.malware, tuple(assertion.tags))
        if attack != tuple(assertion.attack):
            mappings.append(NewMapping(identity, source, attack))
    return mappings


def _changes(
    identity: str,
    state: ObservableState,
    mappings: Sequence[NewMapping],
    now: datetime,
    cause: str,
) -> list[Change]:
    """The change to announce, if the observable's ids differ; its score does not depend on them."""
    attack = {mapping.source: mapping.attack for mapping in mappings}
    before = state.active(now)
    after = [
        assertion._replace(attack=attack.get(assertion.source_id, assertion.attack))
        for assertion in before
    ]
    if attack_ids(before) == attack_ids(after):
        return []
    return [build_change(identity, state, state, state.score, after, now, cause)]
