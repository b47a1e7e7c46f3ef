"""The table of feeds, and a feed as the service's rooms pass it on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self, TypedDict
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.feeds.subscriptions.vocabulary import (
    RELIABILITY_PERCENT,
    FeedKind,
    FormatOptions,
    Reliability,
    Tlp,
)
from shared.events import FeedRef

METADATA = sa.MetaData()
_TIME = sa.DateTime(timezone=True)

# Where the key differs from the column, the column is older than the word.
FEED = sa.Table(
    "feed",
    METADATA,
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("format", sa.Text),
    sa.Column("options", pg.JSONB),
    sa.Column("confidence", sa.SmallInteger),
    sa.Column("reliability", sa.Text),
    sa.Column("tlp", sa.Text),
    sa.Column("tags", pg.ARRAY(sa.Text)),
    sa.Column("every_seconds", sa.Integer),
    sa.Column("enabled", sa.Boolean),
    sa.Column("next_run_at", _TIME),
    sa.Column("collector", sa.Text),
    sa.Column("collector_options", pg.JSONB),
    sa.Column("kind", sa.Text),
    sa.Column("auth", pg.JSONB),
    sa.Column("secret", sa.LargeBinary),
    sa.Column("catalogue", sa.Text, key="catalog"),
    sa.Column("min_interval", sa.Integer),
    sa.Column("retention_days", sa.Integer),
    sa.Column("cursor", pg.JSONB),
    sa.Column("content_digest", sa.Text),
    sa.Column("version", sa.Text, key="snapshot"),
    sa.Column("listed", sa.Integer),
    sa.Column("payload", sa.Text),
    sa.Column("file_name", sa.Text),
    sa.Column("observed_at", _TIME),
    sa.Column("revision", sa.BigInteger),
    sa.Column("needs_full_statement", sa.Text),
    sa.Column("data_folder", sa.Text),
    sa.Column("check_at", _TIME),
    sa.Column("held", pg.JSONB(none_as_null=True), key="quarantine"),
    sa.Column("health", sa.Text),
    sa.Column("health_since", _TIME),
    sa.Column("health_evidence", pg.JSONB),
    sa.Column("created_at", _TIME),
    sa.Column("created_by", sa.Text),
    sa.Column("origin", sa.Text),
    sa.Column("derived_from", pg.ARRAY(sa.Text)),
)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The reason why a feed's last document was not published.

    Attributes:
        times: how often in a row such a document came.
        reason: one sentence for people.
        run: the run that read it.
        listed: how many observables it lists.
        before: how many the feed's snapshot lists.
    """

    times: int
    reason: str
    run: str
    listed: int
    before: int

    def as_dict(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "times": self.times,
            "reason": self.reason,
            "run": self.run,
            "listed": self.listed,
            "before": self.before,
        }

    @classmethod
    def from_stored(cls, document: Mapping[str, Any] | None) -> Self | None:
        """The quarantine of a feed's row, if there is one."""
        if document is None:
            return None
        return cls(
            times=document.get("times", 0),
            reason=document.get("reason", ""),
            run=document.get("run", ""),
            listed=document.get("listed", 0),
            before=document.get("before", 0),
        )


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as it stands.

    Attributes:
        options, collector_options: as the format and the collector define them.
        auth, secret: the public part of the credentials, and the sealed one.
        catalog: slug of the catalog's entry that it was made from.
        min_interval: least seconds between two visits to the provider.
        cursor: the collector's memory of the last fetch.
        content_digest: of the last document and of all that decides what is published of it.
        snapshot: file of its present snapshot.
        listed: observables in that snapshot.
        payload: digest of the last document.
        file_name: of that document; None when it was not uploaded.
        observed_at: the moment that its last run speaks for; each run's is later.
        revision: grows whenever the snapshot moves or a setting changes that decides what is said.
        needs_full_statement: why the next run has to say everything again; None when it does not.
        data_folder: id of the data folder that the snapshot's file is in.
        check_at: when it says everything again next, as a check.
        origin: whose observations it publishes; None when nobody has named it.
        derived_from: the origins whose observations it repeats.
    """

    tenant: str
    id: UUID
    name: str
    url: str | None
    format: str | None
    options: FormatOptions
    confidence: int
    reliability: Reliability
    tlp: Tlp
    tags: list[str]
    every_seconds: int | None
    enabled: bool
    next_run_at: datetime | None
    collector: str
    collector_options: dict[str, Any]
    kind: FeedKind
    auth: dict[str, Any] | None
    secret: bytes | None = field(repr=False)
    catalog: str | None
    min_interval: int
    retention_days: int
    cursor: dict[str, Any]
    content_digest: str | None
    snapshot: str | None
    listed: int
    payload: str | None
    file_name: str | None
    observed_at: datetime | None
    revision: int
    needs_full_statement: str | None
    data_folder: str | None
    check_at: datetime | None
    quarantine: Quarantine | None
    health: str
    health_since: datetime
    health_evidence: dict[str, Any]
    created_at: datetime
    created_by: str
    origin: str | None = None
    derived_from: list[str] = field(default_factory=list)

    @property
    def was_read(self) -> bool:
        """Whether a document of it has been read to its end."""
        return self.content_digest is not None or bool(self.cursor)

    @property
    def ref(self) -> FeedRef:
        """The feed as events name it."""
        percent = RELIABILITY_PERCENT[self.reliability]
        return FeedRef(
            self.id,
            self.name,
            percent,
            self.tlp,
            self.kind,
            self.origin or "",
            tuple(self.derived_from),
        )


class FeedColumns(TypedDict, total=False):
    """Columns of a feed that are written; those that are left out stay as they are."""

    name: str
    url: str | None
    format: str | None
    options: FormatOptions
    confidence: int
    reliability: Reliability
    tlp: Tlp
    tags: list[str]
    every_seconds: int | None
    enabled: bool
    collector: str
    collector_options: dict[str, Any]
    kind: FeedKind
    origin: str | None
    derived_from: list[str]
    auth: dict[str, Any] | None
    secret: bytes | None
    catalog: str | None
    min_interval: int
    retention_days: int
    cursor: dict[str, Any]
    content_digest: str | None
    snapshot: str | None
    listed: int
    payload: str | None
    file_name: str | None
    needs_full_statement: str | None
    data_folder: str | None
    quarantine: dict[str, Any] | None
    health: str
    health_since: datetime
    health_evidence: dict[str, Any]
