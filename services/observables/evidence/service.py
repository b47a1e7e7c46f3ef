"""Measure which sources copy others, apply it to scores, and list what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.evidence.copies import (
    CopiedPair,
    SourceOrigin,
    measure_copies,
    steady,
)
from services.observables.evidence.listings import Listings
from services.observables.evidence.repository import copies as repository
from services.observables.evidence.repository.copies import ListedSource, PairRow
from services.observables.evidence.repository.rescoring import put_rescoring
from services.observables.evidence.rescoring import PATIENCE, id_ranges, mark_scores
from services.observables.reference.list_effects import list_effects
from services.observables.scoring.measurements import read_measurements, write_measurements
from services.observables.store.repository import write
from shared.database import PLATFORM, Database
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_PAGE: Final = 50_000
"""Assertions of one page, about."""
MAX_PAGES: Final = 20
"""Pages that are read of each tenant: a million assertions are enough to tell who copies."""
_HARMLESS: Final = 0.5
"""An entry of an allow-list that takes at least this share of a score says: harmless."""

Copies = Mapping[str, float]


@dataclass(slots=True)
class MeasuredSources:
    """What a measurement did.

    Attributes:
        tenants: those with sources.
        pairs: pairs of sources of which one copies the other.
        changed: sources whose measurements are others now.
        due: scores that are computed again because of that.
    """

    tenants: int = 0
    pairs: int = 0
    changed: int = 0
    due: int = 0


def measure_sources(database: Database) -> MeasuredSources:
    """Measure the sources of every tenant, and apply what was measured."""
    outcome = MeasuredSources()
    tenants, pages = sampled_pages(database)
    for tenant in tenants:
        _measure_tenant(database, tenant, pages, outcome)
        outcome.tenants += 1
        outcome.due += mark_scores(database)
    return outcome


def sampled_pages(database: Database) -> tuple[list[str], int]:
    """The tenants with sources, and into how many ranges of ids their rows are to be divided."""
    with database.transaction(PLATFORM) as session:
        tenants = repository.tenants_with_sources(session)
        estimate = repository.estimated_assertions(session)
    return tenants, min(max(-(-estimate // _PAGE), 1), 4096)


def harmless_words() -> list[str]:
    """The words of allow-lists that say that a value is harmless."""
    return [word for word, share in list_effects().weights.items() if share >= _HARMLESS]


def list_pairs(database: Database, tenant: str) -> list[sa.Row[Any]]:
    """The pairs of sources of which one copies the other, as the tenant sees them."""
    with database.transaction(tenant) as session:
        return repository.list_pairs(session)


def _measure_tenant(database: Database, tenant: str, pages: int, outcome: MeasuredSources) -> None:
    with database.transaction(tenant) as session:
        sources = repository.list_sources(session, tenant)
    listings = _read_listings(database, tenant, sources, pages)
    origins = [
        SourceOrigin(str(source.id), source.origin or str(source.id), source.derived_from)
        for source in sources
    ]
    pairs = [
        _of_own(pair, sources, tenant)
        for pair in measure_copies(listings, origins)
        if tenant in {sources[pair.copier].tenant, sources[pair.original].tenant}
    ]
    with database.transaction(tenant) as session:
        moved = _store(session, tenant, sources, pairs)
    outcome.pairs += len(pairs)
    outcome.changed += len(moved)
    for copier, originals in moved.items():
        log.info("source.measured", tenant=tenant, source=str(copier), copies=len(originals))


def _read_listings(
    database: Database, tenant: str, sources: list[ListedSource], pages: int
) -> Listings:
    """Who lists what: all of it, or of many observables a sample. Ids are hashes."""
    harmless = harmless_words()
    listings = Listings()
    starts: dict[UUID, datetime] = {}
    for ids in list(id_ranges(pages))[:MAX_PAGES]:
        with database.transaction(tenant, PATIENCE) as session:
            if not starts:
                starts = repository.first_days(session, tenant, ids)
            dated = [(source.id, starts.get(source.id)) for source in sources]
            rows = repository.read_listings(session, tenant, dated, harmless, ids)
        for row in rows:
            listings.add(row.type, row.listings, row.observables, is_mistake=row.is_mistake)
    return listings


def _of_own(pair: CopiedPair, sources: list[ListedSource], tenant: str) -> CopiedPair:
    """A pair with a source of the tenant as the copier: what is public is the same for all."""
    if sources[pair.copier].tenant == tenant:
        return pair
    return pair._replace(
        copier=pair.original, original=pair.copier, earlier=pair.later, later=pair.earlier
    )


def _store(
    session: Session, tenant: str, sources: list[ListedSource], pairs: list[CopiedPair]
) -> dict[UUID, list[UUID]]:
    """Store pairs; return, by source, the others of which it is news that it copies them, or not.

    The row of a source holds what its scores need, with its past.
    """
    rows = [
        PairRow(sources[pair.copier].id, sources[pair.original].id, *pair[2:]) for pair in pairs
    ]
    repository.replace_pairs(session, tenant, rows)
    moved: dict[UUID, list[UUID]] = {}
    for source in sources:
        if source.tenant != tenant:
            continue
        before = read_measurements(source.measurements)
        stored = dict(before.copies)
        measured = {
            str(row.original_id): row.probability for row in rows if row.copier_id == source.id
        }
        fresh = steady(measured, stored)
        if fresh != stored:
            text = write_measurements(fresh, before.reliability)
            write.put_measurements(session, tenant, source.id, text)
            names = fresh.keys() | stored.keys()
            moved[source.id] = [
                UUID(name) for name in sorted(names) if fresh.get(name) != stored.get(name)
            ]
            for original in moved[source.id]:
                put_rescoring(session, tenant, source.id, original)
    return moved
