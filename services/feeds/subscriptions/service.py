"""What the feeds service does with its rows: subscribe, upload, start, list."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.feeds.catalog import catalog
from services.feeds.collectors import credentials
from services.feeds.collectors.credentials import Auth
from services.feeds.collectors.registry import collector_named
from services.feeds.formats.registry import format_named, guess_format
from services.feeds.previews.service import reread
from services.feeds.runs.pacing import next_time
from services.feeds.runs.payloads import Payloads
from services.feeds.snapshots.snapshot import FeedSnapshot, prune_snapshots
from services.feeds.subscriptions import repository, schemas
from services.feeds.worker import celery
from shared.auth import Principal
from shared.crypto import Sealer
from shared.database import PLATFORM, Database
from shared.errors import Conflict, Forbidden, InvalidInput, Unavailable
from shared.kafka.outbox import audit
from shared.runtime.celery import enqueue
from shared.settings import Settings, load_settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

RUN_FEED = "feeds.tasks.run_feed"


def create_feed(database: Database, who: Principal, values: dict[str, Any]) -> dict[str, Any]:
    """Subscribe to a feed; it is fetched for the first time at once, if it has an address and a cadence."""
    _check(values)
    feed_id = uuid4()
    values = _sealed(feed_id, values)
    scheduled = values.get("url") and values.get("every_seconds")
    with database.transaction(who.tenant) as session:
        due = sa.func.now() if scheduled else None
        owner = {"id": feed_id, "tenant": who.tenant, "created_by": who.actor}
        row = repository.insert_feed(session, {**values, **owner, "next_run_at": due})
        _audit(session, who, "feeds.create", row)
    return _dict(row)


def subscribe(
    database: Database,
    who: Principal,
    slug: str,
    name: str | None,
    auth: Auth | None,
    changes: dict[str, Any],
) -> dict[str, Any]:
    """Subscribe to an entry of the catalogue.

    Raises:
        NotFound: there is no such entry; says which come near.
        InvalidInput: the provider wants credentials and none were given; says where to get them.
    """
    entry = catalog.entry(slug)
    return create_feed(
        database, who, {**entry.settings(auth), **changes, "name": name or slug, "auth": auth}
    )


def _sealed(feed_id: UUID, values: dict[str, Any]) -> dict[str, Any]:
    """Settings as they are stored: what is secret about the credentials is sealed."""
    if "auth" not in values:
        return values
    auth = values["auth"]
    if auth is None:
        return {**values, "auth": None, "secret": None}
    sealer = Sealer(load_settings().secret_key, credentials.PURPOSE)
    public, secret = credentials.seal(auth, sealer, str(feed_id))
    return {**values, "auth": public, "secret": secret}


def update_feed(
    database: Database, who: Principal, feed_id: UUID, values: dict[str, Any]
) -> dict[str, Any]:
    """Change a feed; a new cadence counts from now, and another address is fetched whatever was remembered."""
    _check(values)
    values = _sealed(feed_id, values)
    if "every_seconds" in values or "url" in values:
        values = {**values, "next_run_at": sa.func.now()}
    if values.keys() & {"url", "collector", "collector_options", "format", "options"}:
        values = {**values, "cursor": {}}
    with database.transaction(who.tenant) as session:
        row = repository.update_feed(session, who.tenant, feed_id, values)
        _audit(session, who, "feeds.update", row)
    return _dict(row)


def delete_feed(database: Database, who: Principal, feed_id: UUID) -> None:
    """Remove a feed; what it said stays known until it expires."""
    with database.transaction(who.tenant) as session:
        row = repository.get_feed(session, feed_id)
        repository.delete_feed(session, who.tenant, feed_id)
        _audit(session, who, "feeds.delete", row)


def _check(values: Mapping[str, Any]) -> None:
    if values.get("format") is not None:
        format_named(values["format"])
    if values.get("collector") is not None:
        collector_named(values["collector"])
    if values.get("every_seconds") and "url" in values and not values["url"]:
        raise InvalidInput(
            "A feed without an address cannot be fetched on a schedule.", field="every_seconds"
        )


def _audit(session: Session, who: Principal, action: str, feed: sa.Row[Any]) -> None:
    audit(session, "feeds", who.tenant, who.actor, action, feed.id, name=feed.name)


def start_run(database: Database, who: Principal, feed_id: UUID) -> dict[str, Any]:
    """Fetch a feed now."""
    return get_run(database, who.tenant, UUID(start_feed(database, who.tenant, feed_id, who.actor)))


def start_feed(database: Database, tenant: str, feed_id: UUID, actor: str) -> str:
    """Make a run that fetches a feed now; its id.

    Raises:
        Forbidden: the feed is another tenant's, which is `public` then.
        InvalidInput: it has no address.
    """
    with database.transaction(tenant) as session:
        feed = repository.get_feed(session, feed_id)
        if feed.tenant != tenant:
            raise Forbidden(
                f"{feed.name} is run by the tenant {feed.tenant}; its news reach this one by themselves."
            )
        if feed.url is None:
            raise InvalidInput(
                f"{feed.name} has no address to fetch; upload a payload instead.", field="url"
            )
        run_id = repository.insert_run(session, feed, actor=actor, observed_at=datetime.now(UTC))
    _hint(run_id, tenant, actor)
    return str(run_id)


def ingest(
    database: Database, who: Principal, name: str, payload: str, values: dict[str, Any]
) -> dict[str, Any]:
    """Run an uploaded payload through a feed of that name, which is made when there is none.

    Args:
        database: the service's database.
        who: who uploads, into whose tenant.
        name: the feed's name in the tenant.
        payload: digest of what was uploaded.
        values: settings of the feed; those given replace what it has.
    """
    _check(values)
    with database.transaction(who.tenant) as session:
        feed = repository.feed_named(session, who.tenant, name)
        if feed is None:
            owner = {"tenant": who.tenant, "created_by": who.actor}
            # Reports and exports are added to what is known; a list whose lines go has to say that it is one.
            defaults = schemas.FeedSettings.model_validate({"kind": "stream"}).model_dump()
            feed = repository.insert_feed(
                session, {**defaults, **values, **owner, "id": uuid4(), "name": name}
            )
            _audit(session, who, "feeds.create", feed)
        elif values:
            feed = repository.update_feed(session, who.tenant, feed.id, values)
        run_id = _stored_run(session, feed, who, "upload", payload)
    _hint(run_id, who.tenant, who.actor)
    return get_run(database, who.tenant, run_id)


def _stored_run(
    session: Session,
    feed: sa.Row[Any],
    who: Principal,
    input_: str,
    payload: str,
    *,
    confirmed: bool = False,
) -> UUID:
    """A run that takes a payload which is there already."""
    given = {"input": input_, "payload": payload, "part": {}, "confirmed": confirmed}
    return repository.insert_run(
        session, feed, actor=who.actor, observed_at=datetime.now(UTC), **given
    )


def confirm(database: Database, who: Principal, feed_id: UUID) -> dict[str, Any]:
    """Let what was held back go live.

    Raises:
        Conflict: nothing is held back.
    """
    with database.transaction(who.tenant) as session:
        feed = repository.own_feed(session, who.tenant, feed_id)
        if feed.held is None:
            raise Conflict(f"Nothing of {feed.name} is held back.")
        held = repository.get_run(session, UUID(feed.held["run"]))
        run_id = _stored_run(session, feed, who, "stored", held.payload, confirmed=True)
        _audit(session, who, "feeds.confirm", feed)
    _hint(run_id, who.tenant, who.actor)
    return get_run(database, who.tenant, run_id)


def reparse(
    database: Database, who: Principal, feed_id: UUID, changes: dict[str, Any], *, apply: bool
) -> dict[str, Any]:
    """What a feed's last payload says when it is read differently; with `apply` the feed is read so from now on.

    Args:
        database: the service's database.
        who: who asks.
        feed_id: a feed of the tenant.
        changes: `format` and `options`, those that shall differ.
        apply: change the feed, and take its last payload again.

    Returns:
        The difference; with `apply` also the `run` that takes it.

    Raises:
        Conflict: no payload of the feed is kept.
    """
    _check(changes)
    with database.transaction(who.tenant) as session:
        feed = repository.own_feed(session, who.tenant, feed_id)
    if feed.payload is None:
        raise Conflict(f"No payload of {feed.name} is kept; run it first.")
    data_dir = load_settings().data_dir
    before = (
        FeedSnapshot.load(data_dir / "versions" / str(feed.id) / feed.version)
        if feed.version
        else None
    )
    opened = partial(Payloads(data_dir).open, feed.payload)
    format_ = changes.get("format") or feed.format
    if format_ is None:
        with opened() as stream:
            format_, _ = guess_format(feed.url or feed.name, stream.read(64 * 1024))
    difference = reread(opened, before, format_, changes.get("options", feed.options))
    if not apply:
        return difference
    with database.transaction(who.tenant) as session:
        feed = repository.update_feed(session, who.tenant, feed_id, changes)
        run_id = _stored_run(session, feed, who, "stored", feed.payload, confirmed=True)
        _audit(session, who, "feeds.reparse", feed)
    _hint(run_id, who.tenant, who.actor)
    return {**difference, "run": get_run(database, who.tenant, run_id)}


def prune(database: Database, settings: Settings, days: int) -> dict[str, int]:
    """Forget old runs, and remove payloads and versions that nobody wants any more; how many of each."""
    with database.transaction(PLATFORM) as session:
        runs = repository.prune_runs(session, days)
    with database.transaction(PLATFORM) as session:
        payloads, versions = (
            repository.wanted_payloads(session),
            repository.wanted_snapshots(session),
        )
    removed = Payloads(settings.data_dir).prune(payloads)
    return {
        "runs": runs,
        "payloads": removed,
        "versions": prune_snapshots(settings.data_dir / "versions", versions),
    }


def _hint(run_id: UUID, tenant: str, actor: str = "system") -> bool:
    """Tell a worker about a run; when the queue is away the reconciler will."""
    try:
        enqueue(celery, RUN_FEED, str(run_id), tenant=tenant, actor=actor)
    except Unavailable as error:
        log.warning("run.waits_for_queue", run=str(run_id), reason=error.message)
        return False
    return True


def start_due_feeds(database: Database, limit: int = 500) -> int:
    """Start the feeds whose time has come; how many."""
    with database.transaction(PLATFORM) as session:
        at = partial(next_time, load_settings().secret_key)
        started = repository.start_due(session, datetime.now(UTC), "system", limit, at)
    return sum(_hint(run_id, tenant) for run_id, tenant in started)


def reconcile(database: Database) -> int:
    """Enqueue again what waits and nobody works on; how many."""
    with database.transaction(PLATFORM) as session:
        lost = repository.lost_runs(session)
    return sum(_hint(row.id, row.tenant) for row in lost)


def get_feed(database: Database, tenant: str, feed_id: UUID) -> dict[str, Any]:
    """One feed."""
    with database.transaction(tenant) as session:
        return _dict(repository.get_feed(session, feed_id))


def list_feeds(database: Database, tenant: str, after: UUID | None, limit: int) -> dict[str, Any]:
    """A page of feeds, with the cursor of the next."""
    with database.transaction(tenant) as session:
        rows = repository.list_feeds(session, after, limit)
    return {
        "items": [_dict(row) for row in rows],
        "next": str(rows[-1].id) if len(rows) == limit else None,
    }


def get_run(database: Database, tenant: str, run_id: UUID) -> dict[str, Any]:
    """One run."""
    with database.transaction(tenant) as session:
        return _dict(repository.get_run(session, run_id))


def list_runs(
    database: Database, tenant: str, feed_id: UUID | None, before: datetime | None, limit: int
) -> dict[str, Any]:
    """A page of runs, newest first, with the cursor of the next."""
    with database.transaction(tenant) as session:
        rows = repository.list_runs(session, feed_id, before, limit)
    return {
        "items": [_dict(row) for row in rows],
        "next": rows[-1].queued_at.isoformat() if len(rows) == limit else None,
    }


def _dict(row: sa.Row[Any]) -> dict[str, Any]:
    found = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name
    found.pop("secret", None)
    return found
