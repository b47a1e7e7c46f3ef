"""`as_of` gives the answer of that time: random histories, looked up over HTTP, and again later."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.backfill.contexts import redescribe
from services.observables.enrichment.answers import repository as answers
from services.observables.enrichment.answers.models import StoredAnswer
from services.observables.providers.base import Finding, Weight
from services.observables.reference import context, warning_lists
from services.observables.reference.service import store_dataset
from services.observables.store.due_scores import check_due
from services.observables.store.handlers import handle_finished
from shared.database import PUBLIC, Database
from shared.events import Event, FeedRef
from shared.events.feeds import FINISHED, Indicator, RunFinished
from shared.stix.ids import observable_id
from tests.observables.conftest import TABLES, chunk, handle

HISTORIES = int(os.environ.get("SENTINELIQ_AS_OF_HISTORIES", "4"))
STEPS = 16
VALUES = [
    ("ipv4-addr", "198.51.100.7"),
    ("ipv4-addr", "198.51.100.0/24"),
    ("domain-name", "evil.com"),
    ("domain-name", "login.evil.com"),
    ("url", "http://login.evil.com/a"),
]


class Answered(NamedTuple):
    """What one tenant was told about one value at a moment."""

    moment: datetime
    client: TestClient
    value: str
    answer: dict[str, Any]
    explained: dict[str, Any] | None


class World:
    """Everything that happens to observables, at random."""

    def __init__(self, own: Database, client: TestClient, chance: random.Random) -> None:
        self._own = own
        self._client = client
        self._chance = chance
        self._steps = (
            self._seen, self._seen, self._seen, self._gone, self._reported, self._confirmed,
            self._described, self._aged, self._enriched, self._enriched,
        )  # fmt: skip

    def step(self) -> None:
        self._chance.choice(self._steps)()

    def _some(self) -> list[Indicator]:
        chance = self._chance
        soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
        return [
            Indicator(
                type_,
                value,
                confidence=chance.choice([20, 60, 95]),
                tags=chance.choice([[], ["x"]]),
                malware=chance.choice([None, "Emotet"]),
                first_seen=chance.choice([None, "2026-10-01T00:00:00Z"]),
                valid_until=chance.choice([None, None, soon]),
            )
            for type_, value in chance.sample(VALUES, chance.randrange(1, 5))
        ]

    def _where(self) -> dict[str, Any]:
        number = self._chance.randrange(1, 4)
        tenant = self._tenant()
        reliability = self._chance.choice([40, 80, 80, 100])
        at = datetime.now(UTC) - timedelta(minutes=self._chance.choice([0, 0, 1, 30, 3000]))
        feed = FeedRef(
            UUID(int=number + (10 if tenant == "acme" else 20)),
            f"feed {number}",
            reliability,
            kind=("snapshot", "stream")[number % 2],
        )
        return {"feed": feed, "at": at.isoformat(), "tenant": tenant}

    def _tenant(self) -> str:
        return self._chance.choice(["acme", "acme", PUBLIC])

    def _seen(self) -> None:
        where = self._where()
        handle(self._own, chunk(*self._some(), **where), tenant=where["tenant"])

    def _gone(self) -> None:
        where = self._where()
        handle(self._own, chunk(gone=self._some(), **where), tenant=where["tenant"])

    def _reported(self) -> None:
        reports = [
            {
                "value": row.value,
                "kind": self._chance.choice(["seen", "false-positive"]),
                "count": self._chance.randrange(1, 4),
                "place": self._chance.choice(["gate", "mail"]),
            }
            for row in self._some()
        ]
        assert self._client.post("/v1/sightings", json={"sightings": reports}).status_code == 201

    def _confirmed(self) -> None:
        where = self._where()
        finished = RunFinished(where["feed"], UUID(int=9), "succeeded")
        event = Event(
            FINISHED,
            finished,
            where["tenant"],
            "/services/feeds",
            time=datetime.now(UTC).isoformat(),
        )
        with self._own.transaction(where["tenant"]) as session:
            handle_finished(session, [event])

    def _described(self) -> None:
        """Other reference data: an allow-list with one of the values, or with another."""
        entries = self._chance.choice([["198.51.100.0/24"], ["203.0.113.0/24"]])
        listed = {
            "name": "ours",
            "version": 1,
            "type": "cidr",
            "matching_attributes": ["ip-dst"],
            "list": entries,
        }
        packed = warning_lists.pack([("main/lists/x/list.json", json.dumps(listed).encode())])
        with self._own.transaction(PUBLIC) as session:
            store_dataset(
                session, "warninglists", packed, origin="test", obtained_at=datetime.now(UTC)
            )
        redescribe(self._own, settle_time=timedelta(0))

    def _aged(self) -> None:
        check_due(self._own)

    def _enriched(self) -> None:
        """Answers of remote enrichers, as the workers store them: claims, effects, or none."""
        chance = self._chance
        tenant = self._tenant()
        now = datetime.now(UTC)
        stored_answers = [
            StoredAnswer(
                observable_id(type_, value),
                chance.choice(["virustotal", "greynoise"]),
                self._finding(),
                now - timedelta(minutes=chance.choice([0, 60])),
                now + timedelta(days=1),
                now + timedelta(days=30),
                b"raw",
            )
            for type_, value in chance.sample(VALUES, 2)
        ]
        with self._own.transaction(tenant) as session:
            # Nobody asks about what is not stored.
            stored = set(session.scalars(sa.text("SELECT id::text FROM observable")))
            stored_answers = [
                stored_answer
                for stored_answer in stored_answers
                if stored_answer.observable_id in stored
            ]
            answers.put(session, tenant, stored_answers, now)

    def _finding(self) -> Finding | None:
        weight = self._chance.choice([0.7, 0.3, -0.5, None])
        if weight is None:
            return None
        return Finding(
            {"detections": self._chance.randrange(5)}, (Weight(weight, "as it was told"),)
        )


def ask(
    client: TestClient, value: str, as_of: datetime | None = None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What is known about a value, and why; in an order that does not matter."""
    past = {"as_of": as_of.isoformat()} if as_of else {}
    answer = client.get("/v1/lookup", params={"value": value, **past}).raise_for_status().json()
    # The facts about a value that is not stored, and the dates of reference data, are not recorded.
    answer.pop("context", None)
    answer.pop("reference", None)
    view = answer["observable"]
    if view is None:
        return answer, None
    view["assertions"].sort(key=lambda row: (row["source_id"], row["tenant"]))
    view["sightings"].sort(key=lambda row: row["id"])
    return answer, client.get(
        f"/v1/observables/{view['id']}/explain", params=past
    ).raise_for_status().json()


