"""On-demand enrichment in the API: requests, their jobs, and what can be done with them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.observables.enrichment.queues.models import JobOutcome, JobState
from services.observables.providers.base import Tlp
from shared.pagination import PageSchema
from shared.stix import ObservableType

Value = Annotated[str, Field(max_length=8192)]
EnricherName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EnrichmentCreate(_Body):
    """Values to query enrichers about."""

    values: Annotated[list[Value], Field(min_length=1, max_length=1000)]
    enrichers: Annotated[list[EnricherName], Field(max_length=200)] | None = Field(
        None, description="all that can be queried when not given"
    )
    tlp: Tlp | None = Field(
        None, description="a marking of the values; the strictest of it and their sources' counts"
    )
    fresh: bool = Field(False, description="query providers even if an answer is still good")
    playbook: bool = Field(
        False, description="a program waits for the answers; jobs of people go first"
    )


@dataclass(frozen=True, slots=True)
class JobView:
    """A query to a provider, and its progress."""

    id: UUID
    observable_id: UUID
    type: ObservableType
    value: str
    enricher: str
    state: JobState
    outcome: Annotated[JobOutcome | None, Field(description="of a job that is done")]
    reason: Annotated[
        dict[str, Any] | None,
        Field(description="why it was refused, has failed, or is tried again"),
    ]
    attempts: int
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    estimate: Annotated[
        datetime | None, Field(description="when a waiting job will probably have finished")
    ]


@dataclass(frozen=True, slots=True)
class EnrichmentView:
    """A request and its jobs."""

    id: UUID
    requested_by: str
    created_at: datetime
    open: Annotated[int, Field(description="jobs that have not ended")]
    jobs: list[JobView]


class JobPage(PageSchema[JobView]):
    """A page of jobs, the newest first."""


class JobCancel(_Body):
    """Which waiting jobs to cancel; all of the tenant's when nothing is given."""

    ids: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    enricher: EnricherName | None = None


class CancelledJobs(BaseModel):
    """The number of cancelled jobs."""

    cancelled: int
