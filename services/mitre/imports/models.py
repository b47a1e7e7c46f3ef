"""The tables of imports and of the sources they come from.

The table and the API call an import a load: the names are older.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

METADATA = sa.MetaData()
_TIME = sa.DateTime(timezone=True)

SOURCE = sa.Table(
    "source",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("domain", sa.Text, primary_key=True),
    sa.Column("url", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("etag", sa.Text),
    sa.Column("last_modified", sa.Text),
    sa.Column("checked_at", _TIME),
)
IMPORT = sa.Table(
    "load",
    METADATA,
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("domain", sa.Text),
    sa.Column("version", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("path", sa.Text),
    sa.Column("refresh", sa.Boolean),
    sa.Column("activate", sa.Boolean),
    sa.Column("state", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("next_attempt_at", _TIME),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("lease_until", _TIME),
    sa.Column("error", pg.JSONB),
    sa.Column("result", pg.JSONB),
    sa.Column("requested_by", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("started_at", _TIME),
    sa.Column("finished_at", _TIME),
)

ImportState = Literal["queued", "running", "succeeded", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class NewImport:
    """An import to be made.

    Attributes:
        name: for people: a domain, or the name of a file.
        domain: that the bundle must be of, when it is given.
        version: that it must be, when it is given.
        url: where it is fetched; None for an upload.
        path: name of the uploaded file; None for an address.
        refresh: whether it is fetched from its domain's source.
        activate: make it the current release although a newer one is.
    """

    id: UUID
    name: str
    requested_by: str
    domain: str | None = None
    version: str | None = None
    url: str | None = None
    path: str | None = None
    refresh: bool = False
    activate: bool = False


@dataclass(frozen=True, slots=True)
class AttackImport:
    """An import as it stands; see also `NewImport`.

    Attributes:
        holder: the claim of the worker that has it.
        result: figures of the release, or the reason why nothing was written.
        error: why it failed or waits.
    """

    id: UUID
    state: ImportState
    name: str
    domain: str | None
    version: str | None
    url: str | None
    refresh: bool
    activate: bool
    attempts: int
    holder: UUID | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class DomainSource:
    """The source of a domain.

    Attributes:
        enabled: whether it is refreshed on a schedule.
        etag, last_modified: of the server's last answer.
        checked_at: when it was fetched last.
    """

    domain: str
    url: str
    enabled: bool
    etag: str | None = None
    last_modified: str | None = None
    checked_at: datetime | None = None
