"""Runs: start, list, reconcile and prune them; assess the health of feeds."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from services.feeds.health.assessment import MAX_RUNS
from services.feeds.health.service import update_health
from services.feeds.payloads.store import PayloadStore
from services.feeds.quotas.limits import FETCHED_BYTES, RUNS
from services.feeds.runs.models import NewRun, QueuedRun, RunInput, RunSummary, StoredDocument
from services.feeds.runs.pacing import next_time
from services.feeds.runs.repository import claims, records
from services.feeds.snapshots.store import SnapshotStore
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed, FeedColumns
from services.feeds.worker import celery
from shared.auth import Principal
from shared.database import PLATFORM, Database, is_transient
from shared.errors import Conflict, Forbidden, InvalidInput, Unavailable
from shared.keys import FEED_TIMES, keys_of
from shared.pagination import Page, decode_cursor
from shared.quotas import note_use, require_rate, spend
from shared.runtime.celery import send_hint
from shared.settings import Settings, load_settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

RUN_FEED: Final = "feeds.tasks.run_feed"
SYSTEM: Final = "system"
"""The actor of what nobody asked for."""
_HEALTH_PAGE: Final = 200


class PruneCounts(NamedTuple):
    """Files that were removed."""

    payloads: int
    snapshots: int


def start_run(database: Database, principal: Principal, feed_id: UUID) -> RunSummary:
    """Fetch a feed now; a fetch of it that waits already is the one.

    Raises:
        Forbidden, InvalidInput: as `start_feed`.
    """
    with database.transaction(principal.tenant) as session:
        feed, run_id = _insert_fetch(session, principal.tenant, feed_id, principal.actor)
        subscriptions.audit_feed(session, principal, "feeds.run", feed, run=str(run_id))
    return enqueued(database, principal, run_id)


def start_feed(database: Database, tenant: str, feed_id: UUID, actor: str) -> UUID:
    """Add a run that fetches a feed now; its id. One that waits already does the same.

    Raises:
        Forbidden: the feed is another tenant's, which is `public` then.
        InvalidInput: it has no address.
    """
    with database.transaction(tenant) as session:
        _, run_id = _insert_fetch(session, tenant, feed_id, actor)
    enqueue_run(QueuedRun(run_id, tenant), actor)
    return run_id


def _insert_fetch(session: Session, tenant: str, feed_id: UUID, actor: str) -> tuple[Feed, UUID]:
    feed = subscriptions.load_feed(session, feed_id)
    if feed.tenant != tenant:
        raise Forbidden(
            f"{feed.name} is run by the tenant {feed.tenant}; "
            "what it brings reaches this tenant, too."
        )
    if feed.url is None:
        raise InvalidInput(
            f"{feed.name} has no address to fetch; upload a payload instead.", field="url"
        )
    subscriptions.lock_feed(session, feed.id)
    run_id = records.renew_queued_fetch(session, feed.id)
    if run_id is None:
        spend(session, feed.tenant, RUNS)
        run_id = records.insert_run(session, NewRun(feed.tenant, feed.id, actor))
    return feed, run_id


def ingest(
    database: Database,
    principal: Principal,
    name: str,
    document: StoredDocument,
    settings: FeedColumns,
    keep: Callable[[], None],
) -> RunSummary:
    """Run an uploaded payload through a feed of that name, which is made when there is none.

    Args:
        database: the service's database.
        principal: uploads, into its tenant.
        name: the feed's name in the tenant.
        document: what was uploaded.
        settings: of a feed that is made; those of one that exists have to be the same.
        keep: moves the payload to its place. It is called once nothing refuses the upload any
            more, so that a refused one leaves nothing behind.

    Raises:
        Forbidden, Conflict: as `ensure_feed`.
        RateExceeded: the tenant has had as many runs as it may have.
    """
    subscriptions.check_settings(settings)
    with database.transaction(principal.tenant) as session:
        feed = subscriptions.ensure_feed(session, principal, name, settings)
        run_id = _insert_stored_run(session, feed, principal, "upload", document)
        details = {"run": str(run_id), "payload": document.payload}
        subscriptions.audit_feed(session, principal, "feeds.upload", feed, **details)
        keep()
    return enqueued(database, principal, run_id)


def require_upload(
    database: Database, principal: Principal, name: str, settings: FeedColumns
) -> None:
    """Require that somebody may upload to a feed of that name, before his upload is read.

    `ingest` decides again, in the transaction that adds the run.

    Raises:
        Forbidden, Conflict, InvalidInput: as `ingest`.
        RateExceeded: the tenant may bring no more bytes today, or start no more runs this hour.
    """
    subscriptions.check_settings(settings)
    with database.transaction(principal.tenant) as session:
        require_rate(session, principal.tenant, FETCHED_BYTES)
        require_rate(session, principal.tenant, RUNS)
        subscriptions.require_upload(session, principal, name, settings)


def note_received(database: Database, tenant: str, size: int) -> None:
    """Count the bytes of an upload, also of one that is refused afterwards."""
    if size:
        with database.transaction(tenant) as session:
            note_use(session, tenant, FETCHED_BYTES, size)


def confirm(database: Database, principal: Principal, feed_id: UUID) -> RunSummary:
    """Publish the document that is in quarantine.

    Raises:
        Conflict: no document is.
    """
    with database.transaction(principal.tenant) as session:
        feed = subscriptions.load_own_feed(session, principal.tenant, feed_id)
        if feed.quarantine is None:
            raise Conflict(f"Nothing of {feed.name} is held back.")
        document = records.get_run(session, UUID(feed.quarantine.run)).document
        run_id = _insert_stored_run(session, feed, principal, "stored", document, is_confirmed=True)
        subscriptions.audit_feed(session, principal, "feeds.confirm", feed)
    return enqueued(database, principal, run_id)


def apply_settings(
    database: Database, principal: Principal, feed_id: UUID, values: FeedColumns
) -> RunSummary:
    """Change how a feed is read, and read its last document again."""
    with database.transaction(principal.tenant) as session:
        before = subscriptions.load_own_feed(session, principal.tenant, feed_id)
        feed = subscriptions.change_reading(session, before, values)
        # Unless one was refused, the document is the one that the feed is at when the runs before
        # this one have ended.
        document = records.find_refused_document(session, feed.id)
        run_id = _insert_stored_run(session, feed, principal, "stored", document, is_confirmed=True)
        subscriptions.audit_feed(session, principal, "feeds.reparse", feed, before, feed)
    return enqueued(database, principal, run_id)


def last_document(session: Session, feed: Feed) -> StoredDocument | None:
    """The document that a feed was given last, also if it was refused; None if none is stored."""
    refused = records.find_refused_document(session, feed.id)
    if refused is not None or feed.payload is None:
        return refused
    return StoredDocument(feed.payload, file_name=feed.file_name)


def enqueue_next(database: Database, tenant: str, run_id: UUID) -> bool:
    """Send the run that waits behind one that has ended to a worker; whether there is one."""
    with database.transaction(tenant) as session:
        feed_id = claims.find_feed(session, run_id)
        run = None if feed_id is None else claims.find_next_run(session, feed_id)
    return run is not None and enqueue_run(run, SYSTEM)


def enqueue_waiting(database: Database) -> bool:
    """Send a message if a run could begin, such as one that had no worker; whether it was sent."""
    with database.transaction(PLATFORM) as session:
        waiting = claims.unattended_runs(session, 1)
    return bool(enqueue_runs(waiting, SYSTEM))


def get_run(database: Database, tenant: str, run_id: UUID) -> RunSummary:
    """A run."""
    with database.transaction(tenant) as session:
        return records.get_run(session, run_id)


def list_runs(
    database: Database,
    tenant: str,
    *,
    feed_id: UUID | None,
    before: datetime | None,
    after: str | None,
    limit: int,
) -> Page[RunSummary]:
    """A page of runs, newest first.

    Args:
        database: the service's.
        tenant: whose.
        feed_id: of this feed only.
        before: only runs that were queued before this time.
        after: the cursor of the page before.
        limit: most runs.
    """
    place = decode_cursor(after, tuple[datetime, UUID])
    with database.transaction(tenant) as session:
        return records.list_runs(session, feed_id=feed_id, before=before, after=place, limit=limit)


def start_due_feeds(database: Database, limit: int = 500) -> int:
    """Start the feeds that are due; how many."""
    key = keys_of(load_settings()).secret(FEED_TIMES)[0]
    with database.transaction(PLATFORM) as session:
        queued = records.insert_due_runs(
            session,
            actor=SYSTEM,
            limit=limit,
            next_time=partial(next_time, key.material),
        )
    return enqueue_runs(queued, SYSTEM)


def reconcile(database: Database) -> int:
    """Enqueue again the runs that wait without a message or a worker; how many."""
    with database.transaction(PLATFORM) as session:
        unattended = claims.unattended_runs(session)
    return enqueue_runs(unattended, SYSTEM)


def check_health(database: Database) -> int:
    """Assess every feed that is fetched on a schedule; how many changed.

    A feed that went silent has no run that would tell.
    """
    changed = 0
    after: UUID | None = None
    while True:
        with database.transaction(PLATFORM) as session:
            feeds = subscriptions.list_scheduled_feeds(session, after, _HEALTH_PAGE)
            changed += sum(_check_health_of(session, feed) for feed in feeds)
        if len(feeds) < _HEALTH_PAGE:
            return changed
        after = feeds[-1].id


def _check_health_of(session: Session, feed: Feed) -> bool:
    """Assess one feed; an error of it does not keep the others from being assessed."""
    try:
        with session.begin_nested():
            runs = records.list_ended_runs(session, feed.id, MAX_RUNS)
            return update_health(session, feed, runs)
    except Exception as error:
        if is_transient(error):
            raise
        log.exception("health.not_assessed", feed=str(feed.id))
        return False


def prune_files(database: Database, settings: Settings) -> PruneCounts:
    """Remove payloads and snapshots that nothing refers to; how many of each."""
    with database.transaction(PLATFORM) as session:
        payloads = records.list_payloads(session)
        snapshots = subscriptions.list_snapshot_files(session)
    return PruneCounts(
        payloads=PayloadStore(settings.data_dir).prune(payloads),
        snapshots=SnapshotStore(settings.data_dir).prune(snapshots),
    )


def _insert_stored_run(
    session: Session,
    feed: Feed,
    principal: Principal,
    input_: RunInput,
    document: StoredDocument | None,
    *,
    is_confirmed: bool = False,
) -> UUID:
    """Add a run that reads a document which is stored already."""
    run = NewRun(
        tenant=feed.tenant,
        feed_id=feed.id,
        actor=principal.actor,
        input=input_,
        payload=document.payload if document else None,
        file_name=document.file_name if document else None,
        is_confirmed=is_confirmed,
    )
    spend(session, feed.tenant, RUNS)
    return records.insert_run(session, run)


def enqueued(database: Database, principal: Principal, run_id: UUID) -> RunSummary:
    """A run, once it was sent to a worker."""
    enqueue_run(QueuedRun(run_id, principal.tenant), principal.actor)
    return get_run(database, principal.tenant, run_id)


def enqueue_run(run: QueuedRun, actor: str) -> bool:
    """Send a run to a worker; when the queue does not take it, the sweep sends it again."""
    return enqueue_runs([run], actor) == 1


def enqueue_runs(runs: Iterable[QueuedRun], actor: str) -> int:
    """Send runs to workers, except those whose message is still unread; how many were sent.

    The first one that the queue does not take is the last one tried.
    """
    sent = 0
    for run in runs:
        try:
            sent += send_hint(celery, RUN_FEED, str(run.id), tenant=run.tenant, actor=actor)
        except Unavailable as error:
            log.warning("run.enqueue_failed", run=str(run.id), reason=error.message)
            break
    return sent
