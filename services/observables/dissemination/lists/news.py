"""Events about lists. No I/O."""

from uuid import uuid4

from services.observables import EVENT_SOURCE
from services.observables.dissemination.lists.models import ListRow
from shared.events import Event
from shared.events.observables import LISTS, ListNews


def held_event(row: ListRow, reason: str, members: int) -> Event[ListNews]:
    """The event that a list was stopped.

    Args:
        row: the list as it was before.
        reason: why.
        members: how many it would have.
    """
    news = ListNews("held", row.id, row.name, reason, row.published_number, members, row.baseline)
    return list_event(row.tenant, news)


def released_event(row: ListRow) -> Event[ListNews]:
    """The event that a person let a list go on."""
    news = ListNews(
        "released", row.id, row.name, "", row.last_change_number, row.members, row.baseline
    )
    return list_event(row.tenant, news)


def list_event(tenant: str, news: ListNews) -> Event[ListNews]:
    """An event about a list or a consumer, keyed by it."""
    subject = news.consumer_id or news.list_id
    return Event(LISTS, news, tenant, EVENT_SOURCE, key=subject.bytes, id=str(uuid4()))
