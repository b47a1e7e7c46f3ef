"""Cards of techniques come in and become the index; what was mapped with an older one is then mapped again."""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.attack import current_index, index
from services.observables.attack import repository as rows
from services.observables.attack.current_index import NAME
from services.observables.attack.repository import Mapped
from services.observables.reference import context
from services.observables.reference import repository as store
from services.observables.reference.reloading_cache import LOOK_EVERY
from services.observables.scoring.inputs import ObservableState
from services.observables.store import plan, repository, rescore
from services.observables.store.chunks import parse_moment
from shared.database import PLATFORM, PUBLIC, Database
from shared.events import Event
from shared.events.mitre import TECHNIQUES, TechniqueCard
from shared.events.observables import Change
from shared.stix import bucket

STILL_FOR: Final = timedelta(seconds=2 * LOOK_EVERY)
"""No card may have come for so long before assertions are mapped again: a release comes in pieces, and by then no
process maps with the older index any more."""

_FIRST: Final = ("", str(UUID(int=0)), str(UUID(int=0)))
_CHUNK: Final = 2_000


def handle_techniques(session: Session, events: Sequence[Event[TechniqueCard]]) -> None:
    """Keep cards, and make the index of all that are here."""
    rows.lock(
        session
    )  # partitions follow each other, so that the last one's index has the cards of all
    rows.put(session, [event.data for event in events])
    packed = index.pack(rows.cards(session))
    values = {
        "origin": TECHNIQUES.name,
        "obtained_at": max(parse_moment(event.time) for event in events),
        "checked_at": datetime.now(UTC),
    }
    digest = hashlib.sha256(packed).hexdigest()
    if store.digests(session).get(NAME) != digest:
        values |= {"packed": packed, "digest": digest, "progress": None}
    store.put(session, NAME, **values)


def remap_assertions(
    database: Database, seconds: float = 100, still_for: timedelta = STILL_FOR
) -> int:
    """Map every assertion with the index that is here now, unless that was done; how many stand for something else.

    What is not done after some seconds is gone on with the next time.
    """
    with database.transaction(PUBLIC) as session:
        known = next((row for row in store.overview(session) if row.name == NAME), None)
        if (
            known is None
            or known.digest == known.described
            or datetime.now(UTC) - known.checked_at < still_for
        ):
            return 0
        current_index.reload_if_stale(session, now=True)
        context.reload_if_stale(session)
    changed, ends = 0, time.monotonic() + seconds
    after = tuple(known.progress.split(" ")) if known.progress else _FIRST
    while time.monotonic() < ends:
        with database.transaction(PLATFORM) as session:
            listed = rows.next_assertions(session, after, _CHUNK)
        if not listed:
            _note(
                database,
                known.digest,
                described=known.digest,
                described_as_of=known.obtained_at,
                progress=None,
            )
            return changed
        changed += _map_chunk(database, listed)
        after = (listed[-1].tenant, listed[-1].id, listed[-1].source)
    _note(database, known.digest, progress=" ".join(after))
    return changed


def _note(database: Database, digest: str, **values: Any) -> None:
    """Write down how far it came, unless another index arrived in the meantime."""
    with database.transaction(PUBLIC) as session:
        store.change(session, NAME, digest, **values)


def _map_chunk(database: Database, listed: Sequence[Any]) -> int:
    outdated: dict[str, set[str]] = {}
    for row in listed:
        if current_index.stands_for(row.malware, tuple(row.tags)) != tuple(row.attack):
            outdated.setdefault(row.tenant, set()).add(row.id)
    return sum(_map(database, tenant, sorted(ids)) for tenant, ids in outdated.items())


def _map(database: Database, tenant: str, ids: Sequence[str]) -> int:
    """Map the assertions about some observables, as they are now that nobody else writes them."""
    mapped: list[Mapped] = []
    changes: list[Change] = []
    with database.transaction(tenant) as session:
        repository.lock(session, {bucket(identity) for identity in ids})
        now = datetime.now(UTC)
        for identity, one in repository.known(session, tenant, ids).items():
            fresh = _mapped(identity, one)
            mapped += fresh
            changes += _announced(identity, one, fresh, now)
        rows.change(session, tenant, mapped)
        rescore.publish_changes(session, tenant, changes, "enrichment")
    return len(mapped)


def _mapped(identity: str, one: ObservableState) -> list[Mapped]:
    found = []
    for source, said in one.assertions.items():
        attack = current_index.stands_for(said.malware, said.tags)
        if attack != said.attack:
            found.append(Mapped(identity, source, attack))
    return found


def _announced(
    identity: str, one: ObservableState, fresh: Sequence[Mapped], now: datetime
) -> list[Change]:
    """The change of an observable for whoever reads it; its score does not depend on ATT&CK."""
    attack = {said.source: said.attack for said in fresh}
    before = [said for said in one.said if said.active(now)]
    after = [said._replace(attack=attack.get(said.source_id, said.attack)) for said in before]
    if plan.techniques(before) == plan.techniques(after):
        return []
    return [plan.changed(identity, one, one.score, after)]
