"""Effects of answers: facts, score, relations, new observables, events, and the past."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from shared.database import PLATFORM
from shared.events.observables import Enriched, ObservablesChanged
from tests.observables.conftest import outbox
from tests.observables.enrichment.conftest import World, identity
from tests.observables.enrichment.provider import Reply

ADDRESS = "45.33.32.156"


@pytest.fixture
def client(client_for):
    return client_for("observables", tenant="acme", role="admin")


def answer(listed: bool = True, related: list[tuple[str, str, str]] | None = None) -> Reply:
    return Reply(body=msgspec.json.encode({"listed": listed, "related": related or []}))


def changed(world: World) -> list[tuple[str, str, int, int | None]]:
    changes = []
    for payload in events(world, "observables.changed.v1"):
        changes += msgspec.json.decode(payload, type=ObservablesChanged).changes
    return sorted(
        (change.value, change.kind, change.score, change.score_before) for change in changes
    )


def events(world: World, topic: str) -> list[bytes]:
    with world.own.transaction(PLATFORM) as session:
        query = sa.text("SELECT payload FROM outbox WHERE topic = :topic ORDER BY id")
        return [bytes(payload) for payload in session.scalars(query, {"topic": topic})]


def enriched(payload: bytes) -> dict[str, Any]:
    return msgspec.structs.asdict(msgspec.json.decode(payload, type=Enriched))


def test_an_answer_raises_the_score_and_both_are_published(world: World, client):
    world.enricher()
    world.know(ADDRESS)
    before = client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"]["score"]
    outbox(world.own)
    world.ask(ADDRESS)
    world.run_worker()
    now = client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"]
    assert now["score"] > before
    assert changed(world) == [(ADDRESS, "changed", now["score"], before)]
    (payload,) = events(world, "observables.enriched.v1")
    event = enriched(payload)
    assert (event["value"], event["enricher"]) == (ADDRESS, "probe")
    assert (event["facts"], event["is_known"]) == ({"listed": True}, True)


def test_a_provider_that_knows_nothing_is_an_answer(world: World, client):
    world.enricher()
    world.providers.replies["probe"] = lambda _: Reply(404)
    world.know(ADDRESS)
    outbox(world.own)
    world.ask(ADDRESS)
    world.run_worker()
    (job,) = world.jobs()
    assert (job.state, job.outcome) == ("done", "unknown")
    (enrichment,) = client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"][
        "enrichments"
    ]
    assert (enrichment["found"], enrichment["facts"]) == (False, {})
    assert changed(world) == []
    (payload,) = events(world, "observables.enriched.v1")
    assert enriched(payload)["is_known"] is False


def test_an_invalid_answer_is_not_stored_and_its_query_is_retried(world: World, client):
    world.enricher()
    world.providers.replies["probe"] = lambda _: Reply(body=b"<html>maintenance</html>")
    world.know(ADDRESS)
    world.ask(ADDRESS)
    world.run_worker(1)
    (job,) = world.jobs()
    assert (job.state, job.attempts, job.reason["code"]) == ("waiting", 1, "bad-answer")
    assert (
        client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"]["enrichments"]
        == []
    )


def test_relations_and_new_observables_are_stored_with_their_origin(world: World, client):
    world.enricher()
    world.know(ADDRESS)
    outbox(world.own)
    world.providers.replies["probe"] = lambda _: answer(
        related=[("resolves-to", "domain-name", "evil.example.net.br")]
    )
    world.ask(ADDRESS)
    world.run_worker()
    observable = client.get("/v1/lookup", params={"value": "evil.example.net.br"}).json()[
        "observable"
    ]
    assert (observable["score"], observable["depth"], observable["assertions"]) == (0, 1, [])
    (relation,) = client.get(f"/v1/observables/ipv4-addr--{identity(ADDRESS)}/relations").json()[
        "items"
    ]
    assert (relation["kind"], relation["direction"], relation["source"]) == (
        "resolves-to",
        "out",
        "probe",
    )
    assert relation["other"]["value"] == "evil.example.net.br"
    assert ("evil.example.net.br", "new", 0, None) in changed(world)


@pytest.mark.parametrize(("depth", "queries"), [(0, 1), (1, 2), (2, 3)])
def test_new_observables_are_followed_no_deeper_than_the_policy_says(
    world: World, client, depth: int, queries: int
):
    world.enricher()
    chain = {
        "45.33.32.156": "45.33.32.157",
        "45.33.32.157": "45.33.32.158",
        "45.33.32.158": "45.33.32.159",
    }
    world.providers.replies["probe"] = lambda call: answer(
        related=[("related-to", "ipv4-addr", chain[call.path.rpartition("/")[2]])]
    )
    policy = {"name": f"depth {depth}", "enrichers": ["probe"], "depth": depth}
    created = client.post("/v1/enrichment-policies", json=policy).json()
    world.know(ADDRESS)
    world.ask(ADDRESS, policy=created["id"])
    world.run_worker()
    assert world.providers.queries_of("probe") == list(chain)[:queries]
    assert [job.depth for job in sorted(world.jobs(), key=lambda job: job.value)] == list(
        range(queries)
    )


@pytest.mark.parametrize(("tlp", "calls"), [("clear", 1), ("green", 1), ("amber", 2)])
def test_an_answer_serves_other_tenants_if_the_marking_allows_it(
    world: World, client_for, tlp: str, calls: int
):
    world.enricher(max_tlp="amber")
    for tenant in ("acme", "rival"):
        world.know(ADDRESS, tenant=tenant, tlp=tlp)
    world.providers.replies["probe"] = lambda _: answer(
        related=[("related-to", "ipv4-addr", "45.33.32.157")]
    )
    for tenant in ("acme", "rival"):
        world.ask(ADDRESS, tenant=tenant)
        world.run_worker()
    assert len(world.providers.calls) == calls
    assert [job.outcome for job in world.jobs("rival")] == ["cached" if calls == 1 else "found"]
    for tenant in ("acme", "rival"):
        client = client_for("observables", tenant=tenant)
        observable = client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"]
        assert [part["facts"] for part in observable["enrichments"]] == [{"listed": True}]
        # The observable that the answer names is stored for both.
        assert (
            client.get("/v1/lookup", params={"value": "45.33.32.157"}).json()["observable"]
            is not None
        )
    # Other tenants do not learn of a value that these two know.
    stranger = client_for("observables", tenant="stranger")
    assert stranger.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"] is None


def test_an_answer_to_a_tenants_own_key_is_not_shared(world: World, client_for):
    world.enricher(key_fields=("key",))
    for tenant in ("acme", "rival"):
        client_for("observables", tenant=tenant).patch(
            "/v1/enrichers/probe", json={"key": {"key": tenant}}
        )
        world.know(ADDRESS, tenant=tenant, tlp="clear")
        world.ask(ADDRESS, tenant=tenant)
        world.run_worker()
    assert [
        call.headers.partition("X-Key: ")[2].split("\r\n")[0] for call in world.providers.calls
    ] == [
        "acme",
        "rival",
    ]


def test_lookups_of_the_past_show_the_answers_of_then(world: World, client):
    world.enricher()
    world.know(ADDRESS)
    moments = []
    for listed in (True, False, True):
        moments.append(
            (
                datetime.now(UTC),
                client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"],
            )
        )
        world.providers.replies["probe"] = lambda _, listed=listed: answer(listed)
        world.ask(ADDRESS, fresh=True)
        world.run_worker()
    for at, then in moments:
        params = {"value": ADDRESS, "as_of": at.isoformat()}
        assert client.get("/v1/lookup", params=params).json()["observable"] == then
    assert [
        bool(then["enrichments"] and then["enrichments"][0]["found"]) for _, then in moments
    ] == [
        False,
        True,
        False,
    ]


def test_the_weight_of_an_answer_stops_counting(world: World, client):
    world.enricher()
    world.ask(ADDRESS)
    world.know(ADDRESS)
    world.run_worker()
    with world.own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE enrichment SET counts_until = now()"))
    observable = client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"]
    parts = client.get(f"/v1/observables/{observable['id']}/explain").json()["contributions"]
    assert [part["kind"] for part in parts] == ["source"]
    assert observable["enrichments"] != []
