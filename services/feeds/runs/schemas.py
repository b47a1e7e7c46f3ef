"""Runs as the API gives them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.pagination import PageSchema


class RunView(BaseModel):
    """One run of a feed: fetched, parsed, sent on."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    feed_id: UUID
    feed: str
    tenant: str
    state: Literal[
        "queued",
        "running",
        "applying",
        "succeeded",
        "unconfirmed",
        "unchanged",
        "held",
        "failed",
    ] = Field(
        description="applying: all chunks are published; succeeded: the observables service has "
        "applied them; unconfirmed: it has not said so, or some did not arrive"
    )
    input: Literal["fetch", "upload", "stored", "retraction", "restoration"] = Field(
        description="retraction: it takes back what the feed has said; restoration: it says what "
        "was taken back again"
    )
    retracts: UUID | None = Field(
        None,
        description="of a retraction: the run whose document it takes back; null: all that the "
        "feed has said",
    )
    payload: str | None = Field(description="SHA-256 of the content that was read last")
    file_name: str | None = Field(description="of the file that was uploaded")
    attempts: int
    next_attempt_at: datetime | None = Field(
        description="when a run that waits is tried again; null when it has begun or ended"
    )
    report: dict[str, Any] | None = Field(
        description="taken, seen, gone, dropped by reason and the first of them, types, bytes, "
        "seconds of each stage; account: the units of the documents (total), of which each was "
        "read, left_out by reason, or is context by kind; named: the indicators that they gave"
    )
    error: dict[str, Any] | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    requested_by: str
    full_reason: str | None = Field(
        description="why the run says everything again; null when it says what changed"
    )
    published: int | None = Field(description="indicators that were published")
    applied: int | None = Field(
        description="those of them that the observables service has applied; null until it says so"
    )
    difference: int | None = Field(description="published less applied")
    applied_at: datetime | None


class RetractionBody(BaseModel):
    """How to take back what was said."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="only count what would be taken back")


class RetractionView(BaseModel):
    """What is, or would be, taken back."""

    model_config = ConfigDict(from_attributes=True)

    feed: str
    retracts: UUID | None = Field(description="the run whose document it is; null: all of the feed")
    listed: int = Field(description="observables that the document names, or the feed lists")
    returns_to: UUID | None = Field(
        description="of a list: the run whose document holds again; null: the feed lists nothing"
    )
    kept_documents: int = Field(
        description="of a stream: its other documents; what they name as well stays asserted"
    )
    pauses: bool = Field(
        description="whether the feed is fetched no more until you enable it, so that its next "
        "fetch does not say the same again"
    )
    restorable_until: datetime | None = Field(
        description="until when the document can be restored; null when it cannot"
    )
    run: RunView | None = Field(description="the run that takes it back; null in a dry run")


class RunPage(PageSchema[RunView]):
    """A page of runs, newest first."""


class ReconciledRuns(BaseModel):
    """The result of a reconciliation."""

    status: Literal["ok"] = "ok"
    enqueued: int
