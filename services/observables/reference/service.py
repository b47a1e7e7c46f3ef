"""Datasets are fetched once a day, stored, and listed with their dates."""

import asyncio
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from services.observables.reference import repository
from services.observables.reference.datasets import ATTACK, DATASETS, Dataset, unpack_files
from services.observables.reference.repository import DatasetState
from shared.database import PUBLIC, Database
from shared.errors import InvalidInput, SentinelIQError
from shared.http import GuardedClient
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_FRESH_FOR: Final = timedelta(days=1)
_RETRY_AFTER: Final = timedelta(hours=1)
_SMALLEST_SHARE: Final = 0.5
"""Share of a dataset's size below which a newer version counts as damaged."""
_LARGEST_SHARE: Final = 4
"""Times a dataset's size above which a newer version counts as another one, or as forged."""
_USUAL_GROWTH: Final = 16 << 20
"""Bytes by which any dataset may grow."""


@dataclass(frozen=True, slots=True)
class DatasetOverview:
    """A dataset and its state; one that was never obtained has no dates."""

    name: str
    title: str
    licence: str
    origin: str | None
    bytes: int | None
    obtained_at: datetime | None
    checked_at: datetime | None
    error: str | None


def list_datasets(database: Database, tenant: str) -> list[DatasetOverview]:
    """Every dataset, also those that were never obtained."""
    with database.transaction(tenant) as session:
        states = {state.name: state for state in repository.list_states(session)}
    listed = [(dataset.name, dataset.title, dataset.licence) for dataset in DATASETS]
    listed.append(
        (
            ATTACK,
            "MITRE ATT&CK: techniques, and the software and groups that use them",
            "MITRE ATT&CK terms of use",
        )
    )
    return [_overview(name, title, licence, states.get(name)) for name, title, licence in listed]


def _overview(name: str, title: str, licence: str, state: DatasetState | None) -> DatasetOverview:
    if state is None:
        return DatasetOverview(name, title, licence, None, None, None, None, None)
    return DatasetOverview(
        name,
        title,
        licence,
        state.origin,
        state.size,
        state.obtained_at,
        state.checked_at,
        state.error,
    )


def find_state(session: Session, name: str) -> DatasetState | None:
    """The state of one dataset; None when it was never obtained or tried."""
    states = {state.name: state for state in repository.list_states(session)}
    return states.get(name)


def store_dataset(
    session: Session,
    name: str,
    packed: bytes,
    *,
    origin: str,
    obtained_at: datetime,
    error: str | None = None,
) -> None:
    """Store a dataset's newest bytes; the session is that of `public`.

    Other bytes than before outdate what is stored about observables; the same bytes only make it
    younger.
    """
    columns = {
        "origin": origin,
        "obtained_at": obtained_at,
        "checked_at": datetime.now(UTC),
        "error": error,
    }
    digest = hashlib.sha256(packed).hexdigest()
    if repository.digests(session).get(name) != digest:
        columns |= {"packed": packed, "digest": digest, "progress": None}
        log.info("reference.data_replaced", dataset=name, origin=origin, digest=digest)
    repository.upsert(session, name, **columns)


def refresh_datasets(
    database: Database, settings: Settings, datasets: Sequence[Dataset] = DATASETS
) -> dict[str, str]:
    """Fetch the datasets that are older than a day; return the outcome for each.

    A dataset that cannot be fetched keeps its bytes and notes the reason; the next attempt is an
    hour later.
    """
    with database.transaction(PUBLIC) as session:
        states = {state.name: state for state in repository.list_states(session)}
    return {
        dataset.name: _refresh(database, settings, dataset, states.get(dataset.name))
        for dataset in datasets
    }


def _refresh(
    database: Database, settings: Settings, dataset: Dataset, state: DatasetState | None
) -> str:
    now = datetime.now(UTC)
    if state is not None:
        fresh_for = _FRESH_FOR if state.error is None else _RETRY_AFTER
        if now - state.checked_at < fresh_for:
            return "fresh"
    error = None
    origin = dataset.addresses[0]
    try:
        packed = _fetch(settings, dataset, state)
    except SentinelIQError as failure:
        error = failure.message
        log.warning("reference.fetch_failed", dataset=dataset.name, reason=error)
        if state is not None or dataset.bundled is None:
            with database.transaction(PUBLIC) as session:
                repository.upsert(session, dataset.name, checked_at=now, error=error)
            return "not fetched"
        origin = "bundled"
        packed = dataset.pack(dataset.bundled())
    # From this moment on other processes may describe with it.
    obtained_at = datetime.now(UTC)
    with database.transaction(PUBLIC) as session:
        store_dataset(
            session, dataset.name, packed, origin=origin, obtained_at=obtained_at, error=error
        )
    return origin


def _fetch(settings: Settings, dataset: Dataset, state: DatasetState | None) -> bytes:
    """Download and pack a dataset.

    Raises:
        SentinelIQError: it cannot be fetched or read, or has shrunk or grown too much.
    """
    with tempfile.TemporaryDirectory(prefix="sentineliq-reference-") as folder:
        downloads = asyncio.run(_download(settings, dataset, Path(folder)))
        packed = dataset.pack(unpack_files(downloads))
    _check_size(len(packed), (state.size or 0) if state is not None else 0)
    return packed


def _check_size(size: int, before: int) -> None:
    """Refuse what has another shape than what was stored.

    Raises:
        InvalidInput: it has shrunk or grown too much.
    """
    if size < before * _SMALLEST_SHARE:
        raise InvalidInput(
            f"It has shrunk from {before:,} to {size:,} bytes, which looks like damage."
        )
    if before and size > max(before * _LARGEST_SHARE, before + _USUAL_GROWTH):
        raise InvalidInput(
            f"It has grown from {before:,} to {size:,} bytes, which no update of it does."
        )


async def _download(settings: Settings, dataset: Dataset, folder: Path) -> list[Path]:
    paths = []
    async with GuardedClient(settings.outbound_allow) as client:
        for address in dataset.addresses:
            path = folder / address.rpartition("/")[2]
            await client.download(address, path)
            paths.append(path)
    return paths
