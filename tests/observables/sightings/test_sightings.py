"""Reports of sightings, false positives and relations: each has its event, and counts once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.lookup import service as lookups
from services.observables.quotas.limits import SIGHTINGS
from shared.database import PLATFORM, Database
from shared.events.feeds import Indicator
from shared.events.observables import ObservablesChanged
from shared.quotas import set_limit
from tests.observables.conftest import OTHER, after, changes, chunk, handle, outbox

ADDRESS = Indicator("ipv4-addr", "192.0.2.1")


@pytest.fixture
def client(own: Database, client_for: Callable[..., TestClient]) -> TestClient:
    return client_for("observables")


def report(client: TestClient, **sighting: object) -> dict:
    answer = client.post(
        "/v1/sightings", json={"sightings": [{"value": "192[.]0[.]2[.]1", **sighting}]}
    )
    assert answer.status_code == 201, answer.text
    (item,) = answer.json()["items"]
    return item


def test_a_sighting_is_no_claim_and_is_announced_as_relevance(
    own: Database, client: TestClient
) -> None:
    handle(own, chunk(ADDRESS))
    changes(own)
    outcome = report(client, place="proxy", count=1000)
    assert not outcome["repeated"]
    assert outcome["observable"]["score"] == 72
    (payload,) = outbox(own)
    (change,) = msgspec.json.decode(payload, type=ObservablesChanged).changes
    assert (change.score, change.score_before, change.relevant) == (72, 72, 90)
    explained = client.get(f"/v1/observables/{outcome['observable']['id']}/explain").json()
    assert [(part["kind"], part["name"]) for part in explained["contributions"]] == [
        ("source", "blocklist")
    ]
    numbers = explained["numbers"]
    assert [(part["kind"], part["name"]) for part in numbers["relevant"]] == [("sighting", "proxy")]
    for name, parts in numbers.items():
        points = sum(part["points"] for part in parts)
        assert points == pytest.approx(explained["assessment"][name], abs=0.5)
    assert "72" in explained["assessment"]["sentence"]


def test_what_nobody_claims_is_not_bad_however_often_it_is_seen(
    own: Database, client: TestClient
) -> None:
    for place in ("proxy", "gate", "mail", "dns", "host"):
        outcome = report(client, place=place, count=200)
    assert outcome["observable"]["score"] == 0
    view = client.get("/v1/lookup", params={"value": "192.0.2.1"}).json()["observable"]
    assert (view["assessment"]["malicious"], view["assessment"]["relevant"]) == (0, 100)


def test_a_confirmation_is_a_claim(own: Database, client: TestClient) -> None:
    assert report(client, kind="confirmed-malicious")["observable"]["score"] == 90
    assert changes(own) == [("192.0.2.1", "new", 90, None)]


def test_a_report_that_is_sent_twice_counts_once(own: Database, client: TestClient) -> None:
    seen = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    first = report(client, place="proxy", first_seen=seen, last_seen=seen)
    again = report(client, place="proxy", first_seen=seen, last_seen=seen)
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert first["id"] == again["id"]
    assert changes(own) == [("192.0.2.1", "new", first["observable"]["score"], None)]


def test_a_report_that_is_repeated_uses_nothing_of_the_quota(
    own: Database, client: TestClient
) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM quota_use"))  # what other tests have reported
        set_limit(session, "acme", SIGHTINGS, 3, "ops@example")
    try:
        same = str(uuid4())
        repeated = [report(client, id=same)["repeated"] for _ in range(5)]
        assert repeated == [False, True, True, True, True]
        for _ in range(2):
            report(client)
        sighting = {"value": "192[.]0[.]2[.]1", "id": str(uuid4())}
        refused = client.post("/v1/sightings", json={"sightings": [sighting]})
        assert (refused.status_code, refused.json()["used"]) == (429, 3)
        assert report(client, id=same)["repeated"]
    finally:
        with own.transaction(PLATFORM) as session:
            session.execute(sa.text("DELETE FROM quota"))
            session.execute(sa.text("DELETE FROM quota_use"))


def test_a_false_positive_yields_to_newer_evidence(own: Database, client: TestClient) -> None:
    handle(own, chunk(ADDRESS))
    changes(own)
    seen = {"first_seen": after(1), "last_seen": after(1)}
    outcome = report(client, kind="false-positive", note="our own scanner", **seen)
    assert outcome["observable"]["score"] == 14
    assert changes(own) == [("192.0.2.1", "expired", 14, 72)]
    handle(own, chunk(ADDRESS, feed=OTHER, at=after(2)))
    assert changes(own) == [("192.0.2.1", "changed", 53, 14)]


def test_a_false_positive_counts_in_its_tenant(
    own: Database, client: TestClient, client_for: Callable[..., TestClient]
) -> None:
    handle(own, chunk(ADDRESS, tenant="public"), tenant="public")
    assert report(client, kind="false-positive")["observable"]["score"] == 14
    stranger = client_for("observables", "globex")
    view = stranger.get("/v1/lookup", params={"value": "192.0.2.1"}).json()["observable"]
    assert view["score"] == 72


def test_what_nobody_knew_is_known_by_its_sighting_and_only_to_its_tenant(
    own: Database, client: TestClient, client_for: Callable[..., TestClient]
) -> None:
    outcome = report(client, place="mail gateway", count=3)
    assert (
        client.get("/v1/lookup", params={"value": "192.0.2.1"}).json()["observable"]["sightings"][
            0
        ]["count"]
        == 3
    )
    stranger = client_for("observables", "globex")
    assert stranger.get("/v1/lookup", params={"value": "192.0.2.1"}).json()["observable"] is None
    assert stranger.get(f"/v1/observables/{outcome['observable']['id']}").status_code == 404


def test_a_sighting_of_something_public_is_added_to_what_is_public(
    own: Database, client: TestClient
) -> None:
    handle(own, chunk(ADDRESS, feed=OTHER, tenant="public"), tenant="public")
    changes(own)
    assert report(client)["observable"]["score"] == 45
    assert changes(own) == [("192.0.2.1", "changed", 45, 45)]


def test_a_source_that_comes_after_a_sighting_is_added_to_it(
    own: Database, client: TestClient
) -> None:
    report(client)
    changes(own)
    handle(own, chunk(ADDRESS, at=datetime.now(UTC).isoformat()))
    assert changes(own) == [("192.0.2.1", "changed", 72, 0)]


def test_an_id_is_that_of_one_sighting(own: Database, client: TestClient) -> None:
    identity = str(uuid4())
    first = {"value": "192.0.2.1", "id": identity}
    second = {"value": "evil.com", "id": identity}
    for body in ([first, second], [second, first]):
        refused = client.post("/v1/sightings", json={"sightings": body})
        assert (refused.status_code, refused.json()["field"]) == (409, "sightings.1.id")
    assert client.get("/v1/observables/count").json() == {"count": 0}
    assert client.post("/v1/sightings", json={"sightings": [first]}).status_code == 201
    refused = client.post("/v1/sightings", json={"sightings": [second]})
    assert (refused.status_code, refused.json()["field"]) == (409, "sightings.0.id")
    (again,) = client.post("/v1/sightings", json={"sightings": [first]}).json()["items"]
    assert again["repeated"]
    assert client.get("/v1/observables/count").json() == {"count": 1}


def test_a_report_that_something_is_harmless_makes_it_expire(
    own: Database, client: TestClient
) -> None:
    handle(own, chunk(ADDRESS))
    changes(own)
    reports = [{"value": ADDRESS.value, "kind": "false-positive", "count": 5}]
    client.post("/v1/sightings", json={"sightings": reports}).raise_for_status()
    assert changes(own) == [(ADDRESS.value, "expired", 14, 72)]


def test_a_report_that_was_wrong_is_taken_back(own: Database, client: TestClient) -> None:
    handle(own, chunk(ADDRESS))
    outcome = report(client, kind="false-positive", count=5)
    before = datetime.now(UTC)
    changes(own)
    for _ in range(2):
        assert client.delete(f"/v1/sightings/{outcome['id']}").status_code == 204
    assert changes(own) == [(ADDRESS.value, "changed", 72, 14)]
    query = {"value": ADDRESS.value}
    view = client.get("/v1/lookup", params=query).json()["observable"]
    assert (view["score"], view["sightings"]) == (72, [])
    then = client.get("/v1/lookup", params={**query, "as_of": before.isoformat()}).json()[
        "observable"
    ]
    assert (then["score"], len(then["sightings"])) == (14, 1)
    assert client.delete(f"/v1/sightings/sighting--{uuid4()}").status_code == 404


def test_what_only_a_report_spoke_of_expires_with_it(own: Database, client: TestClient) -> None:
    outcome = report(client)
    changes(own)
    client.delete(f"/v1/sightings/{outcome['id']}")
    assert changes(own) == [(ADDRESS.value, "expired", 0, 0)]
    assert client.get("/v1/lookup", params={"value": ADDRESS.value}).json()["observable"] is None


def test_a_report_that_was_withdrawn_stays_so_when_it_is_sent_again(
    own: Database, client: TestClient
) -> None:
    sent = {"value": ADDRESS.value, "id": str(uuid4())}
    other = {"value": "evil.com", "id": str(uuid4())}
    client.post("/v1/sightings", json={"sightings": [sent]}).raise_for_status()
    client.delete(f"/v1/sightings/sighting--{sent['id']}").raise_for_status()
    again, fresh = client.post("/v1/sightings", json={"sightings": [sent, other]}).json()["items"]
    assert (again["repeated"], again["observable"]["score"]) == (True, 0)
    assert (fresh["repeated"], fresh["observable"]["score"]) == (False, 0)
    assert client.get("/v1/lookup", params={"value": ADDRESS.value}).json()["observable"] is None


def test_relations_are_told_from_both_ends(own: Database, client: TestClient) -> None:
    handle(own, chunk(ADDRESS, Indicator("domain-name", "evil.com")))
    body = {"relations": [{"from": "evil[.]com", "kind": "resolves-to", "to": "192.0.2.1"}]}
    for _ in range(2):
        stored = client.post("/v1/relations", json=body)
        assert stored.status_code == 201, stored.text
    (ends,) = stored.json()["items"]
    (forth,) = client.get(f"/v1/observables/{ends['from']}/relations").json()["items"]
    (back,) = client.get(f"/v1/observables/{ends['to']}/relations").json()["items"]
    assert (forth["kind"], forth["direction"], forth["other"]["value"]) == (
        "resolves-to",
        "out",
        "192.0.2.1",
    )
    assert (back["kind"], back["direction"], back["other"]["value"]) == (
        "resolves-to",
        "in",
        "evil.com",
    )


def test_relations_are_counted_by_kind_and_direction(
    own: Database, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"evil{number}.com" for number in range(5)]
    handle(own, chunk(ADDRESS, *(Indicator("domain-name", name) for name in names)))
    relations = [{"from": name, "kind": "resolves-to", "to": "192.0.2.1"} for name in names]
    relations.append({"from": "192.0.2.1", "kind": "communicates-with", "to": names[0]})
    client.post("/v1/relations", json={"relations": relations}).raise_for_status()
    identity = client.get("/v1/lookup", params={"value": "192.0.2.1"}).json()["observable"]["id"]
    path = f"/v1/observables/{identity}/relations/counts"
    assert client.get(path).json() == {
        "items": [
            {"kind": "resolves-to", "direction": "in", "count": 5},
            {"kind": "communicates-with", "direction": "out", "count": 1},
        ],
        "total": 6,
        "complete": True,
    }
    monkeypatch.setattr(lookups, "_MAX_COUNTED", 4)
    bounded = client.get(path).json()
    assert (bounded["total"], bounded["complete"]) == (4, False)
    other = f"/v1/observables/ipv4-addr--{uuid4()}/relations/counts"
    assert client.get(other).status_code == 404


def test_relations_come_in_pages_the_latest_first(own: Database, client: TestClient) -> None:
    names = [f"evil{number}.com" for number in range(25)]
    handle(own, chunk(ADDRESS, *(Indicator("domain-name", name) for name in names)))
    relations = [
        {
            "from": name,
            "kind": "communicates-with",
            "to": "192.0.2.1",
            "last_seen": f"2026-11-{number % 9 + 1:02}T00:00:00Z",
        }
        for number, name in enumerate(names)
    ]
    relations.append(
        {
            "from": names[0],
            "kind": "resolves-to",
            "to": "192.0.2.1",
            "last_seen": "2026-10-01T00:00:00Z",
        }
    )
    client.post("/v1/relations", json={"relations": relations}).raise_for_status()
    identity = client.get("/v1/lookup", params={"value": "192.0.2.1"}).json()["observable"]["id"]
    path = f"/v1/observables/{identity}/relations"
    page_items: list[dict] = []
    after = None
    while True:
        page = client.get(path, params={"limit": 4} | ({"after": after} if after else {})).json()
        page_items += page["items"]
        if (after := page["next"]) is None:
            break
    assert len(page_items) == 26
    assert {(relation["other"]["value"], relation["kind"]) for relation in page_items} == {
        (relation["from"], relation["kind"]) for relation in relations
    }
    moments = [relation["last_seen"] for relation in page_items]
    assert moments == sorted(moments, reverse=True)
    assert client.get(path, params={"direction": "out"}).json()["items"] == []
    inward = client.get(path, params={"direction": "in", "kind": "communicates-with"}).json()
    assert len(inward["items"]) == 25
    assert client.get(path, params={"direction": "up"}).status_code == 422
    (only,) = client.get(path, params={"kind": "resolves-to"}).json()["items"]
    assert only["other"]["value"] == names[0]
    assert client.get(path, params={"kind": "likes"}).status_code == 422
    assert client.get(path, params={"after": "nonsense"}).json()["field"] == "after"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("sightings", {"sightings": []}, "sightings"),
        ("sightings", {"sightings": [{"value": "192.0.2.1"}] * 1001}, "sightings"),
        ("sightings", {"sightings": [{"value": "not an observable"}]}, "sightings.0.value"),
        ("sightings", {"sightings": [{"value": "a\0b.com"}]}, "sightings.0.value"),
        ("sightings", {"sightings": [{"value": "192.0.2.1", "kind": "maybe"}]}, "kind"),
        ("sightings", {"sightings": [{"value": "192.0.2.1", "count": 0}]}, "count"),
        (
            "sightings",
            {"sightings": [{"value": "192.0.2.1", "last_seen": "2026-02-30T00:00:00Z"}]},
            "last_seen",
        ),
        (
            "sightings",
            {"sightings": [{"value": "192.0.2.1", "first_seen": "2999-01-01T00:00:00Z"}]},
            "sightings.0",
        ),
        ("relations", {"relations": [{"from": "a.com", "kind": "likes", "to": "b.com"}]}, "kind"),
        (
            "relations",
            {"relations": [{"from": "a.com", "kind": "part-of", "to": "b.com"}]},
            "value",
        ),
    ],
)
def test_a_bad_report_gets_a_clear_answer_and_changes_nothing(
    own: Database, client: TestClient, path: str, body: dict, field: str
) -> None:
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["field"]
    assert changes(own) == []


def test_texts_with_a_nul_are_refused(own: Database, client: TestClient) -> None:
    answer = client.post(
        "/v1/sightings", json={"sightings": [{"value": "192.0.2.1", "place": "a\0b"}]}
    )
    assert answer.status_code == 422, answer.text
    assert changes(own) == []


def test_a_viewer_may_not_report(client_for: Callable[..., TestClient]) -> None:
    body = {"sightings": [{"value": "192.0.2.1"}]}
    assert (
        client_for("observables", role="viewer").post("/v1/sightings", json=body).status_code == 403
    )
