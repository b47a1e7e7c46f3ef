"""`events parked` and `events resend` on the real stack."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from sentineliq.cli.context import CommandContext
from shared.events.audit import RECORDED
from shared.kafka.history import read_since
from tests.cli.conftest import eventually

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack

PARK = (
    "INSERT INTO scheduler.outbox (topic, key, headers, payload, tenant, parked_at, attempts, "
    "error) VALUES ('scheduler.fired.v1', 'k', %s, '{}', 'acme', now(), 8, 'It is too large.')"
    " RETURNING id"
)


def park(cli, ce_id: str) -> int:
    url = CommandContext(cli.data_dir, "acme").settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(PARK, (f'[["ce_id", "{ce_id}"]]',)).fetchone()
    assert row is not None
    return int(row[0])


def test_parked_events_are_listed_retried_and_discarded(cli):
    first = park(cli, "parked-1")
    second = park(cli, "parked-2")
    listed = cli.as_json("events", "parked", "list")
    assert [(row["service"], row["id"], row["reason"]) for row in listed] == [
        ("scheduler", first, "It is too large."),
        ("scheduler", second, "It is too large."),
    ]
    assert "It is too large." in cli("events", "parked", "list", "--service", "scheduler").stdout
    assert cli.as_json("events", "parked", "list", "--service", "feeds") == []
    assert "Kafka refuses 2 events" in cli("doctor").stdout
    unknown = cli("events", "parked", "discard", "999999", "--service", "scheduler")
    assert unknown.exit_code == 1
    discard = ("events", "parked", "discard", str(first), "--service", "scheduler")
    assert f"{first} was discarded" in cli(*discard).stdout
    retry = ("events", "parked", "retry", "--all", "--service", "scheduler")
    assert f"{second} is tried again" in cli(*retry).stdout
    assert cli.as_json("events", "parked", "list") == []
    assert cli("events", "parked", "retry", "--service", "scheduler").exit_code == 2
    assert cli("events", "parked", "list", "--service", "nobody").exit_code == 1


def test_published_events_are_sent_again(cli):
    settings = CommandContext(cli.data_dir, "acme").settings

    async def created() -> list[str]:
        since = datetime.now(UTC) - timedelta(hours=1)
        events = [event async for event in read_since(settings, RECORDED, since)]
        return [event.id for event in events if event.data.target == feed["id"]]

    feed = cli.as_json("feeds", "add", "resend-me", "https://192.0.2.1/resend.txt", "--paused")
    # Once it is published: other events of the service may be sent again before.
    eventually(lambda: asyncio.run(created()))
    resend = ("events", "resend", "--since", "2020-01-01T00:00:00Z", "--service", "feeds")
    counts = eventually(lambda: [n for n in cli.as_json(*resend).values() if n])
    assert counts[0] >= 1
    eventually(lambda: len(asyncio.run(created())) >= 2)
    assert len(set(asyncio.run(created()))) == 1
    later = cli.as_json("events", "resend", "--since", "2999-01-01", "--service", "feeds")
    assert later == {"feeds": 0}
