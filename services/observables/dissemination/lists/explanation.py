"""Why a value is in a list, or is not."""

from uuid import UUID

import msgspec

from services.observables.dissemination.lists import repository
from services.observables.dissemination.lists.models import CAPACITY, ChangeRow, EntryRow
from services.observables.dissemination.lists.schemas import EntryState, Explanations
from services.observables.dissemination.lists.service import change_view, require_list
from services.observables.lookup import service as lookup
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.stix import NotAnObservable, detect, observable_uuid, stix_id

_CHANGES = 20


def explain_value(database: Database, tenant: str, list_id: UUID, value: str) -> Explanations:
    """Why a value is in a list, is not, or was refused, since when, with its score's parts.

    Raises:
        InvalidInput: the value is no observable.
        NotFound: the tenant has no such list.
    """
    try:
        observable = detect(value)
    except NotAnObservable as error:
        raise InvalidInput(f"This is no observable: {error}", field="value") from None
    uuid = UUID(bytes=observable_uuid(observable.type, observable.value))
    identity = stix_id(observable.type, observable.value)
    with database.transaction(tenant) as session:
        row = require_list(session, tenant, list_id)
        entry = repository.entry(session, list_id, uuid)
        changes = repository.changes_of(session, list_id, uuid, _CHANGES)
    try:
        score = lookup.explain(database, tenant, identity)
    except NotFound:
        score = None
    state, sentence = _state(entry, changes, row.capacity, is_stored=score is not None)
    last = changes[0].changed_at if changes else None
    return Explanations(
        state=state,
        refused_by=entry.refused_by if entry else None,
        since=entry.joined_at if entry else last,
        leaves_at=entry.leaves_at if entry else None,
        sentence=sentence,
        id=identity,
        type=observable.type,
        value=observable.value,
        score=score.score if score else None,
        contributions=msgspec.to_builtins(score.contributions) if score else [],
        changes=[change_view(change) for change in changes],
    )


def _state(
    entry: EntryRow | None, changes: list[ChangeRow], capacity: int | None, *, is_stored: bool
) -> tuple[EntryState, str]:
    """The state of an entry, and the sentence that tells it."""
    if entry is None and changes:
        return "out", f"It left the list: {changes[0].reason}."
    if entry is None:
        reason = "the filter does not match it" if is_stored else "no source names it"
        return "out", f"It is not in the list: {reason}."
    if entry.refused_by is None:
        return "in", "It is in the list."
    if entry.refused_by == CAPACITY:
        return "over capacity", f"It matches, and {capacity} others have higher scores."
    return "refused", f"It matches, and is refused: {entry.refused_by}."
