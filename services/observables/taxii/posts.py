"""Documents that are posted into collections: stored whole, then taken over piece by piece.

A piece is one transaction: its objects are in the collection, no longer wait, and an event tells
the feeds service, which reads them as the documents of a feed. A process that is killed leaves the
rest to the sweep, and nothing is stored or told twice.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, BinaryIO, Final
from uuid import UUID, uuid4

from services.observables import NAME
from services.observables.quotas.limits import POSTED_OBJECTS, POSTED_RUNS
from services.observables.taxii.envelope import describe_status
from services.observables.taxii.envelope_job import envelope_job, read_frame
from services.observables.taxii.models import NewObject, PostRow
from services.observables.taxii.posted_events import PostOrigin, count_events, posted_events
from services.observables.taxii.posted_objects import PostedObject
from services.observables.taxii.protocol_errors import UnusableEnvelope
from services.observables.taxii.repository import collections, objects, posts
from services.observables.taxii.service import require_writable
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, NotFound, TooLargeInput
from shared.kafka.outbox import audit, publish
from shared.quotas import require_rate, spend
from shared.sandbox.limits import JobLimits, SandboxLimitExceeded
from shared.sandbox.pool import SandboxPool
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

MAX_CONTENT_BYTES: Final = 32 * 1024 * 1024
"""Bytes of an envelope."""
AT_ONCE: Final = 1_000
"""Objects of a document that is taken over before the client gets its answer."""
PIECE: Final = 500
"""Objects of one transaction."""
SWEEP_SECONDS: Final = 5.0
_PATIENCE: Final = 10.0
"""Seconds after which the sweep takes a document over: its own process is faster or dead."""
_MOST_POSTS: Final = 100


@cache
def _pool() -> SandboxPool:
    return SandboxPool(NAME, warm=[envelope_job.__module__], errors=[TooLargeInput])


def accept_envelope(
    database: Database, tenant: str, actor: str, collection: UUID, document: BinaryIO
) -> dict[str, Any]:
    """Store a posted envelope; return its status.

    Args:
        database: the service's.
        tenant: whose collection it is.
        actor: who posts.
        collection: its id.
        document: an open file, flushed.

    Raises:
        UnusableEnvelope: it is no envelope.
        TooLargeInput: it takes too much to read.
        NotFound, Forbidden: there is no such collection that clients may write into.
        RateExceeded: the tenant has posted as many objects as it may today, or led to as many
            runs of feeds as it may this hour.
    """
    with database.transaction(tenant) as session:
        owner = require_writable(collections.get_collection(session, tenant, collection))
        # Before a child process reads the document; it is decided again when that is stored.
        require_rate(session, tenant, POSTED_RUNS)
    checked = _read(tenant, owner.tlp, document)
    post = uuid4()
    with database.transaction(tenant) as session:
        require_writable(collections.get_collection(session, tenant, collection))
        spend(session, tenant, POSTED_RUNS, _count_runs(checked))
        require_rate(session, tenant, POSTED_OBJECTS, len(checked))
        spend(session, tenant, POSTED_OBJECTS, len(checked))
        row = PostRow(post, collection, actor, len(checked), database_now(session), None)
        posts.add_post(session, tenant, row, list(_rows(checked)))
        refused = sum(1 for item in checked if item.message)
        audit(
            session,
            NAME,
            tenant,
            actor,
            "collections.post",
            collection,
            post=str(post),
            objects=str(len(checked)),
            refused=str(refused),
        )
    if len(checked) <= AT_ONCE:
        take_over(database, tenant, post)
    return status_of(database, tenant, post)


def take_over(database: Database, tenant: str, post: UUID) -> int:
    """Move a document's waiting objects into its collection; return how many.

    Two processes may do so at once: each piece belongs to one of them.
    """
    moved = 0
    while count := _take_piece(database, tenant, post):
        moved += count
    return moved


def take_over_waiting(database: Database) -> dict[str, int]:
    """Take over what processes that are gone have left; return what was done, for the log."""
    with database.transaction(PLATFORM) as session:
        waiting = posts.list_open(session, _PATIENCE, _MOST_POSTS)
    moved = {str(post): take_over(database, tenant, post) for tenant, post in waiting}
    return {post: count for post, count in moved.items() if count}


def status_of(database: Database, tenant: str, post: UUID) -> dict[str, Any]:
    """The status resource of a posted document.

    Raises:
        NotFound: the tenant has posted none with this id.
    """
    with database.transaction(tenant) as session:
        stored = posts.get_post(session, tenant, post)
    if stored is None:
        raise NotFound("There is no such status.")
    return describe_status(*stored)


def _read(tenant: str, ceiling: str, document: BinaryIO) -> list[PostedObject]:
    frames = _pool().run(
        envelope_job, ceiling.encode(), [document.fileno()], JobLimits(), tenant=tenant
    )
    checked: list[PostedObject] = []
    try:
        for frame in frames:
            checked += read_frame(frame)
    except TooLargeInput:
        raise
    except SandboxLimitExceeded as error:
        raise TooLargeInput(error.message, **error.details) from None
    except InvalidInput as error:
        raise UnusableEnvelope(error.message, **error.details) from None
    return checked


def _count_runs(checked: list[PostedObject]) -> int:
    """How many runs of feeds a document leads to at most: one for each event."""
    payloads = [item.payload for item in checked if not item.message]
    starts = range(0, len(payloads), PIECE)
    # What is refused whole has cost a child process.
    return max(1, sum(count_events(payloads[start : start + PIECE]) for start in starts))


def _rows(checked: list[PostedObject]) -> Iterator[tuple[Any, ...]]:
    for place, item in enumerate(checked):
        state = "failure" if item.message else "pending"
        yield (
            place,
            item.object_id,
            item.version,
            item.type,
            item.spec_version,
            item.is_revoked,
            state,
            item.message,
            None if item.message else item.payload,
        )


def _take_piece(database: Database, tenant: str, post: UUID) -> int:
    with database.transaction(tenant) as session:
        row = posts.lock_post(session, tenant, post)
        if row is None:
            return 0
        waiting = posts.take_waiting(session, post, PIECE)
        if waiting:
            new = [NewObject(*item[1:]) for item in waiting]
            added = objects.add_objects(session, tenant, row.collection_id, new)
            owner = require_writable(collections.get_collection(session, tenant, row.collection_id))
            origin = PostOrigin(owner, post, waiting[0].place, row.actor)
            publish(session, posted_events(origin, [item.payload for item in added.newest]))
            posts.settle(session, post, [item.place for item in waiting])
        if len(waiting) < PIECE:
            posts.finish(session, post)
            log.info("post.finished", tenant=tenant, post=str(post), objects=row.total)
    return len(waiting)
