"""One load from its row to its end: fetch, read, store what is new, say what changed."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.mitre.imports import repository as import_repository
from services.mitre.imports.files import MAX_BYTES, Files
from services.mitre.releases import repository as release_repository
from services.mitre.releases.bundle import Release, order, read_release
from services.mitre.releases.diff import Diff, compare, farewell
from services.mitre.techniques.cards import Technique
from services.mitre.techniques.usage import NOBODY
from shared.database import PUBLIC, Database
from shared.errors import Conflict, InvalidInput, SentinelIQError, Unavailable, UpstreamError
from shared.events import Event
from shared.events.mitre import RELEASED, TECHNIQUES, Released, TechniqueCard
from shared.http import Download, GuardedClient, Limits
from shared.kafka.outbox import publish
from shared.runtime.celery import retry_delay
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

SOURCE: Final = "/services/mitre"
_RENEW_SECONDS: Final = import_repository.LEASE.total_seconds() / 3
# Enterprise is 10 MB on the wire: five minutes do for a line of 300 kbit/s.
_LIMITS: Final = Limits(total=300.0, max_bytes=MAX_BYTES, max_expanded=MAX_BYTES)


def execute(database: Database, settings: Settings, load_id: UUID) -> dict[str, Any]:
    """Do one load; a load that is done, or in good hands, is skipped."""
    with database.transaction(PUBLIC) as session:
        row = import_repository.claim(session, load_id)
    if row is None:
        return {"status": "skipped"}
    try:
        outcome = _attempt(database, settings, row)
    except Conflict as error:
        # Our transaction was rolled back: the load is somebody else's by now, and so is its file.
        log.warning("load.superseded", load=str(load_id), reason=error.message)
        return {"status": "superseded"}
    if outcome["status"] != "queued":
        Files(settings.data_dir).discard(load_id)
    return outcome


def _attempt(database: Database, settings: Settings, row: sa.Row[Any]) -> dict[str, Any]:
    path = Files(settings.data_dir).path(row.id)
    try:
        fetched = asyncio.run(_fetch(database, settings, row, path)) if row.url else None
        if fetched is not None and fetched.status == 304:
            return _unchanged(database, row, fetched)
        release = read_release(_content(path), domain=row.domain, version=row.version)
        with database.transaction(PUBLIC) as session:
            state, result = store_release(session, release, activate=row.activate)
            return _close(session, row, state, result, fetched)
    except Conflict:
        raise
    except SentinelIQError as error:
        return _fail(database, row, error)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InvalidInput(
            "The uploaded file is no longer in the data folder: send it again."
        ) from error


async def _fetch(database: Database, settings: Settings, row: sa.Row[Any], path: Path) -> Download:
    """Download the bundle, while the lease is kept."""
    with database.transaction(PUBLIC) as session:
        headers = _condition(session, row)
    async with GuardedClient(allow=settings.outbound_allow, limits=_LIMITS) as client:
        keeper = asyncio.create_task(_keep(database, row))
        try:
            return await client.download(row.url, path, headers)
        finally:
            keeper.cancel()


def _condition(session: Session, row: sa.Row[Any]) -> dict[str, str]:
    if not row.refresh or row.activate:
        return {}
    source = import_repository.get_source(session, row.domain)
    known = {"If-None-Match": source.etag, "If-Modified-Since": source.last_modified}
    return {name: value for name, value in known.items() if value} if source.url == row.url else {}


async def _keep(database: Database, row: sa.Row[Any]) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        # A lease that cannot be renewed is found out at the end, where it counts.
        with suppress(Conflict, Unavailable):
            await asyncio.to_thread(_renew, database, row)


def _renew(database: Database, row: sa.Row[Any]) -> None:
    with database.transaction(PUBLIC) as session:
        import_repository.renew(session, row.id, row.attempts)


def _unchanged(database: Database, row: sa.Row[Any], fetched: Download) -> dict[str, Any]:
    with database.transaction(PUBLIC) as session:
        return _close(
            session, row, "unchanged", {"reason": "not modified since it was loaded"}, fetched
        )


def _close(
    session: Session, row: sa.Row[Any], state: str, result: dict[str, Any], fetched: Download | None
) -> dict[str, Any]:
    """The load's end, in the transaction of what it brought."""
    if row.refresh and fetched is not None:
        answered = {
            "etag": fetched.headers.get("etag"),
            "last_modified": fetched.headers.get("last-modified"),
        }
        import_repository.mark_checked(
            session, row.domain, row.url, answered if fetched.status == 200 else {}
        )
    import_repository.finish(session, row.id, row.attempts, state, result=result)
    log.info("load.finished", load=str(row.id), state=state, **result)
    return {"status": state, **result}


