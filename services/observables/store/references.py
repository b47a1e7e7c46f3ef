"""Observables by their values, by their ids, and in short."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from annotated_types import MaxLen
from sqlalchemy.orm import Session

from services.observables.scoring.claims import Verdict
from services.observables.scoring.inputs import ObservableState
from services.observables.scoring.score import verdict
from services.observables.store.repository import read
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, Observable, ObservableType, detect, normalise
from shared.stix.ids import stix_type

ObservableTypeName = Annotated[
    str, msgspec.Meta(extra_json_schema={"enum": [type_.value for type_ in ObservableType]})
]
"""A type of observable, as the database gives it."""


class ObservableReference(msgspec.Struct):
    """An observable in short, where another one is looked up."""

    id: str
    type: ObservableTypeName
    value: str
    score: int
    verdict: Verdict


def reference_to(identity: str, state: ObservableState, now: datetime) -> ObservableReference:
    """The reference to an observable, with its score at a moment."""
    score = state.evaluate(now).score
    stix_id = f"{stix_type(state.type)}--{identity}"
    return ObservableReference(stix_id, state.type, state.value, score, verdict(score))


def read_references(
    session: Session, tenant: str, ids: Iterable[str], now: datetime
) -> dict[str, ObservableReference]:
    """References to the observables that the tenant sees, by their UUIDs."""
    states = read.read_states(session, tenant, list(ids))
    return {
        identity: reference_to(identity, state, now)
        for identity, state in states.items()
        if state.visible
    }


def observable_of(value: str, type_: ObservableType | None, field: str) -> Observable:
    """The observable that a text is, of a type or of the one it looks like; it may be defanged.

    Raises:
        InvalidInput: the text is no observable, with the reason.
    """
    try:
        return detect(value) if type_ is None else Observable(type_, normalise(type_, value))
    except NotAnObservable as error:
        raise InvalidInput(f"{field}: {error}", field=field) from None


StixId = Annotated[str, MaxLen(200)]
"""A STIX id, as a path has it."""


def uuid_of(identity: str) -> str:
    """The UUID of a STIX id.

    Raises:
        InvalidInput: the text is no STIX id.
    """
    try:
        return str(UUID(identity.partition("--")[2]))
    except ValueError:
        raise InvalidInput(f"{identity!r} is no STIX id of an observable.", field="id") from None
