import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from services.scheduler.schedules import repository
from services.scheduler.schedules.core_schedules import CORE_SCHEDULES
from shared.database import PLATFORM, Database
from shared.kafka.outbox import OUTBOX

ClientFor = Callable[..., Any]
Query = Callable[..., list[sa.Row[Any]]]

DAILY = {
    "name": "morning run",
    "task": "feeds.tasks.start_feed",
    "args": ["4c1c6f2e-7f0a-4d0c-9a52-1f1d3f0d2a11"],
    "cron": "30 6 * * MON-FRI",
}


@pytest.fixture
def acme(own: Database, client_for: ClientFor) -> Any:
    return client_for("scheduler", tenant="acme", role="admin")


def test_a_schedule_lives(acme: Any):
    created = acme.post(
        "/v1/schedules", json=DAILY | {"timezone": "Europe/Berlin", "jitter_seconds": 60}
    )
    assert created.status_code == 201, created.text
    schedule = created.json()
    assert (schedule["queue"], schedule["owner"], schedule["tenant"]) == ("feeds", "api", "acme")
    assert schedule["created_by"] == "kim@acme.example"
    url = f"/v1/schedules/{schedule['id']}"
    assert acme.get(url).json() == schedule
    assert acme.get("/v1/schedules").json() == {"items": [schedule], "next": None}

    changed = acme.patch(url, json={"cron": None, "every_seconds": 600, "name": "often"}).json()
    assert (changed["cron"], changed["every_seconds"], changed["name"]) == (None, 600, "often")
    assert acme.patch(url, json={"enabled": False}).json()["next_due_at"] is None
    assert acme.patch(url, json={"enabled": True}).json()["next_due_at"] is not None

    assert acme.delete(url).status_code == 204
    assert acme.get(url).status_code == 404
    assert acme.delete(url).status_code == 404


def test_renaming_does_not_restart_the_clock(acme: Any):
    schedule = acme.post("/v1/schedules", json=DAILY | {"cron": None, "every_seconds": 1000}).json()
    other = "0b8f6e0a-3a52-4c8e-9d3b-6f1d1c1b7a90"
    changed = acme.patch(
        f"/v1/schedules/{schedule['id']}", json={"name": "other", "args": [other]}
    ).json()
    assert changed["next_due_at"] == schedule["next_due_at"]
    assert changed["args"] == [other]


@pytest.mark.parametrize("args", [[], ["<feed id>"], [7], ["abuse", "abuse"]])
def test_arguments_that_the_task_does_not_take_are_refused(acme: Any, args: list[Any]):
    answer = acme.post("/v1/schedules", json=DAILY | {"args": args})
    assert (answer.status_code, answer.json()["field"]) == (422, "args")
    assert "the id of a feed" in answer.json()["title"]
    schedule = acme.post("/v1/schedules", json=DAILY).json()
    refused = acme.patch(f"/v1/schedules/{schedule['id']}", json={"args": args})
    assert (refused.status_code, refused.json()["field"]) == (422, "args")


def test_run_now_and_history(acme: Any, own: Database):
    schedule = acme.post("/v1/schedules", json=DAILY | {"enabled": False}).json()
    url = f"/v1/schedules/{schedule['id']}"
    ran = [acme.post(f"{url}/run") for _ in range(3)]
    assert [answer.status_code for answer in ran] == [202, 202, 202]
    assert ran[0].json()["state"] == "pending"
    assert ran[0].json()["actor"] == "kim@acme.example"
    first = acme.get(f"{url}/fires", params={"limit": 2}).json()
    rest = acme.get(f"{url}/fires", params={"limit": 2, "after": first["next"]}).json()
    times = [fire["due_at"] for fire in first["items"] + rest["items"]]
    assert times == sorted((answer.json()["due_at"] for answer in ran), reverse=True)
    assert rest["next"] is None
    with own.transaction(PLATFORM) as session:
        topics = list(session.scalars(sa.select(OUTBOX.c.topic)))
    assert topics.count("scheduler.fired.v1") == 3
    assert topics.count("audit.recorded.v1") == 4


