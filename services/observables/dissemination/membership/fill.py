"""Fill lists that are new or were edited: all observables are looked at, once."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.lists.fields import parse_list_filter
from services.observables.dissemination.lists.guards import Guard, protected_of
from services.observables.dissemination.lists.models import ListRow
from services.observables.dissemination.lists.repository import protected_values
from services.observables.dissemination.membership.repository import changes, fills
from services.observables.dissemination.membership.repository.fills import StoredMatch
from services.observables.dissemination.membership.subjects import (
    Subject,
    harmless_pattern,
    read_states,
    subject_of,
)
from services.observables.dissemination.retries import RetrySchedule
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.errors import SentinelIQError
from shared.filters.matcher import Environment
from shared.stix.markings import strictest
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

PATIENCE: Final = 300
"""Seconds that one statement may take."""
_RETRIES: Final = RetrySchedule()

_Row = tuple[UUID, str, str, int, str | None]


def fill_lists(database: Database) -> int:
    """Fill all lists that were edited since they were filled; how many were.

    A list that cannot be filled is tried again later and later, unless it is edited.
    """
    with database.transaction(PLATFORM) as session:
        changes.renew_marked(session)
        waiting = changes.unfilled(session)
    filled = 0
    for list_id, revision in waiting:
        if not _RETRIES.is_due((list_id, revision)):
            continue
        try:
            filled += fill_list(database, list_id)
        except SentinelIQError as error:
            pause = _RETRIES.note_failure((list_id, revision))
            log.warning(
                "list.not_filled",
                list=str(list_id),
                reason=error.message,
                again_in_seconds=pause,
            )
            with database.transaction(PLATFORM) as session:
                changes.note_failure(session, list_id, error.message)
        else:
            _RETRIES.note_success((list_id, revision))
    return filled


def fill_list(database: Database, list_id: UUID) -> bool:
    """Fill a list in one transaction, which holds its lock: no change overtakes it.

    Returns:
        Whether it had to be filled.
    """
    with database.transaction(PLATFORM, PATIENCE) as session:
        rows = changes.lock_some(session, [list_id])
        if not rows or rows[0].filled_revision == rows[0].revision:
            return False
        row = rows[0]
        moment = database_now(session)
        changes.note_sources(session, list_id)
        fills.stage(session, _refused_rows(session, row, Environment(moment)))
        version = fills.apply_stage(session, row, moment)
        number = row.last_change_number + version.joins + version.departures
        values = {
            "last_change_number": number,
            "members": version.members,
            "filled_revision": row.revision,
            "fill_error": "",
        }
        if row.state == "active":
            values |= {
                "published_number": number,
                "baseline": version.members,
                "baseline_at": moment,
            }
        changes.update_list(session, list_id, values)
    log.info("list.filled", tenant=row.tenant, list=row.name, members=version.members)
    return True


def _refused_rows(
    session: Session, row: ListRow, environment: Environment
) -> Iterator[Sequence[_Row]]:
    """What a list selects, in pages, each with the guard that refuses it."""
    expression = parse_list_filter(row.filter)
    protected = protected_of([each.value for each in protected_values(session, row.tenant)])
    guard = Guard(row.profile, row.tlp_ceiling, protected)
    is_exact = expression.sql(fills.COLUMNS, environment).is_exact
    for page in fills.select_matches(session, row, expression, environment, harmless_pattern()):
        doubtful = [match.id for match in page if match.is_marked or not is_exact]
        subjects = _subjects(session, row.tenant, doubtful, environment)
        if not is_exact:
            chosen = expression.selector(subjects.values(), environment)
            ids = {UUID(subject.id[-36:]) for subject in chosen}
            yield [_refused(each, guard, subjects[each.id]) for each in page if each.id in ids]
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


def _refused(match: StoredMatch, guard: Guard, subject: Subject | None) -> _Row:
    tlp = strictest([subject.tlp if subject else "clear", match.marking or None]) or "clear"
    refusal = guard.refusal(match.type, match.value, tlp, is_allow_listed=match.is_allow_listed)
    return (match.id, match.type, match.value, match.score, refusal)
