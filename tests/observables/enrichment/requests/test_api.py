"""The API: requests and progress, keys that stay secret, budgets and estimates, refusals."""

import json
import threading
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.observables.enrichment.queues.models import JobEnd
from services.observables.enrichment.queues.repository import jobs
from services.observables.enrichment.requests import service
from services.observables.providers.base import RateLimit
from shared.database import PLATFORM
from tests.observables.enrichment.conftest import World, identity
from tests.observables.enrichment.provider import Reply

ADDRESS = "45.33.32.156"


@pytest.fixture
def ask(client_for):
    def client(**principal: str) -> Any:
        return client_for("observables", **{"tenant": "acme", "role": "analyst", **principal})

    return client


def finished(world: World, client, request: str) -> dict:
    """A request after a shift."""
    world.run_worker()
    return client.get(f"/v1/enrichments/{request}").json()


def test_a_value_is_queried_and_the_answer_is_shown(world: World, ask):
    world.enricher()
    client = ask()
    created = client.post("/v1/enrichments", json={"values": ["45[.]33[.]32[.]156"]})
    assert created.status_code == 202, created.text
    (job,) = created.json()["jobs"]
    assert (job["value"], job["enricher"], job["state"]) == (ADDRESS, "probe", "waiting")
    assert job["estimate"] is not None
    (job,) = finished(world, client, created.json()["id"])["jobs"]
    assert (job["state"], job["outcome"], job["reason"]) == ("done", "found", None)
    observable = client.get("/v1/lookup", params={"value": ADDRESS}).json()["observable"]
    assert observable["score"] == 60
    (answer,) = observable["enrichments"]
    assert (answer["enricher"], answer["found"], answer["facts"]) == (
        "probe",
        True,
        {"listed": True},
    )
    explained = client.get(f"/v1/observables/{observable['id']}/explain").json()
    (part,) = explained["contributions"]
    assert (part["kind"], part["name"], part["reason"]) == (
        "enrichment",
        "probe",
        "listed by Probe.",
    )
    raw = client.get(f"/v1/observables/{observable['id']}/enrichments/probe/raw")
    assert raw.content == b'{"listed": true}'


