"""Disclosure as the provider sees it: no query arrives that must not."""

import json

import pytest

from tests.observables.enrichment.conftest import World
from tests.observables.enrichment.provider import Reply

PRIVATE = [
    "10.1.2.3",
    "192.168.0.1",
    "172.16.5.5",
    "127.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "203.0.113.9",
]


@pytest.fixture
def client(client_for):
    return client_for("observables", tenant="acme", role="admin")


def reasons(world: World) -> dict[str, str]:
    return {job.value: job.reason["code"] for job in world.jobs() if job.state == "refused"}


@pytest.mark.parametrize("tlp", ["amber", "amber+strict", "red"])
def test_a_marked_value_is_not_sent(world: World, client, tlp: str):
    world.enricher(max_tlp="green")
    world.know("45.33.32.156", tlp=tlp)
    world.know("45.33.32.157", tlp="green")
    client.post("/v1/enrichments", json={"values": ["45.33.32.156", "45.33.32.157"]})
    world.ask("45.33.32.156", "45.33.32.157")
    world.run_worker()
    assert world.providers.queries_of("probe") == ["45.33.32.157"]
    assert set(reasons(world).values()) == {"tlp"}


STRICT = ["TLP:RED", "tlp:mauve", "PAP:RED", "marking:unknown", "tlp:amber+strict"]
"""Markings of what `public` does not store: its readers are all tenants."""


@pytest.mark.parametrize(
    ("tenant", "tags"),
    [("acme", ["tlp:amber", *STRICT]), ("public", ["tlp:amber"])],
    ids=["acme", "public"],
)
def test_a_marked_assertion_of_an_open_feed_is_not_sent(
    world: World, client, tenant: str, tags: list[str]
):
    world.enricher(max_tlp="green")
    for number, tag in enumerate(tags):
        world.know(f"45.33.32.{number}", tenant=tenant, tlp="clear", tags=(tag,))
    world.know("45.33.32.100", tenant=tenant, tlp="clear", tags=("tlp:green", "pap:amber"))
    values = [*(f"45.33.32.{number}" for number in range(len(tags))), "45.33.32.100"]
    client.post("/v1/enrichments", json={"values": values})
    world.ask(*values)
    world.run_worker()
    assert world.providers.queries_of("probe") == ["45.33.32.100"]
    assert reasons(world) == dict.fromkeys(values[:-1], "tlp")


def test_an_unknown_marking_is_closed_to_every_provider(world: World):
    world.enricher(max_tlp="red")
    world.know("45.33.32.1", tlp="clear", tags=("marking:unknown",))
    world.know("45.33.32.2", tlp="clear", tags=("pap:red",))
    world.know("45.33.32.3", tlp="clear", tags=("tlp:red",))
    world.ask("45.33.32.1", "45.33.32.2", "45.33.32.3")
    world.run_worker()
    assert world.providers.queries_of("probe") == ["45.33.32.3"]


def test_the_strictest_marking_counts_wherever_it_comes_from(world: World, client):
    world.enricher(max_tlp="green")
    world.know("45.33.32.156", tlp="clear")
    world.know("45.33.32.156", tlp="red")
    client.post("/v1/enrichments", json={"values": ["45.33.32.156"]})
    client.post("/v1/enrichments", json={"values": ["45.33.32.157"], "tlp": "amber"})
    world.run_worker(2)
    assert world.providers.calls == []
    assert reasons(world) == {"45.33.32.156": "tlp", "45.33.32.157": "tlp"}


def test_a_marking_that_came_while_the_job_waited_counts(world: World):
    world.enricher(max_tlp="green")
    world.know("45.33.32.156", tlp="clear")
    world.ask("45.33.32.156")
    world.know("45.33.32.156", tlp="red")
    world.run_worker()
    assert world.providers.calls == []
    assert reasons(world) == {"45.33.32.156": "tlp"}


def test_a_tenant_sets_the_strictest_marking_that_is_sent(world: World, client):
    world.enricher(max_tlp="green")
    world.know("45.33.32.156", tlp="amber")
    client.patch("/v1/enrichers/probe", json={"max_tlp": "amber"})
    world.ask("45.33.32.156")
    world.run_worker()
    assert world.providers.queries_of("probe") == ["45.33.32.156"]


def test_private_addresses_are_not_sent(world: World, client):
    world.enricher()
    client.post(
        "/v1/enrichments", json={"values": [*PRIVATE, "10.0.0.0/8"], "enrichers": ["probe"]}
    )
    world.ask(*PRIVATE)
    world.run_worker()
    assert world.providers.calls == []
    assert set(reasons(world).values()) <= {"private", "type"}
    assert set(PRIVATE) <= set(reasons(world))


def test_observables_that_an_answer_names_are_checked_as_well(world: World, client):
    world.enricher()
    named = [["related-to", "ipv4-addr", address] for address in ("10.9.9.9", "45.33.32.1")]
    world.providers.replies["probe"] = lambda _: Reply(
        body=json.dumps({"listed": True, "related": named}).encode()
    )
    policy = client.post(
        "/v1/enrichment-policies", json={"name": "deep", "enrichers": ["probe"], "depth": 3}
    ).json()
    world.know("45.33.32.156")
    world.ask("45.33.32.156", policy=policy["id"])
    world.run_worker()
    assert world.providers.queries_of("probe") == ["45.33.32.156", "45.33.32.1"]


def test_a_type_that_the_provider_does_not_take_is_not_sent(world: World, client):
    world.enricher(types=frozenset({"ipv4-addr"}))
    answer = client.post(
        "/v1/enrichments", json={"values": ["evil.example.net.br"], "enrichers": ["probe"]}
    )
    assert [job["reason"]["code"] for job in answer.json()["jobs"]] == ["type"]
    assert (
        client.post("/v1/enrichments", json={"values": ["evil.example.net.br"]}).json()["jobs"]
        == []
    )
    world.run_worker(1)
    assert world.providers.calls == []


def test_false_positives_are_not_sent(world: World, client, listed):
    world.enricher()
    listed("45.33.32.156")
    world.know("45.33.32.156")
    client.post("/v1/enrichments", json={"values": ["45.33.32.156"]})
    world.ask("45.33.32.156")
    world.run_worker(2)
    assert world.providers.calls == []
    assert reasons(world) == {"45.33.32.156": "allow-listed"}


def test_an_enricher_that_is_switched_off_sends_nothing(world: World, client, client_for):
    world.enricher()
    operator = client_for("observables", tenant="public", role="operator")
    operator.patch("/v1/enrichers/probe", json={"enabled": False})
    (job,) = client.post(
        "/v1/enrichments", json={"values": ["45.33.32.156"], "enrichers": ["probe"]}
    ).json()["jobs"]
    assert job["reason"] == {"code": "no-access", "message": "Probe is switched off."}
    world.run_worker(1)
    assert world.providers.calls == []
