"""The tables of runs and providers, and a run as the room's modules pass it on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.feeds.subscriptions.models import METADATA

_TIME = sa.DateTime(timezone=True)

RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("feed_id", pg.UUID(as_uuid=True)),
    sa.Column("state", sa.Text),
    sa.Column("input", sa.Text),
    sa.Column("payload", sa.Text),
    sa.Column("part", pg.JSONB(none_as_null=True)),
    sa.Column("confirmed", sa.Boolean),
    sa.Column("deaths", sa.Integer),
    sa.Column("failures", sa.Integer),
    sa.Column("observed_at", _TIME),
    sa.Column("attempts", sa.Integer),
    sa.Column("next_attempt_at", _TIME),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("lease_until", _TIME),
    sa.Column("report", pg.JSONB),
    sa.Column("error", pg.JSONB),
    sa.Column("queued_at", _TIME),
    sa.Column("started_at", _TIME),
    sa.Column("finished_at", _TIME),
    sa.Column("requested_by", sa.Text),
)
PROVIDER = sa.Table(
    "provider",
    METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("host", sa.Text, primary_key=True),
    sa.Column("next_visit_at", _TIME),
)

RunInput = Literal["fetch", "upload", "stored"]


class RunState(StrEnum):
    """The states of a run; a run in quarantine waits for a confirmation or for time."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    QUARANTINED = "held"  # the stored and published word
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document of a feed whose payload is stored.

    Attributes:
        payload: digest of its content.
        format: the format it is in; guessed when None.
        cursor: the feed's cursor once it is published; None when it was not fetched.
        name: for people, such as "page 3"; empty when it was not fetched.
    """

    payload: str
    format: str | None = None
    cursor: dict[str, Any] | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be made.

    Attributes:
        actor: starts it.
        observed_at: the time its observables are seen at.
        input: whether it fetches, or reads a payload that is stored.
        payload: digest of that payload.
        is_confirmed: whether its document is published whatever it takes away.
    """

    tenant: str
    feed_id: UUID
    actor: str
    observed_at: datetime
    input: RunInput = "fetch"
    payload: str | None = None
    is_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run as a worker claims it.

    Attributes:
        holder: this claim.
        pinned: the document that an earlier attempt, or an upload, fixed; it is read first.
        is_confirmed: whether a person has allowed its document to take most of the list away.
        deaths: workers that died over the run.
        failures: failures of the provider.
        report: of the attempts before.
    """

    id: UUID
    tenant: str
    feed_id: UUID
    holder: UUID
    input: RunInput
    pinned: StoredDocument | None
    is_confirmed: bool
    deaths: int
    failures: int
    observed_at: datetime
    report: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as people see it.

    Attributes:
        feed: the feed's name.
        payload: digest of the document that was read last.
    """

    id: UUID
    feed_id: UUID
    feed: str
    tenant: str
    state: str
    input: RunInput
    payload: str | None
    attempts: int
    report: dict[str, Any] | None
    error: dict[str, Any] | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    requested_by: str


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that waits for a worker, and its tenant."""

    id: UUID
    tenant: str
