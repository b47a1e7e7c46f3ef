"""One attempt at an import: fetch the bundle, read it, store what is new."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.mitre.imports import repository
from services.mitre.imports.files import MAX_BYTES, BundleFiles
from services.mitre.imports.models import AttackImport, ImportState
from services.mitre.releases.bundle import read_release
from services.mitre.releases.service import store_release
from shared.database import PUBLIC, Database
from shared.errors import Conflict, InvalidInput, SentinelIQError, Unavailable, UpstreamError
from shared.http import Download, GuardedClient, Limits
from shared.leases import LeaseKeeper, ShutdownRequested
from shared.runtime.celery import retry_delay
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_RENEWAL_SECONDS: Final = repository.IMPORTS.lease.total_seconds() / 3
_CHECK_SECONDS: Final = 0.5
# Enterprise is 10 MB on the wire: five minutes do for a line of 300 kbit/s.
_LIMITS: Final = Limits(total=300.0, max_bytes=MAX_BYTES, max_expanded=MAX_BYTES)


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """The end of an attempt, as the task returns it."""

    status: str
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"status": self.status, **self.details}


def execute(database: Database, settings: Settings, import_id: UUID) -> ImportOutcome:
    """Make an attempt at an import; one that is done or has a worker is skipped."""
    with database.transaction(PUBLIC) as session:
        item = repository.claim_import(session, import_id)
    if item is None:
        return ImportOutcome("skipped")
    files = BundleFiles(settings.data_dir)
    keeper = LeaseKeeper(
        database, PUBLIC, partial(repository.renew_import, item=item), _RENEWAL_SECONDS
    )
    try:
        with keeper:
            outcome = _attempt(database, settings, item, files.path(import_id), keeper)
    except Conflict as error:
        # The transaction was rolled back: another worker has the import, and with it its file.
        log.warning("load.superseded", load=str(import_id), reason=error.message)
        return ImportOutcome("superseded")
    except ShutdownRequested:
        with database.transaction(PUBLIC) as session:
            repository.hand_back_import(session, item)
        log.info("load.handed_back", load=str(import_id))
        return ImportOutcome("handed-back")
    if outcome.status != "queued":
        files.discard(import_id)
    return outcome


def _attempt(
    database: Database, settings: Settings, item: AttackImport, path: Path, keeper: LeaseKeeper
) -> ImportOutcome:
    try:
        keeper.check()
        fetched = None
        if item.url is not None:
            fetch = _fetch(database, settings, item, item.url, path)
            fetched = asyncio.run(_while_kept(keeper, fetch))
            if fetched.status == 304:
                result = {"reason": "not modified since it was loaded"}
                with database.transaction(PUBLIC) as session:
                    return _complete(session, item, "unchanged", result, fetched)
        release = read_release(_content(path), domain=item.domain, version=item.version)
        keeper.check()
        with database.transaction(PUBLIC) as session:
            stored = store_release(session, release, activate=item.activate)
            state: ImportState = "succeeded" if stored.is_changed else "unchanged"
            return _complete(session, item, state, stored.as_dict(), fetched)
    except (Conflict, ShutdownRequested):
        raise
    except SentinelIQError as error:
        return _fail(database, item, error)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InvalidInput(
            "The uploaded file is no longer in the data folder: send it again."
        ) from error


async def _while_kept(keeper: LeaseKeeper, fetch: Coroutine[Any, Any, Download]) -> Download:
    """Wait for a download; give it up when the lease is lost or the worker is to stop."""
    download = asyncio.create_task(fetch)
    try:
        while not (await asyncio.wait({download}, timeout=_CHECK_SECONDS))[0]:
            keeper.check()
    finally:
        download.cancel()
    return download.result()


async def _fetch(
    database: Database, settings: Settings, item: AttackImport, url: str, path: Path
) -> Download:
    headers = await asyncio.to_thread(_conditional_headers, database, item)
    async with GuardedClient(allow=settings.outbound_allow, limits=_LIMITS) as client:
        return await client.download(url, path, headers)


def _conditional_headers(database: Database, item: AttackImport) -> dict[str, str]:
    """Headers that let the server answer 304, for a refresh of a source that did not move."""
    if not item.refresh or item.activate or item.domain is None:
        return {}
    with database.transaction(PUBLIC) as session:
        source = repository.get_source(session, item.domain)
    if source.url != item.url:
        return {}
    headers = {"If-None-Match": source.etag, "If-Modified-Since": source.last_modified}
    return {name: value for name, value in headers.items() if value}


def _complete(
    session: Session,
    item: AttackImport,
    state: ImportState,
    result: dict[str, Any],
    fetched: Download | None,
) -> ImportOutcome:
    """End the import, in the transaction of what it brought."""
    if item.refresh and fetched is not None and item.domain and item.url:
        headers: dict[str, str | None] = {}
        if fetched.status == 200:
            headers = {
                "etag": fetched.headers.get("etag"),
                "last_modified": fetched.headers.get("last-modified"),
            }
        repository.mark_checked(session, item.domain, item.url, headers)
    repository.complete_import(session, item, state, result)
    log.info("load.finished", load=str(item.id), state=state, **result)
    return ImportOutcome(state, result)


def _fail(database: Database, item: AttackImport, error: SentinelIQError) -> ImportOutcome:
    """Let the import wait for another attempt if that may help, else end it with the reason."""
    may_retry = (
        isinstance(error, UpstreamError | Unavailable)
        and error.retryable
        and item.attempts < repository.MAX_ATTEMPTS
    )
    with database.transaction(PUBLIC) as session:
        if may_retry and isinstance(error, UpstreamError | Unavailable):
            seconds = retry_delay(error, item.attempts)
            repository.retry_import(session, item, seconds=seconds, error=error.as_dict())
        else:
            repository.fail_import(session, item, error.as_dict())
    log.warning(
        "load.failed",
        load=str(item.id),
        again=may_retry,
        code=error.code,
        reason=error.message,
    )
    return ImportOutcome("queued" if may_retry else "failed", {"error": error.as_dict()})
