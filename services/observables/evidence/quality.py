"""Learn how far sources can be relied on, propose it, and apply it where the tenant says so."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.evidence.learning import (
    FEWEST_LABELS,
    Outcomes,
    applied_reliability,
    learned_reliability,
)
from services.observables.evidence.repository import outcomes as repository
from services.observables.evidence.repository.outcomes import GradedSource, QualityRow
from services.observables.evidence.repository.rescoring import put_rescoring
from services.observables.evidence.rescoring import PATIENCE, id_ranges, mark_scores
from services.observables.evidence.service import MAX_PAGES, harmless_words, sampled_pages
from services.observables.scoring.measurements import read_measurements, write_measurements
from services.observables.store.repository import write
from shared.audit import changes_between
from shared.database import Database
from shared.kafka.outbox import audit
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_WITNESS: Final = 70
"""The reliability from which on a source confirms what others list."""
_DEPENDENT: Final = 0.5
"""A source that copies another with this probability confirms nothing."""

_ByType = dict[UUID, dict[str, tuple[Outcomes, int, int]]]


@dataclass(slots=True)
class LearnedSources:
    """What was learned.

    Attributes:
        proposed: sources of which enough came out.
        applied: those of which another reliability counts now.
        rescored: scores that are computed again because of that.
    """

    proposed: int = 0
    applied: int = 0
    rescored: int = 0


def learn_sources(database: Database) -> LearnedSources:
    """Learn the reliability of every tenant's sources, and apply it where that is wanted."""
    result = LearnedSources()
    tenants, pages = sampled_pages(database)
    for tenant in tenants:
        _learn_tenant(database, tenant, pages, result)
        result.rescored += mark_scores(database)
    return result


def list_quality(database: Database, tenant: str) -> list[sa.Row[Any]]:
    """What came out about the listings of the sources that a tenant sees."""
    with database.transaction(tenant) as session:
        return repository.list_quality(session)


def show_policy(database: Database, tenant: str) -> bool:
    """Whether what is learned counts in a tenant's scores."""
    with database.transaction(tenant) as session:
        return repository.is_learning_applied(session, tenant)


def set_policy(database: Database, tenant: str, actor: str, *, applies_learning: bool) -> None:
    """Let what is learned count, or not; it does from the next measurement on."""
    with database.transaction(tenant) as session:
        before = repository.is_learning_applied(session, tenant)
        repository.put_policy(session, tenant, applies_learning=applies_learning)
        changes = changes_between(
            {"applies_learning": before}, {"applies_learning": applies_learning}
        )
        audit(session, SERVICE, tenant, actor, "evidence.policy", tenant, changes)


def _learn_tenant(database: Database, tenant: str, pages: int, result: LearnedSources) -> None:
    with database.transaction(tenant) as session:
        sources = repository.graded_sources(session, tenant)
    by_source = _read_outcomes(database, tenant, sources, pages)
    own = [source for source in sources if source.tenant == tenant]
    with database.transaction(tenant) as session:
        moved = _store(session, tenant, own, by_source, result)
    for source in moved:
        result.applied += 1
        log.info("source.learned", tenant=tenant, source=str(source))


def _read_outcomes(
    database: Database, tenant: str, sources: list[GradedSource], pages: int
) -> _ByType:
    witnesses = [(source.id, _origin_of(source)) for source in sources]
    harmless = harmless_words()
    by_source: _ByType = defaultdict(dict)
    for ids in list(id_ranges(pages))[:MAX_PAGES]:
        with database.transaction(tenant, PATIENCE) as session:
            rows = repository.read_outcomes(session, tenant, witnesses, harmless, ids)
        for row in rows:
            before, right, wrong = by_source[row.source].get(row.type, (Outcomes(), 0, 0))
            fresh = Outcomes(row.right, row.wrong, row.right_count + row.wrong_count)
            by_source[row.source][row.type] = (
                before.plus(fresh),
                right + row.right_count,
                wrong + row.wrong_count,
            )
    return by_source


def _origin_of(source: GradedSource) -> str:
    """Whose word a source is, as a witness for others; empty if it is none."""
    copies = read_measurements(source.measurements).copies
    is_dependent = any(probability >= _DEPENDENT for _, probability in copies)
    if source.reliability < _WITNESS or source.derived_from or is_dependent:
        return ""
    return source.origin or str(source.id)


def _store(
    session: Session,
    tenant: str,
    sources: list[GradedSource],
    by_source: _ByType,
    result: LearnedSources,
) -> list[UUID]:
    """Store the quality of a tenant's own sources; return those whose reliability moved."""
    applies = repository.is_learning_applied(session, tenant)
    rows: list[QualityRow] = []
    moved: list[UUID] = []
    for source in sources:
        by_type = by_source.get(source.id, {})
        whole = Outcomes()
        for outcomes, _, _ in by_type.values():
            whole = whole.plus(outcomes)
        result.proposed += whole.labels >= FEWEST_LABELS
        before = read_measurements(source.measurements)
        learned = learned_reliability(source.reliability, whole)
        applied = (
            applied_reliability(source.reliability, learned, whole.labels, before.reliability)
            if applies
            else None
        )
        rows += _quality_rows(source, by_type, whole, is_applied=applied is not None)
        if applied != before.reliability:
            text = write_measurements(dict(before.copies), applied)
            write.put_measurements(session, tenant, source.id, text)
            put_rescoring(session, tenant, source.id, source.id)
            moved.append(source.id)
    repository.replace_quality(session, tenant, rows)
    return moved


def _quality_rows(
    source: GradedSource,
    by_type: dict[str, tuple[Outcomes, int, int]],
    whole: Outcomes,
    *,
    is_applied: bool,
) -> list[QualityRow]:
    """The rows of a source: all types together, then each."""
    if not by_type:
        return []
    right = sum(count for _, count, _ in by_type.values())
    wrong = sum(count for _, _, count in by_type.values())
    every = {"": (whole, right, wrong), **by_type}
    return [
        QualityRow(
            source.id,
            type_,
            right_count,
            wrong_count,
            source.reliability,
            *learned_reliability(source.reliability, outcomes),
            is_applied,
        )
        for type_, (outcomes, right_count, wrong_count) in every.items()
    ]
