"""Keep the bitmaps of sources current, and report what sources are worth."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import zstandard
from pyroaring import BitMap
from sqlalchemy.orm import Session

from services.observables import NAME
from services.observables.evidence.service import harmless_words
from services.observables.source_values import repository
from services.observables.source_values.models import (
    AssertedBucket,
    BitmapRow,
    StaleBucket,
    ValuedSource,
)
from services.observables.source_values.report import (
    Cover,
    Listing,
    SourceFigures,
    figures_of,
    overlaps,
    smallest_cover,
    union_of,
)
from services.observables.source_values.schemas import (
    CoverView,
    SourceCost,
    SourceValueReport,
    SourceValueView,
)
from shared.audit import changes_between
from shared.clock import database_now
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import NotFound
from shared.kafka.outbox import audit

SWEEP_SECONDS: Final = 10.0
_AT_ONCE: Final = 512
"""Bitmaps of one transaction."""
_LONGEST_SECONDS: Final = 300.0
_PATIENCE: Final = 60
_DAY: Final = 86_400
_AGES: Final = (_DAY, 7 * _DAY, 30 * _DAY)
_EMPTY: Final = BitMap().serialize()


def refresh_bitmaps(database: Database) -> int:
    """Renew the bitmaps that are older than what is stored; how many."""
    harmless = f'"({"|".join(sorted(harmless_words()))})"\\]'
    deadline = time.monotonic() + _LONGEST_SECONDS
    renewed = 0
    while time.monotonic() < deadline:
        with database.transaction(PLATFORM, _PATIENCE) as session:
            stale = repository.list_stale(session, _AT_ONCE)
            if not stale:
                break
            for (tenant, bucket), group in _by_bucket(stale):
                sources = [entry.source_id for entry in group]
                rows = repository.read_asserted(session, tenant, sources, bucket, harmless)
                repository.put_bitmaps(session, list(_bitmaps(group, rows)))
        renewed += len(stale)
    return renewed


def report_values(database: Database, tenant: str) -> SourceValueReport:
    """What the sources that a tenant sees are worth."""
    tenants = _visible(tenant)
    with database.transaction(tenant, _PATIENCE) as session:
        now = database_now(session)
        sources = repository.list_sources(session, tenant, tenants)
        rows = repository.list_bitmaps(session, tenants)
    listings = _listings(sources, rows)
    cover = smallest_cover(listings)
    figures = figures_of(listings, int(now.timestamp()), _AGES)
    return SourceValueReport(
        reported_at=now,
        observables=len(union_of(listings)),
        sources=list(map(_view, sources, figures)),
        overlaps=overlaps(listings),
        cover=_cover_view(sources, cover),
    )


def set_cost(
    database: Database, tenant: str, actor: str, source_id: UUID, cost: SourceCost
) -> SourceCost:
    """State what a source costs a tenant in a year.

    Raises:
        NotFound: the tenant sees no such source.
    """
    values = cost.model_dump()
    with database.transaction(tenant) as session:
        _require_source(session, tenant, source_id)
        before = repository.get_cost(session, tenant, source_id)
        repository.put_cost(session, tenant, source_id, values, actor)
        changes = changes_between(before, values)
        audit(session, NAME, tenant, actor, "sources.set_cost", source_id, changes)
    return cost


def _require_source(session: Session, tenant: str, source_id: UUID) -> None:
    if not repository.has_source(session, _visible(tenant), source_id):
        raise NotFound(f"There is no source {source_id}.")


def _visible(tenant: str) -> list[str]:
    return [tenant] if tenant == PUBLIC else [tenant, PUBLIC]


def _by_bucket(
    stale: Sequence[StaleBucket],
) -> Iterator[tuple[tuple[str, int], list[StaleBucket]]]:
    """Stale bitmaps of one tenant and bucket together."""
    groups: dict[tuple[str, int], list[StaleBucket]] = defaultdict(list)
    for entry in stale:
        groups[entry.tenant, entry.bucket].append(entry)
    yield from groups.items()


def _bitmaps(
    stale: Sequence[StaleBucket], rows: Sequence[AssertedBucket]
) -> Iterator[tuple[StaleBucket, bytes, bytes, bytes]]:
    """The bitmaps as they are stored; empty of a source that asserts nothing."""
    compressor = zstandard.ZstdCompressor(level=1)
    by_source = {row.source_id: row for row in rows}
    for entry in stale:
        row = by_source.get(entry.source_id)
        if row is None:
            yield entry, _EMPTY, compressor.compress(b""), _EMPTY
            continue
        members = BitMap(_numbers(row.numbers)).serialize()
        harmless = BitMap(_numbers(row.harmless)).serialize()
        yield entry, members, compressor.compress(row.times), harmless


def _numbers(packed: bytes) -> Any:
    """32-bit numbers of the network's byte order, as an array."""
    return np.frombuffer(packed, ">u4").astype(np.uint32)


def _listings(sources: Sequence[ValuedSource], rows: Sequence[BitmapRow]) -> list[Listing]:
    """What each source lists, of the bitmaps of all buckets."""
    by_source: dict[UUID, list[BitmapRow]] = defaultdict(list)
    for row in rows:
        by_source[row.source_id].append(row)
    return [_listing(by_source[source.id]) for source in sources]


def _listing(rows: Sequence[BitmapRow]) -> Listing:
    decompressor = zstandard.ZstdDecompressor()
    members = [BitMap.deserialize(row.members) for row in rows]
    times = [_numbers(decompressor.decompress(row.times)) for row in rows]
    numbers = [np.asarray(bitmap.to_array(), np.int64) for bitmap in members]
    empty = [np.empty(0, np.int64)]
    return Listing(
        BitMap.union(*members) if members else BitMap(),
        np.concatenate(numbers or empty),
        np.concatenate(times or empty).astype(np.int64),
        BitMap.union(*(BitMap.deserialize(row.harmless) for row in rows)) if rows else BitMap(),
    )


def _view(source: ValuedSource, figures: SourceFigures) -> SourceValueView:
    lists = figures.observables
    cost = source.yearly_cost
    return SourceValueView(
        id=source.id,
        tenant=source.tenant,
        name=source.name,
        applied_at=source.applied_at,
        observables=lists,
        unique=figures.unique,
        unique_share=round(figures.unique / lists, 4) if lists else 0.0,
        shared=figures.shared,
        first=figures.first,
        lead_seconds=figures.lead_seconds,
        lag_seconds=figures.lag_seconds,
        fresh_day=figures.fresh[_DAY],
        fresh_week=figures.fresh[7 * _DAY],
        fresh_month=figures.fresh[30 * _DAY],
        harmless=figures.harmless,
        false_positives=source.false_positives,
        sightings=source.sightings,
        yearly_cost=cost,
        currency=source.currency,
        cost_per_unique=None
        if cost is None or not figures.unique
        else round(cost / figures.unique, 4),
    )


def _cover_view(sources: Sequence[ValuedSource], cover: Cover) -> CoverView:
    return CoverView(
        sources=[sources[place].name for place in cover.places],
        reached=cover.reached,
        is_smallest=cover.is_smallest,
    )
