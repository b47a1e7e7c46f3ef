"""Handlers of events of the observables service: what it applied of runs, what was posted there."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from services.feeds.quotas.limits import RUNS
from services.feeds.runs.accounts import account_for
from services.feeds.runs.posted_documents import add_document
from shared.events import Event
from shared.events.observables import ObjectsPosted, RunApplied
from shared.quotas import note_use
from shared.timestamps import parse_timestamp


def handle_applied(session: Session, events: Sequence[Event[RunApplied]]) -> None:
    """Account for runs: one that was applied has succeeded, one that was not is said again."""
    for event in events:
        account_for(session, event.data, _time_of(event))


def handle_posted(session: Session, events: Sequence[Event[ObjectsPosted]]) -> None:
    """Let the feeds of collections read what was posted; an event that comes again adds nothing.

    The runs count in the tenant's quota, even beyond it: the client has been told that its
    document is accepted, and quotas of the observables service bound what it may post.
    """
    added = Counter(event.tenant for event in events if add_document(session, event))
    # Behind all feeds: whoever uses a quota has locked its feed before.
    for tenant in sorted(added):
        note_use(session, tenant, RUNS, added[tenant])


def _time_of(event: Event[RunApplied]) -> datetime | None:
    """When an event happened; None if it does not say so."""
    try:
        return parse_timestamp(event.time)
    except ValueError:
        return None