def _fail(database: Database, row: sa.Row[Any], error: SentinelIQError) -> dict[str, Any]:
    """Put the load back if another try may help, else end it with the reason."""
    again = (
        isinstance(error, UpstreamError | Unavailable)
        and error.retryable
        and row.attempts < import_repository.MAX_ATTEMPTS
    )
    with database.transaction(PUBLIC) as session:
        if again and isinstance(error, UpstreamError | Unavailable):
            seconds = retry_delay(error, row.attempts)
            import_repository.put_back(
                session, row.id, row.attempts, error=error.as_dict(), seconds=seconds
            )
        else:
            import_repository.finish(
                session, row.id, row.attempts, "failed", result=None, error=error.as_dict()
            )
    log.warning("load.failed", load=str(row.id), again=again, code=error.code, reason=error.message)
    return {"status": "queued" if again else "failed", "error": error.as_dict()}


def store_release(
    session: Session, release: Release, *, activate: bool = False
) -> tuple[str, dict[str, Any]]:
    """Store what is new of a release and, if it is the newest or asked for, make it the current one.

    Args:
        session: a transaction of the tenant `public`.
        release: what the bundle says.
        activate: make it current although a newer one is.

    Returns:
        succeeded or unchanged, and the figures.
    """
    release_repository.lock_domain(session, release.domain)
    stored = release_repository.list_releases(session, release.domain)
    current = next((row for row in stored if row.current), None)
    row = next(
        (row for row in stored if (row.version, row.digest) == (release.version, release.digest)),
        None,
    )
    leads = (
        current is None
        or activate
        or (row is None and order(release.version) >= order(current.version))
    )
    figures = {
        "domain": release.domain,
        "version": release.version,
        "techniques": len(release.techniques),
    }
    if row is not None and (row.current or not leads):
        return "unchanged", {
            **figures,
            "revision": row.revision,
            "current": row.current,
            "objects_written": 0,
        }
    base = current if leads else _before(release.version, stored)
    previous = release_repository.techniques_of(session, base.id) if base else {}
    diff = compare(previous, release.techniques)
    written = 0
    if row is None:
        members, written = release_repository.store_objects(session, release.objects)
        techniques = release_repository.store_techniques(
            session, release.domain, release.techniques
        )
        row = release_repository.insert_release(
            session, release, members, techniques, base.version if base else None, diff
        )
    if leads:
        release_repository.make_current(session, row)
        _tell(session, row, release, diff, _cards_of_change(session, base, previous, release, diff))
    changes = {name: len(value) for name, value in msgspec.to_builtins(diff).items()}
    return "succeeded", {
        **figures,
        "revision": row.revision,
        "current": leads,
        "objects_written": written,
        "changes": changes,
    }


def _before(version: str, stored: Any) -> sa.Row[Any] | None:
    """The stored release that comes right before a version."""
    older = [row for row in stored if order(row.version) < order(version)]
    return max(older, key=lambda row: (order(row.version), row.revision), default=None)


def _cards_of_change(
    session: Session,
    base: sa.Row[Any] | None,
    previous: dict[str, Technique],
    release: Release,
    diff: Diff,
) -> list[TechniqueCard]:
    """The cards that are others now: techniques that changed, ended or left, and those that others use now."""
    before = release_repository.users_of(session, base.id, previous) if base else {}
    used = {
        key
        for key in previous.keys() & release.techniques
        if before.get(key) != release.users.get(key)
    }
    cards = [
        release.techniques[key].card(
            release.domain, release.version, release.users.get(key, NOBODY)
        )
        for key in sorted({*diff.touched, *used})
    ]
    gone = [farewell(previous[key], diff.moved.get(key)) for key in diff.removed]
    return cards + [card.card(release.domain, release.version) for card in gone]


def _tell(
    session: Session, row: sa.Row[Any], release: Release, diff: Diff, cards: list[TechniqueCard]
) -> None:
    """A new release once; and the card of each technique that is another now."""
    if not row.announced:
        data = Released(
            domain=release.domain,
            version=release.version,
            previous=row.previous,
            counts=release.counts,
            added=diff.added,
            changed=diff.changed,
            revoked=diff.revoked,
            deprecated=diff.deprecated,
        )
        key = release.domain.encode()
        publish(session, [Event(topic=RELEASED, data=data, tenant=PUBLIC, source=SOURCE, key=key)])
    _tell_cards(session, cards)


def _tell_cards(session: Session, cards: list[TechniqueCard]) -> None:
    said = [
        Event(
            topic=TECHNIQUES, data=card, tenant=PUBLIC, source=SOURCE, key=card.attack_id.encode()
        )
        for card in cards
    ]
    publish(session, said)


def tell_again(session: Session) -> int:
    """Tell all cards of current releases whose cards were told by an older version of this service, with less on them.

    Args:
        session: a transaction of the tenant `public`.

    Returns:
        How many cards were told.
    """
    told = 0
    for row in release_repository.outdated(session):
        techniques = release_repository.techniques_of(session, row.id)
        users = release_repository.users_of(session, row.id, techniques)
        _tell_cards(
            session,
            [
                card.card(row.domain, row.version, users.get(key, NOBODY))
                for key, card in techniques.items()
            ],
        )
        release_repository.mark_told(session, row.id)
        told += len(techniques)
    return told
