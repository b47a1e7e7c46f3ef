"""Observables as they are now, as the filters of lists see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.reference.list_effects import list_effects
from services.observables.scoring.inputs import ObservableState
from services.observables.store.changes import attack_ids, labels
from services.observables.store.repository import read
from shared.stix.ids import stix_type

_HARMLESS: Final = 0.5
"""An entry of an allow-list that takes at least this share of a score says: harmless."""


class Subject(NamedTuple):
    """An observable, with the attributes that `LIST_MODEL` names."""

    id: str
    type: str
    value: str
    score: int
    tags: tuple[str, ...]
    attack: tuple[str, ...]
    sources: int
    tlp: str


def harmless_pattern() -> str:
    """The regular expression of a stored context with an entry of an allow-list that counts."""
    weights = list_effects().weights
    words = sorted(word for word, share in weights.items() if share >= _HARMLESS)
    return f'"({"|".join(words)})"\\]'


def read_states(session: Session, tenant: str, ids: Sequence[UUID]) -> dict[UUID, ObservableState]:
    """What is stored about observables, as a tenant sees it."""
    states = read.read_states(session, tenant, [str(observable) for observable in ids])
    return {UUID(identity): state for identity, state in states.items()}


def subject_of(observable: UUID, state: ObservableState, now: datetime) -> Subject:
    """An observable as it is at a moment."""
    active = state.active(now)
    return Subject(
        f"{stix_type(state.type)}--{observable}",
        state.type,
        state.value,
        state.evaluate(now).score,
        labels(active),
        attack_ids(active),
        len(active),
        state.marking(active),
    )
