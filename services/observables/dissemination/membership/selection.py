"""What a list selects of the observables that are stored, and which guard refuses it."""

from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.lists.fields import parse_list_filter
from services.observables.dissemination.lists.guards import Guard, protected_of
from services.observables.dissemination.lists.models import ListRow
from services.observables.dissemination.lists.repository import protected_values
from services.observables.dissemination.membership.repository import fills
from services.observables.dissemination.membership.repository.fills import StagedRow, StoredMatch
from services.observables.dissemination.membership.subjects import (
    Subject,
    harmless_pattern,
    read_states,
    subject_of,
)
from shared.filters.matcher import Environment
from shared.stix.markings import strictest


def select_members(
    session: Session, row: ListRow, environment: Environment, ids: Collection[UUID] | None = None
) -> Iterator[Sequence[StagedRow]]:
    """What a list selects, in pages.

    Args:
        session: of the platform.
        row: the list.
        environment: the moment of the selection.
        ids: look at these observables alone; None for all.
    """
    expression = parse_list_filter(row.filter)
    protected = protected_of([each.value for each in protected_values(session, row.tenant)])
    guard = Guard(row.profile, row.tlp_ceiling, protected)
    is_exact = expression.sql(fills.COLUMNS, environment).is_exact
    harmless = harmless_pattern()
    for page in fills.select_matches(session, row, expression, environment, harmless, ids):
        doubtful = [match.id for match in page if match.is_marked or not is_exact]
        subjects = _subjects(session, row.tenant, doubtful, environment)
        if not is_exact:
            chosen = expression.selector(subjects.values(), environment)
            selected = {UUID(subject.id[-36:]) for subject in chosen}
            yield [_refused(each, guard, subjects[each.id]) for each in page if each.id in selected]
        else:
            yield [_refused(each, guard, subjects.get(each.id)) for each in page]


def _subjects(
    session: Session, tenant: str, ids: Sequence[UUID], environment: Environment
) -> dict[UUID, Subject]:
    if not ids:
        return {}
    states = read_states(session, tenant, ids)
    return {
        observable: subject_of(observable, state, environment.now)
        for observable, state in states.items()
    }


def _refused(match: StoredMatch, guard: Guard, subject: Subject | None) -> StagedRow:
    tlp = strictest([subject.tlp if subject else "clear", match.marking or None]) or "clear"
    refusal = guard.refusal(match.type, match.value, tlp, is_allow_listed=match.is_allow_listed)
    return StagedRow(match.id, match.type, match.value, match.score, refusal)
