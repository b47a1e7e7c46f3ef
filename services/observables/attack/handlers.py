"""The cards of techniques come in over Kafka."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.observables.attack import service
from shared.errors import InvalidInput
from shared.events import Event
from shared.events.mitre import TECHNIQUES, TechniqueCard
from shared.timestamps import parse_timestamp


def handle_techniques(session: Session, events: Sequence[Event[TechniqueCard]]) -> None:
    """Store cards, and build the index of all.

    Raises:
        InvalidInput: the time of an event is none.
    """
    try:
        sent_at = max(parse_timestamp(event.time) for event in events)
    except ValueError as error:
        raise InvalidInput(f"The time of an event is unreadable: {error}") from None
    cards = [event.data for event in events]
    service.store_cards(session, cards, origin=TECHNIQUES.name, obtained_at=sent_at)
