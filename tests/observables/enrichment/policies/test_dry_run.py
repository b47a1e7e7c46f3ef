"""Policies over the real log: a dry run forecasts what the policy then does."""

import asyncio
from uuid import uuid4

import msgspec
import pytest
import sqlalchemy as sa

from services.observables.enrichment.policies.handlers import handle_changed
from shared.database import PLATFORM
from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.events.feeds import Indicator
from shared.events.observables import CHANGED, ObservablesChanged
from shared.kafka.outbox import OUTBOX
from shared.kafka.producer import Publisher
from shared.settings import Settings
from tests.observables.conftest import FEED, chunk, handle
from tests.observables.enrichment.conftest import World

OTHER = msgspec.structs.replace(FEED, id=uuid4(), name="honeypots", reliability=40)


@pytest.fixture
def tenant() -> str:
    """A tenant of its own: the log keeps the events of other tests."""
    return f"acme-{uuid4().hex[:8]}"


@pytest.fixture
def client(client_for, settings: Settings, tenant: str):
    return client_for("observables", tenant=tenant, role="admin")


def relay(world: World, settings: Settings) -> list[Event[ObservablesChanged]]:
    """Publish the outbox as the relay does; its changes, as a consumer gets them."""
    with world.own.transaction(PLATFORM) as session:
        rows = session.execute(sa.text("SELECT * FROM outbox ORDER BY id")).all()
        session.execute(sa.text("DELETE FROM outbox"))

    async def send() -> None:
        async with Publisher(settings, "observables") as publisher:
            for row in rows:
                headers = [(name, value.encode("latin-1")) for name, value in row.headers]
                payload = bytes(row.payload)
                headers = publisher.signer.sign(row.topic, row.key, payload, headers)
                await publisher.send(row.topic, row.key, payload, headers)
            await publisher.flush()

    asyncio.run(send())
    changes = [row for row in rows if row.topic == CHANGED.name]
    return [
        Event(
            CHANGED,
            msgspec.json.decode(row.payload, type=ObservablesChanged),
            row.tenant,
            "/services/observables",
            time=dict(row.headers)["ce_time"],
        )
        for row in changes
    ]


def consume(world: World, tenant: str, events: list[Event[ObservablesChanged]]) -> None:
    with world.own.transaction(tenant) as session:
        handle_changed(session, events)


def day(world: World, settings: Settings, tenant: str) -> list[Event[ObservablesChanged]]:
    """A day's changes: two feeds, tags, scores, types, repetitions, private values."""
    first = [
        Indicator("ipv4-addr", f"45.32.1.{number}", tags=("c2",) if number % 3 else ())
        for number in range(1, 120)
    ]
    second = [Indicator("domain-name", f"evil{number}.com.br") for number in range(60)]
    private = [Indicator("ipv4-addr", f"10.0.0.{number}") for number in range(1, 20)]
    handle(world.own, chunk(*first, *private, tenant=tenant), tenant=tenant)
    other = msgspec.structs.replace(OTHER, id=uuid4())
    handle(world.own, chunk(*second, feed=other, tenant=tenant), tenant=tenant)
    # Their scores change.
    handle(world.own, chunk(*first[:50], feed=other, tenant=tenant), tenant=tenant)
    handle(world.own, chunk(*first[:5], tenant="rival"), tenant="rival")
    return [event for event in relay(world, settings) if event.tenant == tenant]


POLICIES = [
    {"enrichers": ["probe"]},
    {"enrichers": ["probe", "second"], "types": ["ipv4-addr"]},
    {"enrichers": ["probe"], "sources": ["honeypots"]},
    {"enrichers": ["second"], "tags": ["c2"], "min_score": 70},
    {"enrichers": ["probe", "second"], "daily_budget": 37},
    {"enrichers": ["probe"], "min_score": 99},
]


@pytest.mark.parametrize("limits", POLICIES, ids=lambda limits: ",".join(sorted(limits)))
@pytest.mark.parametrize("way", ["as events come", "applied to the past"])
def test_a_dry_run_forecasts_what_the_policy_then_does(
    world: World, settings: Settings, client, tenant, limits: dict, way
):
    world.enricher()
    world.enricher("second", types=frozenset({"ipv4-addr"}))
    events = day(world, settings, tenant)
    before = client.post("/v1/enrichment-policies/dry-run", json={"name": "tried", **limits}).json()
    policy = client.post(
        "/v1/enrichment-policies", json={"name": f"{way} {limits}"[:100], **limits}
    ).json()
    forecast = client.post(f"/v1/enrichment-policies/{policy['id']}/dry-run").json()
    assert forecast["calls"] == before["calls"]
    if way == "as events come":
        for event in events:
            consume(world, tenant, [event])
    else:
        applied = client.post(
            f"/v1/enrichment-policies/{policy['id']}/apply", params={"days": 1}
        ).json()
        assert applied == {"queries": forecast["calls"]}
    world.run_worker()
    calls = {name: len(world.providers.queries_of(name)) for name in ("probe", "second")}
    assert {name: count for name, count in calls.items() if count} == forecast["by_enricher"]
    assert sum(calls.values()) == forecast["calls"]
    (view,) = client.get("/v1/enrichment-policies").json()
    assert (view["queries_today"], view["over_budget_today"]) == (
        forecast["calls"],
        forecast["over_budget"],
    )


