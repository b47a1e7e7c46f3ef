"""Write the files of lists, so that they are ready when they are polled.

The rows of a version are read in one transaction, written and compressed in none, and stored in a
second: PostgreSQL ends transactions that pause for as long as a large file needs.
"""

import gzip
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

import zstandard
from sqlalchemy.orm import Session

from services.observables.dissemination.files import repository
from services.observables.dissemination.files.models import FileRow, WrittenFile
from services.observables.dissemination.files.scratch import ScratchPages
from services.observables.dissemination.lists.models import ListRow
from services.observables.dissemination.retries import RetrySchedule
from services.observables.list_formats.base import FileAccount, ListFormat, ListVersion
from services.observables.list_formats.registry import list_format_named, list_formats
from shared.database import PLATFORM, Database
from shared.errors import NotFound, SentinelIQError, Unavailable
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

PATIENCE: Final = 120
"""Seconds that one statement may take."""
_DEPARTED_DAYS: Final = 30
"""A reader that polls once in so many days learns what to take out."""
_GZIP_LEVEL: Final = 3
_ZSTD_LEVEL: Final = 3
IDENTITY: Final = "identity"
"""The encoding of bytes as they are."""
_WAIT_SECONDS: Final = 10.0
"""So long a poll waits for a file that the process writes already."""
_RETRIES: Final = RetrySchedule()
_WRITERS_LOCK: Final = threading.Lock()
_WRITERS: Final[dict[tuple[UUID, str], "_Writer"]] = {}


@dataclass(slots=True)
class _Writer:
    """The turn to write a file in this process.

    Attributes:
        users: how many threads have the turn or wait for it.
    """

    turn: threading.Lock
    users: int = 0


def write_stale_files(database: Database) -> int:
    """Write the files anew of which the list has a newer version; how many were.

    A file that cannot be written is tried again later and later.
    """
    with database.transaction(PLATFORM) as session:
        stale = repository.stale_files(session)
    written = 0
    for list_id, format_ in stale:
        if format_ not in list_formats():
            continue  # of a plug-in that is not installed any more
        if not _RETRIES.is_due((list_id, format_)):
            continue
        try:
            write_file(database, list_id, format_)
        except SentinelIQError as error:
            pause = _RETRIES.note_failure((list_id, format_))
            log.warning(
                "file.not_written",
                list=str(list_id),
                format=format_,
                reason=error.message,
                again_in_seconds=pause,
            )
        else:
            _RETRIES.note_success((list_id, format_))
            written += 1
    return written


def write_file(database: Database, list_id: UUID, format_: str) -> FileRow:
    """Write a file of the published version of a list, unless it is there.

    Raises:
        NotFound: the list is gone.
        InvalidInput: there is no such format.
        Unavailable: the file is being written, or the list was edited meanwhile.
    """
    list_format = list_format_named(format_)
    values_alone = getattr(list_format, "needs_values_alone", False)
    with ExitStack() as stack:
        stack.enter_context(_turn(list_id, format_))
        pages = stack.enter_context(ScratchPages(values_alone=values_alone))
        departed = stack.enter_context(ScratchPages(values_alone=False))
        with database.transaction(PLATFORM, PATIENCE) as session:
            row = _existing_list(session, list_id)
            stored = repository.get(session, list_id, format_)
            number = row.published_number
            if stored and (stored.number, stored.revision) == (number, row.revision):
                return stored
            moment = repository.changed_at(session, list_id, number) or row.created_at
            rows = repository.version_pages(session, row, number, values_alone=values_alone)
            pages.write(rows)
            if getattr(list_format, "tells_departed", False):
                departed.write(repository.departed_pages(session, row.id, number, _DEPARTED_DAYS))
        options = row.format_options.get(format_, {})
        version = ListVersion(
            row.id, row.name, number, moment, options, row.tlp_ceiling, departed.read()
        )
        written = _written(row, list_format, pages, version)
        return _store(database, written)


def _store(database: Database, written: WrittenFile) -> FileRow:
    """Store a file, unless one of a newer version is there already.

    Raises:
        NotFound: the list is gone.
        Unavailable: the list was edited since its rows were read.
    """
    fresh = written.row
    with database.transaction(PLATFORM, PATIENCE) as session:
        repository.lock_file(session, fresh.list_id, fresh.format)
        row = _existing_list(session, fresh.list_id)
        if row.revision != fresh.revision:
            raise Unavailable("The list was edited while its file was written; ask again.")
        stored = repository.get(session, fresh.list_id, fresh.format)
        if stored and (stored.revision, stored.number) >= (fresh.revision, fresh.number):
            return stored
        repository.put(session, row.tenant, written)
    return fresh


def _existing_list(session: Session, list_id: UUID) -> ListRow:
    row = repository.list_row(session, list_id)
    if row is None:
        raise NotFound(f"There is no list {list_id}.")
    return row


@contextmanager
def _turn(list_id: UUID, format_: str) -> Iterator[None]:
    """Let one thread of the process write a file: the others find it stored.

    Raises:
        Unavailable: another thread does not come to its end.
    """
    key = (list_id, format_)
    with _WRITERS_LOCK:
        writer = _WRITERS.setdefault(key, _Writer(threading.Lock()))
        writer.users += 1
    try:
        if not writer.turn.acquire(timeout=_WAIT_SECONDS):
            raise Unavailable("The file is being written; ask again in a few seconds.")
        try:
            yield
        finally:
            writer.turn.release()
    finally:
        with _WRITERS_LOCK:
            writer.users -= 1
            if not writer.users:
                del _WRITERS[key]


def _written(
    row: ListRow, list_format: ListFormat, pages: ScratchPages, version: ListVersion
) -> WrittenFile:
    account = FileAccount()
    contents, digest, size = _encoded(list_format.write(pages.read(), version, account))
    file_row = FileRow(
        row.id,
        list_format.name,
        version.number,
        row.revision,
        digest,
        size,
        account.entries,
        dict(account.left_out),
        version.changed_at,
    )
    return WrittenFile(file_row, contents)


def _encoded(pieces: Iterator[bytes]) -> tuple[dict[str, bytes], bytes, int]:
    """The bytes of a file in all encodings, their digest and size."""
    content = b"".join(pieces)
    contents = {
        IDENTITY: content,
        "gzip": gzip.compress(content, _GZIP_LEVEL, mtime=0),
        "zstd": zstandard.ZstdCompressor(_ZSTD_LEVEL).compress(content),
    }
    return contents, sha256(content).digest(), len(content)
