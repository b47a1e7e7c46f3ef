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
    input: Literal["fetch", "upload", "stored"]
    payload: str | None = Field(description="SHA-256 of the content that was read last")
    file_name: str | None = Field(description="of the file that was uploaded")
    attempts: int
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


class RunPage(PageSchema[RunView]):
    """A page of runs, newest first."""


class ReconciledRuns(BaseModel):
    """The result of a reconciliation."""

    status: Literal["ok"] = "ok"
    enqueued: int
