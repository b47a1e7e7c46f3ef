"""Write the files of lists, so that they are ready when they are polled."""

import gzip
from collections.abc import Iterator
from hashlib import sha256
from typing import Final
from uuid import UUID

import zstandard
from sqlalchemy.orm import Session

from services.observables.dissemination.files import repository
from services.observables.dissemination.files.models import FileRow, WrittenFile
from services.observables.dissemination.lists.models import ListRow
from services.observables.list_formats.base import FileAccount, ListVersion
from services.observables.list_formats.registry import list_format_named, list_formats
from shared.database import PLATFORM, Database
from shared.errors import NotFound, SentinelIQError
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

PATIENCE: Final = 120
"""Seconds that one statement may take."""
_GZIP_LEVEL: Final = 3
_ZSTD_LEVEL: Final = 3
IDENTITY: Final = "identity"
"""The encoding of bytes as they are."""


def write_stale_files(database: Database) -> int:
    """Write the files anew of which the list has a newer version; how many were."""
    with database.transaction(PLATFORM) as session:
        stale = repository.stale_files(session)
    written = 0
    for list_id, format_ in stale:
        if format_ not in list_formats():
            continue  # of a plug-in that is not installed any more
        try:
            write_file(database, list_id, format_)
        except SentinelIQError as error:
            log.warning("file.not_written", list=str(list_id), format=format_, reason=error.message)
        else:
            written += 1
    return written


def write_file(database: Database, list_id: UUID, format_: str) -> FileRow:
    """Write a file of the published version of a list, unless it is there.

    Raises:
        NotFound: the list is gone.
        InvalidInput: there is no such format.
    """
    with database.transaction(PLATFORM, PATIENCE) as session:
        repository.lock_file(session, list_id, format_)
        row = repository.list_row(session, list_id)
        if row is None:
            raise NotFound(f"There is no list {list_id}.")
        stored = repository.get(session, list_id, format_)
        if stored and (stored.number, stored.revision) == (row.published_number, row.revision):
            return stored
        written = _written(session, row, format_)
        repository.put(session, row.tenant, written)
    return written.row


def _written(session: Session, row: ListRow, format_: str) -> WrittenFile:
    number = row.published_number
    moment = repository.changed_at(session, row.id, number) or row.created_at
    version = ListVersion(row.id, row.name, number, moment, row.format_options.get(format_, {}))
    account = FileAccount()
    list_format = list_format_named(format_)
    values_alone = getattr(list_format, "needs_values_alone", False)
    pages = repository.version_pages(session, row, number, values_alone=values_alone)
    pieces = list_format.write(pages, version, account)
    contents, digest, size = _encoded(pieces)
    file_row = FileRow(
        row.id,
        format_,
        number,
        row.revision,
        digest,
        size,
        account.entries,
        dict(account.left_out),
        moment,
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
