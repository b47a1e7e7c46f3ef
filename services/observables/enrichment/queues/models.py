"""The tables of provider queues and jobs, and their records."""

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from services.observables.enrichment.rate_limiter import RateLimiter

JobState = Literal["waiting", "running", "done", "refused", "failed", "cancelled"]
JobOutcome = Literal["found", "unknown", "cached"]
OPEN_STATES: Final = frozenset({"waiting", "running"})

INTERACTIVE: Final = 0
"""The priority of a job that a person waits for."""
PLAYBOOK: Final = 1
"""The priority of a job that a program waits for."""
BACKGROUND: Final = 2
"""The priority of a policy's job."""

_TIME: Final = sa.DateTime(timezone=True)
_UUID: Final = pg.UUID(as_uuid=True)

QUEUE: Final = sa.Table(
    "enrichment_queue",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", _UUID, primary_key=True),
    sa.Column("enricher", sa.Text),
    sa.Column("key_id", _UUID),
    sa.Column("holder", _UUID),
    sa.Column("lease_until", _TIME),
    sa.Column("limiter", pg.JSONB),
    sa.Column("interactive_from", _TIME),
    sa.Column("background_from", _TIME),
)
JOB: Final = sa.Table(
    "enrichment_job",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", _UUID, primary_key=True),
    sa.Column("observable_id", _UUID),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text(collation="C")),
    sa.Column("enricher", sa.Text),
    sa.Column("queue_id", _UUID),
    sa.Column("priority", sa.SmallInteger),
    sa.Column("state", sa.Text),
    sa.Column("outcome", sa.Text),
    sa.Column("tlp", sa.Text),
    sa.Column("fresh", sa.Boolean),
    sa.Column("trial", sa.Boolean),
    sa.Column("policy", _UUID),
    sa.Column("depth", sa.SmallInteger),
    sa.Column("attempts", sa.SmallInteger),
    sa.Column("claims", sa.SmallInteger),
    sa.Column("next_at", _TIME),
    sa.Column("holder", _UUID),
    sa.Column("reason", pg.JSONB),
    sa.Column("requested_by", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("finished_at", _TIME),
)


class ProviderQueue(NamedTuple):
    """A provider queue as a worker leased it.

    Attributes:
        tenant: the owner of its key; `public` also where there is no key.
    """

    tenant: str
    id: UUID
    enricher: str
    key_id: UUID | None
    limiter: RateLimiter


class QueueIdentity(NamedTuple):
    """The identity of a provider queue: the enricher, and the key that the provider counts by.

    Attributes:
        owner: of the key; `public` also where there is no key.
    """

    id: UUID
    owner: str
    enricher: str
    key_id: UUID | None


class JobRequest(NamedTuple):
    """A job to store.

    Attributes:
        observable_id: the observable's UUID.
        tlp: the requester's marking of the value; None when only its sources' count.
        fresh: query the provider even if an answer is still good.
        trial: only the provider and the key are tried; the answer is not stored.
        policy: the policy that asks.
        depth: answers between the value and the source or person that named it.
    """

    observable_id: str
    type: str
    value: str
    enricher: str
    queue_id: UUID
    priority: int
    requested_by: str
    tlp: str | None = None
    fresh: bool = False
    trial: bool = False
    policy: UUID | None = None
    depth: int = 0


class Job(NamedTuple):
    """A job that a worker has claimed."""

    id: UUID
    tenant: str
    observable_id: str
    type: str
    value: str
    enricher: str
    queue_id: UUID
    priority: int
    tlp: str | None
    fresh: bool
    trial: bool
    policy: UUID | None
    depth: int
    attempts: int
    requested_by: str


class JobEnd(NamedTuple):
    """The end of a job, or its next try.

    Attributes:
        state: done, refused or failed; or waiting again.
        outcome: of a job that is done: found, unknown, cached.
        reason: an error or a refusal, as JSON.
        wait: seconds until the next try of a job that waits.
        attempts: failed tries so far.
    """

    id: UUID
    state: JobState
    outcome: JobOutcome | None = None
    reason: str | None = None
    wait: float = 0.0
    attempts: int = 0


class JobRow(NamedTuple):
    """A stored job, as lists and estimates need it."""

    id: UUID
    observable_id: UUID
    tenant: str
    type: str
    value: str
    enricher: str
    queue_id: UUID
    priority: int
    state: JobState
    outcome: JobOutcome | None
    reason: dict[str, Any] | None
    attempts: int
    next_at: datetime
    requested_by: str
    created_at: datetime
    finished_at: datetime | None


JOB_ROW: Final = tuple(JOB.c[name] for name in JobRow._fields)
"""The columns of a `JobRow`."""


class QueuePosition(NamedTuple):
    """The jobs before a tenant's first waiting one in a queue.

    Attributes:
        running: jobs that are in flight.
        own: the tenant's own before it, itself included.
        others: for each other tenant that takes turns, how many of its jobs wait.
    """

    running: int
    own: int
    others: tuple[int, ...]

    def jobs_before(self, offset: int) -> int:
        """How many jobs finish until the tenant's job that is `offset` places later does."""
        own = self.own + offset
        return self.running + own + sum(min(own, count) for count in self.others)


class Outlook(NamedTuple):
    """The work that a worker without a queue may expect.

    Attributes:
        soon: whether any queue has work within some seconds.
        others: whether another worker holds a queue.
        fading: whether another worker has not renewed its lease lately, and may be lost.
    """

    soon: bool
    others: bool
    fading: bool
