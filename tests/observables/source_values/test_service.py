"""The report of source values follows the runs of sources, and equals what rows say one by one."""

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.source_values.service import refresh_bitmaps
from shared.database import PLATFORM, Database
from shared.events import FeedRef
from shared.events.feeds import Indicator
from shared.stix import bucket, observable_uuid
from tests.observables.conftest import after, chunk, handle

ClientFor = Callable[..., TestClient]


def feed(number: int) -> FeedRef:
    return FeedRef(UUID(int=500 + number), f"list {number}", 80, kind="snapshot")


def address(number: int) -> Indicator:
    return Indicator("ipv4-addr", f"198.51.{number >> 8}.{number & 255}")


def report(client: TestClient) -> dict[str, Any]:
    answer = client.get("/v1/source-values")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {source["name"]: source for source in document["sources"]}


def say(own: Database, number: int, values: Any, at: str, **more: Any) -> None:
    """Let a source list values, and take some back."""
    buckets: dict[int, tuple[list[Indicator], list[Indicator]]] = {}
    for kind, entries in enumerate((values, more.pop("gone", ()))):
        for value in entries:
            indicator = address(value)
            identity = UUID(bytes=observable_uuid(indicator.type, indicator.value))
            place = buckets.setdefault(bucket(str(identity)), ([], []))
            place[kind].append(indicator)
    run = uuid4()
    tenant = more.pop("tenant", "acme")
    events = [
        chunk(*seen, feed=feed(number), gone=gone, at=at, run=run, into=into, tenant=tenant)
        for into, (seen, gone) in sorted(buckets.items())
    ]
    handle(own, *events, tenant=tenant)


def expected_rows(own: Database) -> dict[str, set[str]]:
    query = (
        "SELECT s.name, a.observable_id::text FROM assertion a JOIN source s "
        "ON s.id = a.source_id AND s.tenant = a.tenant "
        "WHERE a.retracted_at IS NULL AND a.tenant = 'acme'"
    )
    lists: dict[str, set[str]] = {}
    with own.transaction("acme") as session:
        for name, identity in session.execute(sa.text(query)):
            lists.setdefault(name, set()).add(identity)
    return lists


@pytest.mark.parametrize("seed", [1, 2, 3], ids=["first", "second", "third"])
def test_the_report_equals_brute_force_after_each_run(
    own: Database, client_for: ClientFor, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same world in each run
    client = client_for("observables")
    listed: dict[int, set[int]] = {}
    for step in range(6):
        number = chance.randrange(4)
        before = listed.get(number, set())
        now = {chance.randrange(300) for _ in range(chance.randrange(1, 120))}
        say(own, number, now, after(step), gone=before - now)
        listed[number] = now
        refresh_bitmaps(own)
        document = report(client)
        lists = expected_rows(own)
        assert document["observables"] == len(set().union(*lists.values()))
        sources = document["sources"]
        for row, source in enumerate(sources):
            own_list = lists.get(source["name"], set())
            rest = set().union(*(ids for name, ids in lists.items() if name != source["name"]))
            assert source["observables"] == len(own_list)
            assert source["unique"] == len(own_list - rest)
            for column, other in enumerate(sources):
                shared = own_list & lists.get(other["name"], set())
                assert document["overlaps"][row][column] == len(shared)
        covered = set().union(*(lists[name] for name in document["cover"]["sources"]))
        assert len(covered) == document["cover"]["reached"][-1]
        assert len(covered) >= 0.95 * document["observables"]


def test_who_was_first_and_by_how_long(own: Database, client_for: ClientFor) -> None:
    say(own, 1, range(20), after(0))
    say(own, 2, range(10), after(10))
    refresh_bitmaps(own)
    first, second = report(client_for("observables"))["sources"]
    assert (first["first"], second["first"]) == (10, 0)
    assert first["lead_seconds"] == second["lag_seconds"] > 0
    assert (first["unique"], second["unique"]) == (10, 0)


def test_a_transaction_that_ends_late_is_not_missed(own: Database, client_for: ClientFor) -> None:
    """A chunk is noted with the time at which its transaction began."""
    say(own, 1, range(5), after(0))
    assert refresh_bitmaps(own) > 0
    assert refresh_bitmaps(own) == 0
    say(own, 1, range(5, 9), after(1))
    with own.transaction(PLATFORM) as session:
        past = "UPDATE run_chunk SET handled_at = now() - interval '3 minutes'"
        session.execute(sa.text(past))
        session.execute(sa.text("UPDATE source_bitmap SET handled_at = now() - interval '2 min'"))
    assert refresh_bitmaps(own) > 0
    (source,) = report(client_for("observables"))["sources"]
    assert source["observables"] == 9
    assert refresh_bitmaps(own) == 0


def test_false_positives_and_sightings_are_counted(own: Database, client_for: ClientFor) -> None:
    say(own, 1, range(5), after(0))
    refresh_bitmaps(own)
    client = client_for("observables")
    for kind, number in (("false-positive", 1), ("false-positive", 1), ("seen", 2)):
        sighting = {"value": address(number).value, "kind": kind}
        client.post("/v1/sightings", json={"sightings": [sighting]}).raise_for_status()
    (source,) = report(client)["sources"]
    assert (source["false_positives"], source["sightings"]) == (1, 1)


def test_a_cost_is_stated_and_divided(own: Database, client_for: ClientFor) -> None:
    say(own, 1, range(5), after(0))
    refresh_bitmaps(own)
    client = client_for("observables")
    (source,) = report(client)["sources"]
    assert source["yearly_cost"] is None
    path = f"/v1/sources/{source['id']}/cost"
    for cost in (500, 1000):
        answer = client.put(path, json={"yearly_cost": cost, "currency": "USD"})
        assert answer.status_code == 200, answer.text
    (source,) = report(client)["sources"]
    assert (source["yearly_cost"], source["currency"]) == (1000, "USD")
    assert source["cost_per_unique"] == 200
    for body in ({"yearly_cost": -1}, {"yearly_cost": 1, "currency": "euro"}, {}):
        assert client.put(path, json=body).status_code == 422
    unknown = f"/v1/sources/{uuid4()}/cost"
    assert client.put(unknown, json={"yearly_cost": 1}).status_code == 404
    viewer = client_for("observables", role="viewer")
    assert viewer.put(path, json={"yearly_cost": 1}).status_code == 403


def test_another_tenant_sees_nothing_of_it(own: Database, client_for: ClientFor) -> None:
    say(own, 1, range(5), after(0))
    refresh_bitmaps(own)
    client = client_for("observables")
    (source,) = report(client)["sources"]
    stranger = client_for("observables", tenant="globex")
    document = report(stranger)
    assert (document["observables"], document["sources"]) == (0, [])
    path = f"/v1/sources/{source['id']}/cost"
    assert stranger.put(path, json={"yearly_cost": 1}).status_code == 404


def test_a_public_source_is_beside_the_own_ones(own: Database, client_for: ClientFor) -> None:
    say(own, 1, range(10), after(0))
    say(own, 2, range(5, 15), after(0), tenant="public")
    refresh_bitmaps(own)
    document = report(client_for("observables"))
    assert document["observables"] == 15
    assert document["overlaps"] == [[10, 5], [5, 10]]
    names = {name: source["tenant"] for name, source in by_name(document).items()}
    assert names == {"list 1": "acme", "list 2": "public"}
