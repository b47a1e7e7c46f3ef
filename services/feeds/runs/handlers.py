"""Handler of events about runs: what the observables service applied of them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.feeds.runs.full_statements import account_for
from shared.events import Event
from shared.events.observables import RunApplied


def handle_applied(session: Session, events: Sequence[Event[RunApplied]]) -> None:
    """Account for runs: one that was applied has succeeded, one that was not is said again."""
    for event in events:
        account_for(session, event.data)