def test_progress_comes_as_server_sent_events(world: World, ask):
    world.enricher()
    client = ask()
    created = client.post("/v1/enrichments", json={"values": [ADDRESS, "45.33.32.157"]}).json()
    worker = threading.Thread(target=world.run_worker)
    worker.start()
    with client.stream("GET", f"/v1/enrichments/{created['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line.startswith(("event:", "data:"))]
    worker.join()
    events = list(zip(lines[::2], lines[1::2], strict=True))
    assert events[-1][0] == "event: end"
    done = [
        json.loads(data.removeprefix("data: ")) for event, data in events if event == "event: job"
    ]
    assert {job["value"] for job in done if job["state"] == "done"} == {ADDRESS, "45.33.32.157"}


def test_a_request_of_another_tenant_is_not_visible(world: World, ask):
    world.enricher()
    created = ask().post("/v1/enrichments", json={"values": [ADDRESS]}).json()
    other = ask(tenant="rival")
    for path in (
        f"/v1/enrichments/{created['id']}",
        f"/v1/enrichments/{created['id']}/events",
        f"/v1/enrichments/{uuid4()}",
    ):
        assert other.get(path).status_code == 404
    assert other.get("/v1/enrichment-jobs").json()["items"] == []
    assert other.post("/v1/enrichment-jobs/cancel", json={}).json() == {"cancelled": 0}


def test_a_fresh_answer_is_used_again(world: World, ask):
    world.enricher()
    client = ask()
    first = client.post("/v1/enrichments", json={"values": [ADDRESS]}).json()
    finished(world, client, first["id"])
    second = client.post("/v1/enrichments", json={"values": [ADDRESS]}).json()
    assert [(job["state"], job["outcome"]) for job in second["jobs"]] == [("done", "cached")]
    fresh = client.post("/v1/enrichments", json={"values": [ADDRESS], "fresh": True}).json()
    assert [job["outcome"] for job in finished(world, client, fresh["id"])["jobs"]] == ["found"]
    assert len(world.providers.calls) == 2


def test_an_open_job_is_shared_by_all_requests_for_it(world: World, ask):
    world.enricher()
    world.ask(ADDRESS)
    client = ask()
    first, second = (
        client.post("/v1/enrichments", json={"values": [ADDRESS]}).json() for _ in range(2)
    )
    assert [job["id"] for job in first["jobs"]] == [job["id"] for job in second["jobs"]]
    finished(world, client, first["id"])
    assert len(world.providers.calls) == 1
    assert client.get(f"/v1/enrichments/{second['id']}").json()["open"] == 0


def test_a_key_is_written_and_never_read(world: World, ask):
    world.enricher(key_fields=("key",))
    client = ask(role="admin")
    (before,) = client.get("/v1/enrichers").json()
    assert before["obstacle"] == "Probe needs a key, and none is set."
    (refused,) = client.post(
        "/v1/enrichments", json={"values": [ADDRESS], "enrichers": ["probe"]}
    ).json()["jobs"]
    assert (refused["state"], refused["reason"]["code"]) == ("refused", "no-access")
    changed = client.patch("/v1/enrichers/probe", json={"key": {"key": "s3cr3t"}})
    assert changed.status_code == 200, changed.text
    assert changed.json()["has_key"]
    assert changed.json()["obstacle"] is None
    assert "s3cr3t" not in changed.text + client.get("/v1/enrichers").text
    with world.own.transaction(PLATFORM) as session:
        stored = session.execute(
            sa.text("SELECT to_jsonb(s)::text FROM enricher_setting s")
        ).scalar_one()
    assert "s3cr3t" not in stored
    created = client.post("/v1/enrichments", json={"values": [ADDRESS]}).json()
    assert finished(world, client, created["id"])["jobs"][0]["state"] == "done"
    assert "X-Key: s3cr3t" in world.providers.calls[0].headers
    assert (
        client.delete("/v1/enrichers/probe/key").json()["obstacle"]
        == "Probe needs a key, and none is set."
    )


def test_a_key_has_the_fields_that_it_should_have(world: World, ask):
    world.enricher(key_fields=("id", "secret"))
    client = ask(role="admin")
    answer = client.patch("/v1/enrichers/probe", json={"key": {"key": "x"}})
    assert answer.status_code == 422
    assert answer.json()["title"] == "A key of Probe consists of id, secret."
    assert answer.json()["field"] == "key"
    assert (
        ask(role="analyst").patch("/v1/enrichers/probe", json={"enabled": False}).status_code == 403
    )
    assert client.patch("/v1/enrichers/unknown", json={"enabled": False}).status_code == 404


def test_a_key_is_tried_with_a_harmless_call(world: World, ask):
    world.enricher(key_fields=("key",))
    client = ask(role="admin")
    client.patch("/v1/enrichers/probe", json={"key": {"key": "wrong"}})
    world.providers.replies["probe"] = lambda call: Reply(
        200 if "X-Key: right" in call.headers else 401
    )
    created = client.post("/v1/enrichers/probe/test")
    assert created.status_code == 202, created.text
    (job,) = finished(world, client, created.json()["id"])["jobs"]
    assert (job["state"], job["value"]) == ("failed", "1.1.1.1")
    assert "401" in job["reason"]["message"]
    (seen,) = client.get("/v1/enrichers").json()
    assert seen["queue"]["blocked"]["kind"] == "key"
    client.patch("/v1/enrichers/probe", json={"key": {"key": "right"}})
    created = client.post("/v1/enrichers/probe/test").json()
    assert finished(world, client, created["id"])["jobs"][0]["state"] == "done"
    # The answer is not stored as knowledge about the value.
    assert client.get("/v1/lookup", params={"value": "1.1.1.1"}).json()["observable"] is None


def test_waiting_jobs_go_on_with_a_new_key(world: World, ask):
    world.enricher(key_fields=("key",))
    world.providers.replies["probe"] = lambda call: Reply(
        200 if "X-Key: new" in call.headers else 401
    )
    client = ask(role="admin")
    client.patch("/v1/enrichers/probe", json={"key": {"key": "old"}})
    world.ask(*(f"45.33.32.{number}" for number in range(1, 21)))
    world.run_worker(2)
    # One job met the refusal; the others were not sent with the refused key.
    assert len(world.providers.calls) == 1
    assert world.states() == {"waiting": 20}
    client.patch("/v1/enrichers/probe", json={"key": {"key": "new"}})
    world.run_worker()
    assert world.states() == {"done": 20}


def test_a_plan_that_is_paid_for_has_its_own_limits(world: World, ask):
    world.enricher(key_fields=("key",), rate=RateLimit(60, 60))
    client = ask(role="admin")
    changed = client.patch(
        "/v1/enrichers/probe",
        json={"key": {"key": "x"}, "rate": {"calls": 600, "seconds": 60}, "daily": 5},
    ).json()
    assert (changed["calls"], changed["seconds"], changed["daily"]) == (600, 60.0, 5)
    created = client.post(
        "/v1/enrichments", json={"values": [f"45.33.32.{number}" for number in range(1, 11)]}
    ).json()
    done = finished(world, client, created["id"])
    assert sum(job["state"] == "done" for job in done["jobs"]) == 5
    waiting = [job for job in done["jobs"] if job["state"] == "waiting"]
    assert len(waiting) == 5
    assert len(world.providers.calls) == 5
    (seen,) = client.get("/v1/enrichers").json()
    assert (seen["queue"]["used_today"], seen["queue"]["left_today"], seen["queue"]["waiting"]) == (
        5,
        0,
        5,
    )
    # They are estimated for tomorrow, when the budget is new.
    assert all(job["estimate"][:10] > job["created_at"][:10] for job in waiting)


def test_waiting_jobs_are_cancelled(world: World, ask):
    world.enricher()
    world.ask(*(f"45.33.32.{number}" for number in range(1, 11)))
    client = ask()
    first = client.get("/v1/enrichment-jobs", params={"limit": 4}).json()
    second = client.get("/v1/enrichment-jobs", params={"limit": 10, "after": first["next"]}).json()
    assert len({job["id"] for job in first["items"] + second["items"]}) == 10
    assert client.post("/v1/enrichment-jobs/cancel", json={"enricher": "probe"}).json() == {
        "cancelled": 10
    }
    world.run_worker(1)
    assert world.providers.calls == []
    assert client.get("/v1/enrichment-jobs", params={"state": "cancelled"}).json()["items"] != []


def test_invalid_requests_get_a_clear_error(world: World, ask):
    world.enricher()
    client = ask()
    for body, field in (
        ({"values": ["not an observable"]}, "values.0"),
        ({"values": []}, "values"),
        ({"values": [ADDRESS], "enrichers": ["unknown"]}, "enrichers"),
        ({"values": [ADDRESS], "tlp": "blue"}, "tlp"),
        ({"values": [ADDRESS] * 1001}, "values"),
        ({"values": [ADDRESS], "regex": ".*"}, "regex"),
    ):
        answer = client.post("/v1/enrichments", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["field"] == field, body
    assert client.get("/v1/enrichment-jobs").json()["items"] == []
    assert (
        client.get(
            f"/v1/observables/ipv4-addr--{identity(ADDRESS)}/enrichments/probe/raw"
        ).status_code
        == 404
    )


def test_a_job_that_ends_while_it_is_asked_for_again_is_followed_by_another(
    world: World, ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enricher()
    client = ask()
    world.ask(ADDRESS)  # a policy has asked
    worker = uuid4()
    with world.own.transaction(PLATFORM) as session:
        queue = session.scalar(sa.text("SELECT queue_id FROM enrichment_job"))
        (job,) = jobs.claim(session, worker, queue, 1, 1)
    enqueue = service.enqueue

    def enqueue_and_end(*arguments: Any) -> Any:
        added = enqueue(*arguments)
        monkeypatch.setattr(service, "enqueue", enqueue)
        # The open job kept the new one away, and its worker stores that the provider failed.
        end = JobEnd(job.id, "failed", reason='{"code": "upstream"}', attempts=4)
        with world.own.transaction(PLATFORM) as session:
            jobs.end(session, worker, [end])
        return added

    monkeypatch.setattr(service, "enqueue", enqueue_and_end)
    created = client.post("/v1/enrichments", json={"values": [ADDRESS], "fresh": True}).json()
    (waiting,) = created["jobs"]
    assert waiting["state"] == "waiting"
    (answered,) = finished(world, client, created["id"])["jobs"]
    assert answered["state"] == "done"
