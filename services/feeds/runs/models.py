"""The tables of runs and providers, and a run as the room's modules pass it on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal
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
    sa.Column("file_name", sa.Text),
    sa.Column("retracts", pg.UUID(as_uuid=True)),
    sa.Column("part", pg.JSONB(none_as_null=True)),
    sa.Column("confirmed", sa.Boolean),
    sa.Column("deaths", sa.Integer),
    sa.Column("failures", sa.Integer),
    sa.Column("observed_at", _TIME),
    sa.Column("attempts", sa.Integer),
    sa.Column("next_attempt_at", _TIME),
    sa.Column("holder", pg.UUID(as_uuid=True)),
    sa.Column("lease_until", _TIME),
    sa.Column("full_reason", sa.Text),
    sa.Column("base_revision", sa.BigInteger),
    sa.Column("progress", sa.Integer),
    sa.Column("worker", sa.Text),
    sa.Column("applied", pg.JSONB(none_as_null=True)),
    sa.Column("applied_at", _TIME),
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

PROVIDER_TURN = sa.Table(
    "provider_turn",
    METADATA,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("next_visit_at", _TIME),
    sa.Column("visited_at", _TIME),
    sa.Column("waits_until", _TIME),
)
"""Visits of each tenant at each host. Rows of the platform's tenant are addresses of the catalog,
between whose visits the catalog sets a time."""

RunInput = Literal["fetch", "upload", "stored", "retraction", "restoration"]
"""A retraction takes a document of the feed back, or all that the feed has said; a restoration
reads a document again that was taken back."""
AMENDMENTS: Final = ("retraction", "restoration")
"""Inputs of runs by which a person amends what the feed has said: no rule tells of them."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What is to be visited, and how often.

    Attributes:
        tenant: visits.
        host: whose feeds take turns.
        url: the feed's address.
        address_seconds: least time between two visits of the platform to the address; 0 when the
            catalog does not name it.
        tenant_seconds: least time between two visits of the tenant to the host.
    """

    tenant: str
    host: str
    url: str
    address_seconds: float
    tenant_seconds: float


CHECK: Final = "check"
"""The reason of a full statement that is expected to correct nothing."""

RESTORABLE_DAYS: Final = 30
"""Days for which a document that was taken back can be restored."""


class RunState(StrEnum):
    """The states of a run.

    A run in quarantine waits for a confirmation or for time. One that is applying has published
    all its chunks; it succeeds when the observables service has applied them, and is unconfirmed
    when that does not say so.
    """

    QUEUED = "queued"
    RUNNING = "running"
    APPLYING = "applying"
    SUCCEEDED = "succeeded"
    UNCONFIRMED = "unconfirmed"
    UNCHANGED = "unchanged"
    QUARANTINED = "held"  # the stored and published word
    FAILED = "failed"


PUBLISHED_STATES: Final = (
    RunState.APPLYING,
    RunState.SUCCEEDED,
    RunState.UNCONFIRMED,
    RunState.UNCHANGED,
)
"""States of runs that have said what their document says."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document of a feed whose payload is stored.

    Attributes:
        payload: digest of its content.
        format: the format it is in; guessed when None.
        cursor: the feed's cursor once it is published; None when it was not fetched.
        name: for people, such as "page 3"; empty when it was not fetched.
        file_name: of the file that was uploaded; None when it was fetched.
        received: bytes that came over the network for it, while that is not counted yet.
    """

    payload: str
    format: str | None = None
    cursor: dict[str, Any] | None = None
    name: str = ""
    file_name: str | None = None
    received: int = 0


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be made.

    Attributes:
        actor: starts it.
        input: whether it fetches, or reads a payload that is stored.
        payload: digest of that payload; None: the one that the feed is at when the run begins.
        is_confirmed: whether its document is published whatever it takes away.
        full_reason: why it says everything again, if it is to do so in any case.
        file_name: of the payload, where it was uploaded.
        retracts: of a retraction: the run whose document it takes back; None: it takes all back.
        id: derived from what causes it; None of a run that nothing repeats.
    """

    tenant: str
    feed_id: UUID
    actor: str
    input: RunInput = "fetch"
    payload: str | None = None
    is_confirmed: bool = False
    full_reason: str | None = None
    file_name: str | None = None
    retracts: UUID | None = None
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run as a worker claims it.

    Attributes:
        holder: this claim.
        pinned: the document that an earlier attempt, or an upload, fixed; it is read first.
        is_confirmed: whether a person has allowed its document to take most of the list away.
        deaths: workers that died over the run since it last came further than before.
        failures: failures of the provider.
        observed_at: the moment that the run speaks for: the same in each attempt.
        full_reason: why the run is a full statement; None when it says only what changed.
        base_revision: the feed's revision when the run began to publish a document whose snapshot
            is not stored yet; None while it has published nothing of it.
        progress: the most chunks that an attempt has published.
        report: of the attempts before.
        retracts: of a retraction: the run whose document it takes back; None: it takes all back.
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
    full_reason: str | None
    base_revision: int | None
    progress: int
    requested_by: str
    report: dict[str, Any] | None
    retracts: UUID | None = None

    @property
    def is_amendment(self) -> bool:
        """Whether a person amends by it what the feed has said."""
        return self.input in AMENDMENTS

    @property
    def is_full(self) -> bool:
        """Whether the run says everything that the feed lists."""
        return self.full_reason is not None


@dataclass(frozen=True, slots=True)
class AppliedCounts:
    """The observables service's account of a run; see `shared.events.observables.RunApplied`."""

    state: str
    chunks: int
    received: int
    rejected: int
    corrected: int
    missing: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as people see it.

    Attributes:
        feed: the feed's name.
        payload: digest of the document that was read last.
        file_name: of that document; None when it was not uploaded.
        full_reason: why it says everything again; None when it does not.
        applied_account: `AppliedCounts` as it is stored; None before it arrived.
        retracts: of a retraction: the run whose document it takes back; None: it takes all back.
    """

    id: UUID
    feed_id: UUID
    feed: str
    tenant: str
    state: str
    input: RunInput
    payload: str | None
    file_name: str | None
    attempts: int
    next_attempt_at: datetime | None
    report: dict[str, Any] | None
    error: dict[str, Any] | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    requested_by: str
    full_reason: str | None
    applied_account: dict[str, Any] | None
    applied_at: datetime | None
    retracts: UUID | None = None

    @property
    def document(self) -> StoredDocument | None:
        """The document that was read last; None if there was none."""
        return StoredDocument(self.payload, file_name=self.file_name) if self.payload else None

    @property
    def published(self) -> int | None:
        """Indicators that the run published; None before it has a report."""
        if self.report is None:
            return None
        published: int | None = self.report.get("published")
        if published is None:  # a run of an older version
            return int(self.report["seen"]) + int(self.report["gone"])
        return published

    @property
    def applied(self) -> int | None:
        """Indicators of it that the observables service has applied; None until it says so."""
        return None if self.applied_account is None else int(self.applied_account["received"])

    @property
    def difference(self) -> int | None:
        """Indicators that were published and not applied; None until both are known."""
        if self.published is None or self.applied is None:
            return None
        return self.published - self.applied


@dataclass(frozen=True, slots=True)
class DueCheck:
    """A feed whose check is due, and its tenant."""

    id: UUID
    tenant: str


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that waits for a worker, and its tenant."""

    id: UUID
    tenant: str
