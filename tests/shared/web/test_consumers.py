"""Operators see halted partitions and gaps, in the API and in the doctor, and release them."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from sentineliq.cli.doctor.database_checks import DatabaseChecks
from shared.database import PLATFORM, Database, database
from shared.events import ConsumedRecord
from shared.events.feeds import OBSERVED
from shared.kafka.gaps import LogGap, add_gap
from shared.kafka.offsets import OffsetRow, PartitionKey
from shared.settings import Settings

ClientFor = Callable[..., TestClient]
PATH = "/v1/consumers"
TOPIC = f"site.{OBSERVED.name}"


def key(partition: int) -> PartitionKey:
    return PartitionKey("cluster", "group", TOPIC, partition)


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    own = database("observables")
    record = ConsumedRecord(TOPIC, 0, 41, None, b"{}", [("ce_id", b"e-41")], 1_000)
    with own.transaction(PLATFORM) as session:
        for partition in range(3):
            row = OffsetRow(session, key(partition))
            row.advance(record, [40, 41])
            if partition:
                row.halt("The handler fails.", "1.0")
    yield own
    with own.transaction(PLATFORM) as session:
        for table in ("consumer_offset", "log_gap", "outbox"):
            session.execute(sa.text(f"DELETE FROM {table}"))


def test_halted_partitions_are_listed_and_released(own: Database, client_for: ClientFor) -> None:
    client = client_for("observables", role="operator")
    partitions = client.get(PATH).json()["partitions"]
    assert [bool(partition["halted_at"]) for partition in partitions] == [False, True, True]
    assert partitions[1]["halted_reason"] == "The handler fails."
    assert (partitions[1]["last_offset"], partitions[1]["dead_letters"]) == (41, 2)
    assert partitions[1]["last_event_id"] == "e-41"

    order = {"topic": OBSERVED.name, "partition": 2, "allow": 7}
    released = client.post(f"{PATH}/release", json=order).json()["partitions"]
    assert [partition["partition"] for partition in released] == [2]
    with own.transaction(PLATFORM) as session:
        row = OffsetRow(session, key(2))
        assert (row.is_halted, row.dead_offsets, row.dead_allowance, row.last) == (
            False,
            [],
            7,
            41,
        )
        assert OffsetRow(session, key(1)).is_halted
        payload = session.scalar(sa.text("SELECT payload FROM outbox"))
    assert b"consumers.release" in payload
    assert client.post(f"{PATH}/release", json=order).status_code == 404
    assert client.post(f"{PATH}/release", json={"topic": TOPIC}).status_code == 200


def test_only_operators_see_consumers(own: Database, client_for: ClientFor) -> None:
    assert client_for("observables", role="admin").get(PATH).status_code == 403


def test_gaps_are_listed(own: Database, client_for: ClientFor) -> None:
    gap = LogGap("expired", 41, 1_000, 60, 90, 60)
    with own.transaction(PLATFORM) as session:
        add_gap(session, key(0), gap, "Publish again.", is_repaired=False)
    (listed,) = client_for("observables", role="operator").get(PATH).json()["gaps"]
    assert (listed["kind"], listed["last_offset"], listed["resumed_at"]) == ("expired", 41, 60)
    assert (listed["repair"], listed["repaired_at"]) == ("Publish again.", None)


def test_the_doctor_shows_both(own: Database, environment: Settings) -> None:
    gap = LogGap("rewound", 41, None, 42, 90, 42)
    with own.transaction(PLATFORM) as session:
        add_gap(session, key(0), gap, "It is read again.", is_repaired=True)
    with DatabaseChecks(environment) as checks:
        checks.connect()
        halted, gaps = checks.consumers("observables")
        assert checks.consumers("mitre") == []
    assert (halted.status, gaps.status) == ("problem", "look")
    assert f"{TOPIC}/1, {TOPIC}/2. The handler fails." in halted.seen
    assert f"{TOPIC}/0 rewound" in gaps.seen
