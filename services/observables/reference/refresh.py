"""Reference data is fetched once a day; what was described with older data is then described again."""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from services.observables.reference import context
from services.observables.reference import repository as store
from services.observables.reference.datasets import BY_NAME, DATASETS, Dataset, files_of
from services.observables.reference.reloading_cache import LOOK_EVERY
from services.observables.store import repository, rescore
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import InvalidInput, SentinelIQError
from shared.http import GuardedClient
from shared.settings import Settings
from shared.stix import bucket
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

STILL_FOR: Final = timedelta(seconds=2 * LOOK_EVERY)
"""So old data has to be before everything is described with it: by then no process describes with older data."""

FRESH_FOR: Final = timedelta(days=1)
_FIRST_ID: Final = UUID(int=0)
_CHUNK: Final = 2_000


def refresh(
    database: Database,
    settings: Settings,
    datasets: Sequence[Dataset] = DATASETS,
    still_for: timedelta = STILL_FOR,
) -> dict[str, Any]:
    """Fetch the sets that are older than a day, and describe again what was described without them.

    A set that cannot be fetched stays as it is, with the reason beside it; the next try is an hour later.

    Returns:
        What became of each set, and how many observables have another context now.
    """
    with database.transaction(PUBLIC) as session:
        known = {row.name: row for row in store.overview(session)}
    now = datetime.now(UTC)
    outcomes = {
        one.name: _renew(database, settings, one, known.get(one.name), now) for one in datasets
    }
    return {"datasets": outcomes, "described": redescribe(database, still_for=still_for)}


def _renew(
    database: Database, settings: Settings, dataset: Dataset, known: Any, now: datetime
) -> str:
    if known is not None and now - known.checked_at < (
        FRESH_FOR if known.error is None else timedelta(hours=1)
    ):
        return "fresh"
    error = None
    try:
        with tempfile.TemporaryDirectory(prefix="sentineliq-reference-") as folder:
            downloaded = asyncio.run(_download(settings, dataset, Path(folder)))
            blob, origin = dataset.pack(files_of(downloaded)), dataset.addresses[0]
            if known is not None and len(blob) < (known.bytes or 0) / 2:
                raise InvalidInput(
                    f"It has shrunk from {known.bytes:,} to {len(blob):,} bytes and is not believed."
                )
    except SentinelIQError as failed:
        error = failed.message
        log.warning("reference.not_fetched", dataset=dataset.name, reason=error)
        if known is not None or dataset.bundled is None:
            with database.transaction(PUBLIC) as session:
                store.put(session, dataset.name, checked_at=now, error=error)
            return "not fetched"
        blob, origin = dataset.pack(dataset.bundled()), "bundled"
    values = {
        "packed": blob,
        "digest": hashlib.sha256(blob).hexdigest(),
        "origin": origin,
        "obtained_at": datetime.now(UTC),  # others have it from here on
        "progress": None,
    }
    with database.transaction(PUBLIC) as session:
        store.put(session, dataset.name, **values, checked_at=now, error=error)
    return origin


async def _download(settings: Settings, dataset: Dataset, folder: Path) -> list[Path]:
    paths = []
    async with GuardedClient(settings.outbound_allow) as client:
        for address in dataset.addresses:
            path = folder / address.rpartition("/")[2]
            await client.download(address, path)
            paths.append(path)
    return paths


def redescribe(database: Database, seconds: float = 600, still_for: timedelta = STILL_FOR) -> int:
    """Describe every observable with the data that is here now, unless that was done; how many changed.

    What is not done after some seconds is gone on with the next time, and so is what is described with data that is
    younger than `still_for`.
    """
    with database.transaction(PUBLIC) as session:
        context.reload_if_stale(session, now=True)
        outdated = [
            row
            for row in store.overview(session)
            if row.name in BY_NAME and row.digest != row.described
        ]
    young = datetime.now(UTC) - still_for
    if not outdated or any(
        row.obtained_at is not None and row.obtained_at > young for row in outdated
    ):
        return 0
    changed, ends = 0, time.monotonic() + seconds
    after = min(row.progress or f" {_FIRST_ID}" for row in outdated)
    while time.monotonic() < ends:
        with database.transaction(PLATFORM) as session:
            rows = store.next_contexts(session, after, _CHUNK)
        if not rows:
            _note(database, [_described(row) for row in outdated])
            return changed
        for tenant in dict.fromkeys(row.tenant for row in rows):
            changed += _describe(database, tenant, [row for row in rows if row.tenant == tenant])
        after = f"{rows[-1].tenant} {rows[-1].id}"
    _note(
        database, [{"name": row.name, "digest": row.digest, "progress": after} for row in outdated]
    )
    return changed


def _described(row: Any) -> dict[str, Any]:
    """That everything is described with a set; without its date it was never obtained."""
    known = {"name": row.name, "digest": row.digest}
    return {**known, "described": row.digest, "described_as_of": row.obtained_at, "progress": None}


def _note(database: Database, notes: Sequence[dict[str, Any]]) -> None:
    with database.transaction(PUBLIC) as session:
        for note in notes:
            store.change(session, **note)


def _describe(database: Database, tenant: str, rows: Sequence[Any]) -> int:
    fresh = context.describe_values((row.id, row.type, row.value) for row in rows)
    known = {row.id: context.decoded(row.context) for row in rows}
    texts = {row.id: fresh.get(row.id, context.NOTHING) for row in rows}
    changed = {one: text for one, text in texts.items() if context.decoded(text) != known[one]}
    if not changed:
        return 0
    now = datetime.now(UTC)
    with database.transaction(tenant) as session:
        repository.lock(session, {bucket(identity) for identity in changed})
        store.change_contexts(session, tenant, changed, now)
        rescore.publish_changes(
            session, tenant, rescore.rescore(session, tenant, changed, now), "enrichment"
        )
    return len(changed)
