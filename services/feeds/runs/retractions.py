"""Taking runs back and restoring them, as people request it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from services.feeds.collectors.registry import collector_named
from services.feeds.payloads.store import PayloadStore
from services.feeds.quotas.limits import RUNS
from services.feeds.runs.models import RESTORABLE_DAYS, NewRun, RunSummary
from services.feeds.runs.repository import documents, records
from services.feeds.runs.repository.documents import PublishedDocument
from services.feeds.runs.service import enqueued
from services.feeds.runs.take_back import LostDocument, remaining_documents
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed
from shared.auth import Principal
from shared.clock import database_now
from shared.database import Database
from shared.errors import Conflict
from shared.quotas import spend


@dataclass(frozen=True, slots=True)
class Retraction:
    """What is, or would be, taken back; see `schemas.RetractionView`."""

    feed: str
    retracts: UUID | None
    listed: int
    returns_to: UUID | None
    kept_documents: int
    pauses: bool
    restorable_until: datetime | None
    run: RunSummary | None = None


def retract_run(
    database: Database, payloads: PayloadStore, principal: Principal, run_id: UUID, *, dry_run: bool
) -> Retraction:
    """Take back the document of a run, or tell what that would take back.

    Raises:
        Conflict: the run has published nothing that could be taken back, it is over already, or
            the document that a list would go back to is not kept any more.
    """
    with database.transaction(principal.tenant) as session:
        run = records.get_run(session, run_id)
        feed = subscriptions.load_own_feed(session, principal.tenant, run.feed_id)
        subscriptions.lock_feed(session, feed.id)
        document = _retractable(session, payloads, feed, run)
        remaining = _remaining(session, payloads, feed, document)
        before = remaining[0] if remaining and feed.kind == "snapshot" else None
        retraction = Retraction(
            feed.name,
            run.id,
            _named(run),
            before.run_id if before else None,
            0 if feed.kind == "snapshot" else len(remaining),
            _is_fetched(feed),
            database_now(session) + timedelta(days=RESTORABLE_DAYS),
        )
        if dry_run:
            return retraction
        new = NewRun(
            feed.tenant,
            feed.id,
            principal.actor,
            "retraction",
            document.payload,
            is_confirmed=True,
            full_reason=f"{principal.actor} takes back the run {run.id}.",
            file_name=document.file_name,
            retracts=run.id,
        )
        new_id = _insert(session, principal, feed, new, "feeds.retract")
    return _started(retraction, enqueued(database, principal, new_id))


def retract_feed(
    database: Database, principal: Principal, feed_id: UUID, *, dry_run: bool
) -> Retraction:
    """Take back all that a feed has said, or tell what that would take back."""
    with database.transaction(principal.tenant) as session:
        feed = subscriptions.load_own_feed(session, principal.tenant, feed_id)
        subscriptions.lock_feed(session, feed.id)
        retraction = Retraction(feed.name, None, feed.listed, None, 0, _is_fetched(feed), None)
        if dry_run:
            return retraction
        new = NewRun(
            feed.tenant,
            feed.id,
            principal.actor,
            "retraction",
            is_confirmed=True,
            full_reason=f"{principal.actor} takes back all that the feed has said.",
        )
        new_id = _insert(session, principal, feed, new, "feeds.retract")
    return _started(retraction, enqueued(database, principal, new_id))


def restore_run(
    database: Database, payloads: PayloadStore, principal: Principal, run_id: UUID
) -> RunSummary:
    """Say a document again that was taken back.

    Args:
        database: the service's.
        payloads: where documents are.
        principal: restores it.
        run_id: the run that was taken back, or the one that took it back.

    Raises:
        Conflict: it was not taken back, too long ago, or its document is not kept any more.
    """
    with database.transaction(principal.tenant) as session:
        run = records.get_run(session, run_id)
        feed = subscriptions.load_own_feed(session, principal.tenant, run.feed_id)
        subscriptions.lock_feed(session, feed.id)
        document = _document_of(session, run)
        if document is None or not document.is_retracted:
            raise Conflict(f"The run {run.id} was not taken back.")
        if not document.is_restorable or not payloads.size(document.payload):
            raise Conflict(
                f"The run {run.id} was taken back more than {RESTORABLE_DAYS} days ago, or its "
                "document is not kept any more; upload or fetch it again."
            )
        new = NewRun(
            feed.tenant,
            feed.id,
            principal.actor,
            "restoration",
            document.payload,
            is_confirmed=True,
            full_reason=f"{principal.actor} restores the run {run.retracts or run.id}.",
            file_name=document.file_name,
        )
        new_id = _insert(session, principal, feed, new, "feeds.restore")
    return enqueued(database, principal, new_id)


def _retractable(
    session: Session, payloads: PayloadStore, feed: Feed, run: RunSummary
) -> PublishedDocument:
    """The document of a run, if it can be taken back.

    Raises:
        Conflict: it cannot, with the reason.
    """
    if not collector_named(feed.collector).whole:
        raise Conflict(
            f"{feed.name} is a collection, whose runs bring many documents: take back all of it."
        )
    document = _document_of(session, run)
    if document is None or run.input == "retraction":
        raise Conflict(f"The run {run.id} has published nothing that could be taken back.")
    if document.is_retracted:
        raise Conflict(f"The run {run.id} is taken back already.")
    if feed.kind == "snapshot" and feed.payload != document.payload:
        raise Conflict(
            f"A later document has replaced that of the run {run.id}: what it alone named is gone."
        )
    if not payloads.size(document.payload):
        raise Conflict(f"The document of the run {run.id} is not kept any more.")
    return document


def _remaining(
    session: Session, payloads: PayloadStore, feed: Feed, document: PublishedDocument
) -> list[PublishedDocument]:
    """What holds when a document is taken back: the run asks the same.

    Raises:
        Conflict: a list would go back to a document that is not kept any more.
    """
    is_list = feed.kind == "snapshot"
    try:
        return remaining_documents(session, payloads, feed.id, document.payload, is_list=is_list)
    except LostDocument as error:
        raise Conflict(error.message) from None


def _document_of(session: Session, run: RunSummary) -> PublishedDocument | None:
    published = documents.published_documents(session, run.feed_id)
    return next((each for each in published if each.payload == run.payload), None)


def _named(run: RunSummary) -> int:
    report = run.report or {}
    return int(report.get("taken", 0))


def _is_fetched(feed: Feed) -> bool:
    return feed.url is not None and feed.enabled


def _insert(session: Session, principal: Principal, feed: Feed, run: NewRun, action: str) -> UUID:
    """Add the run; a feed that is fetched is paused before its next fetch says the same again."""
    spend(session, feed.tenant, RUNS)
    if run.input == "retraction" and _is_fetched(feed):
        subscriptions.save_feed(session, feed, {"enabled": False})
    run_id = records.insert_run(session, run)
    subscriptions.audit_feed(
        session, principal, action, feed, run=str(run_id), retracts=str(run.retracts or "")
    )
    return run_id


def _started(retraction: Retraction, run: RunSummary) -> Retraction:
    return Retraction(
        retraction.feed,
        retraction.retracts,
        retraction.listed,
        retraction.returns_to,
        retraction.kept_documents,
        retraction.pauses,
        retraction.restorable_until,
        run,
    )