def test_repeated_events_lead_to_no_second_query(
    world: World, settings: Settings, client, tenant: str
):
    world.enricher()
    events = day(world, settings, tenant)
    client.post("/v1/enrichment-policies", json={"name": "all", "enrichers": ["probe"]})
    for _ in range(2):
        for event in events:
            consume(world, tenant, [event])
    world.run_worker()
    for event in events:
        consume(world, tenant, [event])
    world.run_worker(2)
    assert world.providers.repetitions("probe") == {}
    assert len(world.providers.calls) == 179


def test_an_invalid_policy_gets_a_clear_error(world: World, client):
    world.enricher()
    good = {"name": "one", "enrichers": ["probe"]}
    assert client.post("/v1/enrichment-policies", json=good).status_code == 201
    for body, status, field in (
        (good, 409, "name"),
        ({**good, "name": "two", "enrichers": ["unknown"]}, 422, "enrichers.0"),
        ({**good, "name": "two", "types": ["no-type"]}, 422, "types.0"),
        ({**good, "name": "two", "depth": 9}, 422, "depth"),
        ({**good, "name": "two", "enrichers": []}, 422, "enrichers"),
        ({**good, "name": "a\0b"}, 422, "name"),
    ):
        answer = client.post("/v1/enrichment-policies", json=body)
        assert (answer.status_code, answer.json()["field"]) == (status, field), body


def test_a_policy_of_another_tenant_is_not_there(world: World, client, client_for):
    world.enricher()
    created = client.post(
        "/v1/enrichment-policies", json={"name": "mine", "enrichers": ["probe"]}
    ).json()
    rival = client_for("observables", tenant="rival", role="admin")
    path = f"/v1/enrichment-policies/{created['id']}"
    assert rival.get("/v1/enrichment-policies").json() == []
    assert rival.patch(path, json={"enabled": False}).status_code == 404
    assert rival.delete(path).status_code == 404
    assert rival.post(f"{path}/dry-run").status_code == 404
    assert rival.post(f"{path}/apply").status_code == 404
    assert (
        client.patch(path, json={"enabled": False, "daily_budget": 5}).json()["daily_budget"] == 5
    )
    assert client.delete(path).status_code == 204


def test_changes_are_audited_without_secrets(world: World, settings: Settings, client, tenant):
    world.enricher(key_fields=("api_key",))
    day(world, settings, tenant)
    with world.own.transaction(PLATFORM) as session:
        session.execute(sa.delete(OUTBOX))
    client.patch("/v1/enrichers/probe", json={"key": {"api_key": "hush-hush"}, "max_tlp": "green"})
    created = client.post(
        "/v1/enrichment-policies", json={"name": "mine", "enrichers": ["probe"]}
    ).json()
    path = f"/v1/enrichment-policies/{created['id']}"
    client.patch(path, json={"min_score": 50})
    client.patch(path, json={"min_score": 999})
    stored = client.post(f"{path}/apply").json()["queries"]
    client.delete(path)
    client.delete(path)
    with world.own.transaction(PLATFORM) as session:
        payloads = session.scalars(
            sa.select(OUTBOX.c.payload).where(OUTBOX.c.topic == RECORDED.name).order_by(OUTBOX.c.id)
        ).all()
    records = [msgspec.json.decode(payload, type=Recorded) for payload in payloads]
    assert {record.actor for record in records} == {"kim@acme.example"}
    assert [(record.action, record.target, record.details) for record in records] == [
        ("enrichers.change", "probe", {"fields": "key, max_tlp"}),
        ("policies.create", created["id"], {"name": "mine"}),
        ("policies.change", created["id"], {"fields": "min_score"}),
        ("policies.apply", created["id"], {"days": "1", "queries": str(stored)}),
        ("policies.delete", created["id"], {}),
    ]
    assert b"hush" not in b"".join(payloads)
