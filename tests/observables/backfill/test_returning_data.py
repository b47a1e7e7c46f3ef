"""Reference data that is replaced, and comes back: what is described follows, and is told anew."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from services.observables.backfill import contexts
from services.observables.backfill.contexts import redescribe
from services.observables.reference import context, warning_lists
from services.observables.reference.service import store_dataset
from shared.database import PLATFORM, PUBLIC, Database
from shared.events import Event
from shared.events.feeds import Indicator
from shared.events.observables import CHANGED, ObservablesChanged, change_id
from tests.observables.conftest import chunk, handle

ADDRESS = "198.51.100.7"
OTHER = "203.0.113.9"


@pytest.fixture(autouse=True)
def no_data(own: Database) -> Iterator[None]:
    yield
    with own.transaction(PUBLIC) as session:
        session.execute(sa.text("DELETE FROM dataset"))
        context.reload_if_stale(session, now=True)


def put(own: Database, *entries: str) -> None:
    """Store a list of false positives, which is no younger than an hour."""
    document = {
        "name": "our own servers",
        "version": 1,
        "type": "cidr",
        "list": entries,
        "category": "false_positive",
    }
    packed = warning_lists.pack([("own/list.json", json.dumps(document).encode())])
    obtained_at = datetime.now(UTC) - timedelta(hours=1)
    with own.transaction(PUBLIC) as session:
        store_dataset(session, "warninglists", packed, origin="test", obtained_at=obtained_at)
        context.reload_if_stale(session, now=True)


def take_changes(own: Database) -> list[tuple[str, UUID]]:
    """The ids of waiting events and of the changes that they tell; they wait no longer."""
    with own.transaction(PLATFORM) as session:
        rows = session.execute(
            sa.text(
                "DELETE FROM outbox WHERE topic = 'observables.changed.v1' "
                "RETURNING headers, payload"
            )
        ).all()
    ids = []
    for headers, payload in rows:
        event_id = dict(headers)["ce_id"]
        data = msgspec.json.decode(bytes(payload), type=ObservablesChanged)
        event = Event(CHANGED, data, "acme", "/services/observables", b"0", event_id)
        ids += [(event_id, change_id(event, change)) for change in data.changes]
    return ids


def listed(own: Database) -> list[str]:
    query = "SELECT value FROM observable WHERE context::text LIKE '%our own servers%'"
    with own.transaction(PLATFORM) as session:
        return list(session.scalars(sa.text(query)))


class Killed(BaseException):
    """The process is gone."""


def test_data_that_comes_back_before_all_was_described_with_its_successor(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "_CHUNK", 1)
    put(own, OTHER)
    redescribe(own)
    handle(own, chunk(*(Indicator("ipv4-addr", f"198.51.100.{number}") for number in range(4))))
    put(own, "198.51.100.0/24")
    describe = contexts._describe
    described: list[str] = []

    def describe_two(*arguments: object) -> int:
        if len(described) == 2:
            raise Killed
        described.append("another")
        return describe(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(contexts, "_describe", describe_two)
        with pytest.raises(Killed):
            redescribe(own)
    assert len(listed(own)) == 2
    put(own, OTHER)
    redescribe(own)
    assert listed(own) == []


def test_the_same_change_is_told_each_time_that_it_happens(own: Database) -> None:
    put(own, OTHER)
    redescribe(own)
    handle(own, chunk(Indicator("ipv4-addr", ADDRESS)))
    take_changes(own)
    ids = []
    for entry in (ADDRESS, OTHER, ADDRESS, OTHER):
        put(own, entry)
        redescribe(own)
        ids += take_changes(own)
    assert len(ids) == 4
    assert len({event_id for event_id, _ in ids}) == 4
    assert len({change for _, change in ids}) == 4
