"""The index of ATT&CK is built from the cards of techniques and stored like a dataset."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session

from services.observables.attack import index, repository
from services.observables.attack.current_index import DATASET
from services.observables.reference.service import store_dataset
from shared.events.mitre import TechniqueCard


def store_cards(
    session: Session, cards: Iterable[TechniqueCard], *, origin: str, obtained_at: datetime
) -> None:
    """Store cards, and build the index of all that are stored; the session is that of `public`."""
    # Writers of partitions follow each other, so the last one's index has the cards of all.
    repository.lock(session)
    repository.upsert_cards(session, cards)
    packed = index.pack(repository.list_cards(session))
    store_dataset(session, DATASET, packed, origin=origin, obtained_at=obtained_at)
