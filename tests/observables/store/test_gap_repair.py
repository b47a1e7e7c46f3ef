"""A gap in the feeds' events asks every feed for a full statement."""

from uuid import UUID

import msgspec
import sqlalchemy as sa

from services.observables.consumers import SUBSCRIPTIONS
from shared.database import PLATFORM, database
from shared.events import ConsumedRecord
from shared.events.feeds import FINISHED, OBSERVED
from shared.events.observables import APPLIED, RunApplied
from shared.kafka.gaps import LogGap
from shared.kafka.offsets import OffsetRow, PartitionKey, stored_offset
from shared.kafka.partition_state import PartitionState
from shared.settings import Settings

SOURCES = {"acme": UUID(int=1), "public": UUID(int=2)}
PUT = (
    "INSERT INTO source (tenant, id, name, reliability, tlp, kind, confirmed_at, recorded_at) "
    "VALUES (:tenant, :id, 'a feed', 50, 'clear', 'snapshot', now(), now())"
)


def test_every_feed_is_asked_for_a_full_statement(environment: Settings) -> None:
    own = database("observables")
    key = PartitionKey("cluster", "group", OBSERVED.name, 0)
    record = ConsumedRecord(OBSERVED.name, 0, 41, None, b"{}", [], 1_000)
    with own.transaction(PLATFORM) as session:
        for tenant, source in SOURCES.items():
            session.execute(sa.text(PUT), {"tenant": tenant, "id": source})
        OffsetRow(session, key).advance(record)
    repairing = {
        subscription.topic: subscription for subscription in SUBSCRIPTIONS if subscription.repair
    }
    assert repairing.keys() == {OBSERVED, FINISHED}
    state = PartitionState(own, key, repairing[OBSERVED])
    state.move(LogGap("truncated", 41, 1_000, 0, 30, 25))

    stored = stored_offset(own, key)
    assert stored is not None
    assert (stored.last, stored.digest) == (24, None)
    with own.transaction(PLATFORM) as session:
        query = "SELECT tenant, key, payload FROM outbox WHERE topic = :topic ORDER BY tenant"
        rows = session.execute(sa.text(query), {"topic": APPLIED.name}).all()
        gap = session.execute(sa.text("SELECT * FROM log_gap")).one()
    reports = {row.tenant: msgspec.json.decode(bytes(row.payload), type=RunApplied) for row in rows}
    assert {tenant: report.source_id for tenant, report in reports.items()} == SOURCES
    assert {report.state for report in reports.values()} == {"incomplete"}
    assert gap.repair == "Full statements of 2 feeds were requested."
    assert gap.repaired_at is not None

    # Another consumer went on meanwhile: nothing changes, and nobody is asked again.
    state.move(LogGap("truncated", 41, 1_000, 0, 30, 25))
    with own.transaction(PLATFORM) as session:
        assert session.scalar(sa.text("SELECT count(*) FROM log_gap")) == 1
