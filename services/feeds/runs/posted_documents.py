"""What clients post into collections is read as the documents of a feed, one feed for a collection.

An event leads to one run: the run's id is derived from the event's, and the transaction that adds
the run is the one that moves the consumer's offset.
"""

import re
from typing import Any, Final, cast, get_args
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from services.feeds.payloads.store import PayloadStore
from services.feeds.runs.models import NewRun
from services.feeds.runs.repository import records
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed, FeedColumns
from services.feeds.subscriptions.schemas import FeedSettings
from services.feeds.subscriptions.vocabulary import Tlp
from shared.errors import InvalidInput, Unavailable
from shared.events import Event, derived_id
from shared.events.observables import POSTED, ObjectsPosted
from shared.settings import load_settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_MAX_NAME: Final = 100
_UNNAMEABLE: Final = re.compile(r"[^A-Za-z0-9 ._:/()+-]+")
_UNORIGINAL: Final = re.compile(r"[^a-z0-9._-]+")
_STRICTEST: Final = "red"


def add_document(session: Session, event: Event[ObjectsPosted]) -> bool:
    """Add a run that reads posted objects; False if the event has led to one already.

    Raises:
        InvalidInput: the event has no objects.
        Unavailable: the disk does not take them; a retry is safe.
    """
    posted = event.data
    if not posted.objects:
        raise InvalidInput("An event of posted objects has none.", field="objects")
    feed = _feed_of(session, event.tenant, posted)
    subscriptions.lock_feed(session, feed.id)
    run_id = run_of(event.tenant, posted)
    if records.has_run(session, run_id):
        return False
    # Before the run: a file to which nothing refers is removed after a day.
    payloads = PayloadStore(load_settings().data_dir)
    try:
        digest = payloads.add_content(msgspec.json.encode({"objects": posted.objects}))
    except OSError as error:
        # Of the disk, not of the objects: the event waits until there is room.
        raise Unavailable(f"The posted objects cannot be stored now: {error.strerror}.") from error
    run = NewRun(
        event.tenant, feed.id, posted.actor, "upload", digest, is_confirmed=True, id=run_id
    )
    records.insert_run(session, run)
    log.info("run.posted", run=str(run_id), feed=str(feed.id), objects=len(posted.objects))
    return True


def feed_id_of(tenant: str, collection: UUID) -> UUID:
    """The id of the feed that stands for a collection."""
    return UUID(derived_id("feed", tenant, collection))


def run_of(tenant: str, posted: ObjectsPosted) -> UUID:
    """The id of the run that reads posted objects."""
    return UUID(derived_id(POSTED.name, "run", tenant, posted.post_id, posted.piece))


def _feed_of(session: Session, tenant: str, posted: ObjectsPosted) -> Feed:
    """The feed of a collection; it is made when the first objects come.

    Its origin is the client that posts them: one that fills several collections counts once.
    """
    tlp = posted.tlp if posted.tlp in get_args(Tlp) else _STRICTEST
    # Who posts into several collections is one witness.
    origin = "taxii-" + _UNORIGINAL.sub("-", posted.actor.lower())
    stated = {"format": "stix", "kind": "stream", "tlp": tlp, "origin": origin[:_MAX_NAME]}
    settings: dict[str, Any] = FeedSettings.model_validate(stated).model_dump()
    identity = feed_id_of(tenant, posted.collection_id)
    title = _UNNAMEABLE.sub("-", posted.collection).strip()[:_MAX_NAME]
    names = (f"TAXII {title}".strip(), f"TAXII {posted.collection_id}")
    return subscriptions.ensure_feed_of_id(
        session, tenant, identity, names, cast("FeedColumns", settings), posted.actor
    )