def test_lists_go_by_name_and_page_by_page(acme: Any):
    for name in ("delta", "alpha", "charlie", "bravo", "echo"):
        acme.post("/v1/schedules", json=DAILY | {"name": name})
    names = []
    after = None
    while True:
        page = acme.get(
            "/v1/schedules", params={"limit": 2} | ({"after": after} if after else {})
        ).json()
        names += [item["name"] for item in page["items"]]
        if (after := page["next"]) is None:
            break
    assert names == ["alpha", "bravo", "charlie", "delta", "echo"]


@pytest.mark.parametrize("cursor", ["nonsense", "e30=", "WyJhIl0=", "MQ==", "ÿ"])
def test_a_foreign_cursor_is_refused(acme: Any, cursor: str):
    answer = acme.get("/v1/schedules", params={"after": cursor})
    assert (answer.status_code, answer.json()["field"]) == (422, "after")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "every day"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": None}, "cron"),
        ({"every_seconds": 60}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"cron": None, "every_seconds": 0}, "every_seconds"),
        ({"cron": None, "every_seconds": 60, "jitter_seconds": 60}, "jitter_seconds"),
        ({"jitter_seconds": -1}, "jitter_seconds"),
        ({"task": "os.system"}, "task"),
        ({"task": "nosuch.tasks.run_feed"}, "task"),
        ({"task": "mitre.tasks.refresh_attack"}, "task"),
        ({"name": ""}, "name"),
        ({"name": "a\u0000b"}, "name"),
        ({"args": ["a\u0000b"]}, "args"),
        ({"args": ["x" * 9000]}, "args"),
        ({"args": {}}, "args"),
        ({"catch_up": "twice"}, "catch_up"),
        ({"queue": "mitre"}, "queue"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(acme: Any, change: dict[str, Any], field: str):
    created = acme.post("/v1/schedules", json=DAILY | change)
    assert created.status_code == 422, created.text
    assert created.json()["field"] == field
    assert acme.get("/v1/schedules").json()["items"] == []
    schedule = acme.post("/v1/schedules", json=DAILY).json()
    patched = acme.patch(f"/v1/schedules/{schedule['id']}", json=change)
    assert patched.status_code == 422, patched.text
    assert patched.json()["field"] == field
    assert acme.get(f"/v1/schedules/{schedule['id']}").json() == schedule


@pytest.mark.parametrize("args", [r'["\ud800"]', "[NaN]"])
def test_what_json_in_the_database_cannot_hold_is_refused(acme: Any, args: str):
    body = json.dumps(DAILY).replace(json.dumps(DAILY["args"]), args)
    answer = acme.post("/v1/schedules", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (422, "args"), answer.text


def test_nothing_is_set_to_null_but_the_timing(acme: Any):
    schedule = acme.post("/v1/schedules", json=DAILY).json()
    for name in ("name", "task", "args", "timezone", "jitter_seconds", "enabled", "catch_up"):
        assert acme.patch(f"/v1/schedules/{schedule['id']}", json={name: None}).status_code == 422
    assert acme.patch(f"/v1/schedules/{schedule['id']}", json={}).status_code == 200


def test_names_are_unique_in_a_tenant(acme: Any, client_for: ClientFor):
    acme.post("/v1/schedules", json=DAILY)
    answer = acme.post("/v1/schedules", json=DAILY)
    assert (answer.status_code, answer.json()["field"]) == (409, "name")
    other = acme.post("/v1/schedules", json=DAILY | {"name": "other"}).json()
    assert (
        acme.patch(f"/v1/schedules/{other['id']}", json={"name": DAILY["name"]}).status_code == 409
    )
    assert (
        client_for("scheduler", tenant="globex").post("/v1/schedules", json=DAILY).status_code
        == 201
    )


def calls(schedule_id: object) -> list[tuple[str, str, dict[str, Any] | None]]:
    url = f"/v1/schedules/{schedule_id}"
    return [
        ("GET", "/v1/schedules", None),
        ("GET", url, None),
        ("GET", f"{url}/fires", None),
        ("POST", "/v1/schedules", DAILY | {"name": "another"}),
        ("PATCH", url, {"enabled": False}),
        ("POST", f"{url}/run", None),
        ("DELETE", url, None),
        ("GET", "/v1/beats", None),
        ("POST", "/v1/reconcile", None),
    ]


def test_a_token_is_needed(acme: Any, client_for: ClientFor):
    anonymous = client_for("scheduler", role=None)
    for method, url, body in calls(uuid4()):
        assert anonymous.request(method, url, json=body).status_code == 401, url


def test_roles(acme: Any, client_for: ClientFor):
    schedule = acme.post("/v1/schedules", json=DAILY).json()
    for role in ("viewer", "analyst"):
        client = client_for("scheduler", role=role)
        codes = [
            client.request(method, url, json=body).status_code
            for method, url, body in calls(schedule["id"])
        ]
        assert codes == [200, 200, 200, 403, 403, 403, 403, 403, 403]
    assert acme.get("/v1/beats").status_code == 403
    assert acme.post("/v1/reconcile").status_code == 403


def test_another_tenant_sees_and_changes_nothing(acme: Any, client_for: ClientFor, query: Query):
    schedule = acme.post("/v1/schedules", json=DAILY).json()
    globex = client_for("scheduler", tenant="globex")
    assert globex.get("/v1/schedules").json()["items"] == []
    for method, url, body in calls(schedule["id"]):
        if schedule["id"] in url:
            assert globex.request(method, url, json=body).status_code == 404, url
    assert acme.get(f"/v1/schedules/{schedule['id']}").json() == schedule
    assert query("SELECT 1 FROM fire") == []


def test_public_is_read_by_all_and_written_by_its_operator(acme: Any, client_for: ClientFor):
    operator = client_for("scheduler", tenant="public", role="operator")
    schedule = operator.post(
        "/v1/schedules", json=DAILY | {"task": "mitre.tasks.refresh_attack"}
    ).json()
    assert schedule["queue"] == "mitre"
    url = f"/v1/schedules/{schedule['id']}"
    assert acme.get(url).status_code == 200
    assert acme.patch(url, json={"enabled": False}).status_code == 404
    assert acme.delete(url).status_code == 404
    assert operator.delete(url).status_code == 204


def test_row_level_security_holds_without_any_where(acme: Any, own: Database):
    schedule = acme.post("/v1/schedules", json=DAILY).json()
    acme.post(f"/v1/schedules/{schedule['id']}/run")
    for table in ("schedule", "fire", "outbox", "beat"):
        with own.transaction("globex") as session:
            assert session.execute(sa.text(f"SELECT 1 FROM {table}")).all() == []
            assert session.execute(sa.text(f"DELETE FROM {table}")).rowcount == 0
    forged = (
        "INSERT INTO fire SELECT 'acme', id, now(), 'pending', 'x', now(), NULL, id"
        " FROM gen_random_uuid() AS id"
    )
    with (
        own.transaction("globex") as session,
        pytest.raises(sa.exc.ProgrammingError, match="row-level security"),
    ):
        session.execute(sa.text(forged))


def test_the_platforms_own_schedules(acme: Any, own: Database, client_for: ClientFor):
    with own.transaction(PLATFORM) as session:
        repository.reconcile_core(session, CORE_SCHEDULES)
    operator = client_for("scheduler", tenant="public", role="operator")
    listed = operator.get("/v1/schedules").json()["items"]
    assert {item["name"] for item in listed} == {schedule.name for schedule in CORE_SCHEDULES}
    assert acme.get("/v1/schedules").json()["items"] == []
    url = f"/v1/schedules/{CORE_SCHEDULES[0].id}"
    assert acme.get(url).status_code == 404
    assert operator.patch(url, json={"every_seconds": 1}).status_code == 409
    assert operator.delete(url).status_code == 409
    assert operator.patch(url, json={"enabled": False}).json()["enabled"] is False
    with own.transaction(PLATFORM) as session:
        assert repository.reconcile_core(session, CORE_SCHEDULES) == 0
    assert operator.get(url).json()["enabled"] is False
    assert operator.post(f"{url}/run").status_code == 202
    assert operator.post("/v1/reconcile").json() == {"status": "ok", "enqueued": 0, "pending": 1}


def test_beats(client_for: ClientFor, own: Database, new_beat: Callable[[], Any]):
    operator = client_for("scheduler", tenant="public", role="operator")
    assert operator.get("/v1/beats").json()["items"] == []
    beat = new_beat()
    beat.tick()
    (item,) = operator.get("/v1/beats").json()["items"]
    assert item["id"] == str(beat.id)
    assert 0 <= item["seconds_since_tick"] < 5