def answered(clients: list[TestClient]) -> Iterator[Answered]:
    for client in clients:
        answers_now = [(value, *ask(client, value)) for _, value in VALUES]
        moment = datetime.now(UTC)
        yield from (Answered(moment, client, *row) for row in answers_now)


def parts_of(explained: dict[str, Any]) -> dict[tuple[str, str], float]:
    # Approximately: between the answer and its moment some milliseconds have passed.
    return {
        (part["kind"], part["name"]): pytest.approx(part["points"], abs=0.01)
        for part in explained["contributions"]
    }


@pytest.fixture
def forgotten(own: Database) -> Iterator[None]:
    yield
    with own.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE observables.dataset"))
    with own.transaction(PUBLIC) as session:
        context.reload_if_stale(session, now=True)


@pytest.mark.timeout(120 + 60 * HISTORIES)
@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_past_is_answered_as_it_was(
    own: Database, client_for: Callable[..., TestClient], forgotten: None, seed: int
) -> None:
    with own.engine.begin() as connection:
        for table in (*TABLES, "dataset"):
            connection.execute(sa.text(f"TRUNCATE observables.{table} CASCADE"))
    with own.transaction(PUBLIC) as session:
        context.reload_if_stale(session, now=True)
    clients = [client_for("observables"), client_for("observables", "globex")]
    world = World(own, clients[0], random.Random(seed))  # noqa: S311  # test data
    memory: list[Answered] = []
    for _ in range(STEPS):
        world.step()
        memory += answered(clients)
        time.sleep(0.002)
    assert any(
        memory_.answer["observable"] and memory_.answer["observable"]["enrichments"]
        for memory_ in memory
    )
    for memory_ in memory:
        answer, explained = ask(memory_.client, memory_.value, memory_.moment)
        assert answer == memory_.answer
        if memory_.explained is not None:
            assert explained is not None
            assert (
                explained["score"]
                == memory_.explained["score"]
                == memory_.answer["observable"]["score"]
            )
            points = {
                (part["kind"], part["name"]): part["points"] for part in explained["contributions"]
            }
            assert points == parts_of(memory_.explained)
            total = sum(part["points"] for part in memory_.explained["contributions"])
            assert abs(min(max(total, 0), 100) - memory_.explained["score"]) <= 0.5
