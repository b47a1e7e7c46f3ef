"""Chunks in, and what comes of them: what the tests of the observables service share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest
import sqlalchemy as sa

from services.observables.store.handlers import handle_observed
from shared.database import PLATFORM, Database, database
from shared.events import ConsumedRecord, Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.events.observables import ObservablesChanged
from shared.settings import Settings

# Snapshots: what they say does not fade while they are read.
FEED = FeedRef(UUID(int=1), "blocklist", 80, kind="snapshot")
OTHER = FeedRef(UUID(int=2), "honeypots", 50, kind="snapshot")
START = datetime.now(UTC) - timedelta(hours=2)


def after(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


TABLES = (
    "source",
    "source_past",
    "source_pair",
    "source_quality",
    "evidence_policy",
    "source_rescoring",
    "observable",
    "context_past",
    "assertion",
    "assertion_past",
    "sighting",
    "relation",
)
TABLES += (
    "run_chunk",
    "full_statement",
    "run_expectation",
    "failed_row",
    "outbox",
    "enrichment",
    "enrichment_past",
    "enrichment_queue",
    "enrichment_job",
)
TABLES += (
    "enrichment_request",
    "enrichment_request_job",
    "enricher_setting",
    "enrichment_policy",
    "enrichment_policy_use",
)
TABLES += ("collection", "push", "quota_use", "observable_number", "source_bitmap", "source_cost")

TABLES += ("dissemination_list", "protected_value", "list_consumer")


@pytest.fixture
def own(environment: Settings) -> Database:
    own = database("observables")
    with own.engine.begin() as connection:
        for table in TABLES:
            connection.execute(sa.text(f"TRUNCATE observables.{table} CASCADE"))
    return own


def feed_of(feed: FeedRef, tenant: str) -> FeedRef:
    """A feed of these tests as a tenant has it: each has its own, with the same name."""
    if tenant == "acme" or feed.id not in {FEED.id, OTHER.id}:
        return feed
    return msgspec.structs.replace(feed, id=uuid5(feed.id, tenant))


def chunk(
    *indicators: Indicator,
    feed: FeedRef = FEED,
    at: str = after(0),
    gone: list[Indicator] | None = None,
    run: UUID | None = None,
    number: int = 0,
    tenant: str = "acme",
    into: int = 0,
    statement: int | None = None,
    is_repetition: bool = False,
) -> Event[IndicatorsObserved]:
    data = IndicatorsObserved(
        feed_of(feed, tenant),
        run or uuid4(),
        into,
        number,
        at,
        90,
        ("c2",),
        list(indicators),
        gone or [],
        statement,
        is_repetition,
    )
    event = Event(OBSERVED, data, tenant, "/services/feeds", key=b"0")
    record = ConsumedRecord("feeds.observed.v1", 0, number, b"0", event.payload(), event.headers())
    return replace(event, record=record)


def handle(own: Database, *events: Event[IndicatorsObserved], tenant: str = "acme") -> None:
    with own.transaction(tenant) as session:
        handle_observed(session, events)


def outbox(own: Database, topic: str = "observables.changed.v1") -> list[bytes]:
    with own.transaction(PLATFORM) as session:
        payloads = session.scalars(
            sa.text("SELECT payload FROM outbox WHERE topic = :topic ORDER BY id"), {"topic": topic}
        )
        rows = [bytes(row) for row in payloads]
        session.execute(sa.text("DELETE FROM outbox"))
    return rows


def changes(own: Database) -> list[tuple[str, str, int, int | None]]:
    payloads = [msgspec.json.decode(payload, type=ObservablesChanged) for payload in outbox(own)]
    return sorted(
        (change.value, change.kind, change.score, change.score_before)
        for payload in payloads
        for change in payload.changes
    )
