"""Reports that were noted and not written: states of a run's observables have them added."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.scoring.inputs import ObservableState, RepeatedAssertion
from services.observables.store.repository.read import read_states
from shared.database import driver_connection

_REPEATS: Final = """
SELECT source_id::text, observed_at, repeated FROM run_chunk
WHERE tenant = %(tenant)s AND bucket = ANY(%(buckets)s) AND repeated IS NOT NULL
    AND observed_at >= %(observed_at)s AND run_id <> %(run)s"""


def read_states_of_run(
    session: Session,
    tenant: str,
    ids: Sequence[str],
    buckets: Iterable[int],
    observed_at: datetime,
    run_id: UUID,
) -> dict[str, ObservableState]:
    """Return what is stored about a run's observables, with the repetitions that are noted."""
    states = read_states(session, tenant, ids)
    if states:
        add_repeats(states, read_repeats(session, tenant, buckets, observed_at, run_id))
    return states


def read_repeats(
    session: Session, tenant: str, buckets: Iterable[int], observed_at: datetime, run: UUID
) -> list[tuple[str, datetime, bytes]]:
    """Reports of other runs, of this moment or newer, that were noted and not written.

    Runs that arrive in their order find none; the notes are for those that come late.
    """
    arguments = {"tenant": tenant, "buckets": list(buckets), "observed_at": observed_at, "run": run}
    with driver_connection(session).cursor() as cursor:
        return cursor.execute(_REPEATS, arguments).fetchall()


def add_repeats(
    states: Mapping[str, ObservableState], notes: Iterable[tuple[str, datetime, bytes]]
) -> None:
    """Add the reports that were noted and not written to what is stored.

    Args:
        states: what is stored, by observable id; the assertions in it are replaced.
        notes: source id, time of the run, and the ids (16 bytes each, one after the other) that it
            repeated.
    """
    by_bytes = {bytes.fromhex(identity.replace("-", "")): identity for identity in states}
    for source_id, observed_at, ids in notes:
        for start in range(0, len(ids), 16):
            identity = by_bytes.get(ids[start : start + 16])
            if identity is None:
                continue
            assertions = states[identity].assertions
            stored = assertions.get(source_id)
            if stored and stored.asserted_at and observed_at > stored.asserted_at:
                repeated = stored._replace(observed_at=observed_at)
                assertions[source_id] = RepeatedAssertion._make(repeated)
