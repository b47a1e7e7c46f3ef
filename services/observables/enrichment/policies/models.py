"""The tables of enrichment policies and their budgets, and their records."""

from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.events.observables import Change

_TEXTS: Final = pg.ARRAY(sa.Text)

POLICY: Final = sa.Table(
    "enrichment_policy",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("enrichers", _TEXTS),
    sa.Column("types", _TEXTS),
    sa.Column("sources", _TEXTS),
    sa.Column("tags", _TEXTS),
    sa.Column("min_score", sa.SmallInteger),
    sa.Column("depth", sa.SmallInteger),
    sa.Column("daily_budget", sa.Integer),
    sa.Column("created_at", sa.DateTime(timezone=True)),
    sa.Column("created_by", sa.Text),
)

PolicyDay = tuple[UUID, date]
"""A policy and a day (UTC) of its budget."""


class Policy(NamedTuple):
    """A policy as the selection needs it; an empty set means any.

    Attributes:
        sources: names of feeds.
        tags: any of these.
        min_score: 0 to 100.
        depth: how many answers away from a source the new observables of answers are followed.
        daily_budget: jobs in a day (UTC); None when only the providers' quotas count.
    """

    id: UUID
    name: str
    enrichers: frozenset[str]
    types: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    min_score: int = 0
    depth: int = 0
    daily_budget: int | None = None

    def matches(self, source: str, change: Change) -> bool:
        """Whether the policy asks about a change that a source caused."""
        return (
            change.kind != "expired"
            and change.score >= self.min_score
            and (not self.types or change.type in self.types)
            and (not self.sources or source in self.sources)
            and (not self.tags or not self.tags.isdisjoint(change.tags))
        )

    def budget_left(self, used: int) -> int | None:
        """Jobs that a day's budget has left; None without a budget."""
        return None if self.daily_budget is None else max(0, self.daily_budget - used)


class PolicyRow(NamedTuple):
    """A policy as it is stored."""

    id: UUID
    name: str
    enabled: bool
    enrichers: list[str]
    types: list[str]
    sources: list[str]
    tags: list[str]
    min_score: int
    depth: int
    daily_budget: int | None
    created_at: datetime
    created_by: str

    def policy(self) -> Policy:
        """The policy as the selection needs it."""
        return Policy(
            self.id,
            self.name,
            frozenset(self.enrichers),
            frozenset(self.types),
            frozenset(self.sources),
            frozenset(self.tags),
            self.min_score,
            self.depth,
            self.daily_budget,
        )


class PolicyUse(NamedTuple):
    """What a policy asked on a day.

    Attributes:
        stored: jobs that were stored.
        over_budget: jobs that the daily budget had no room for.
    """

    stored: int
    over_budget: int
