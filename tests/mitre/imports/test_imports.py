"""Imports on real parts: versions, events, crashes, sources."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.mitre.imports import repository, service
from services.mitre.imports.execution import execute
from services.mitre.imports.service import LOAD_RELEASE
from services.mitre.releases.bundle import read_release
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import Conflict
from shared.runtime.hints import unmark
from shared.settings import Settings

Run = Callable[[], list[dict[str, Any]]]
Make = Callable[..., Any]
DOMAIN = "enterprise-attack"


@pytest.fixture
def clean(own: Database) -> None:
    """Nothing loaded yet."""
    with own.transaction(PLATFORM) as session:
        for table in ("load", "source", "release", "technique", "object", "outbox"):
            session.execute(sa.text(f"DELETE FROM {table}"))


@pytest.fixture
def operator(client_for: Callable[..., TestClient], clean: None) -> TestClient:
    return client_for("mitre", role="operator")


@pytest.fixture
def load(operator: TestClient, run_pending: Run) -> Callable[..., dict[str, Any]]:
    """Uploads a bundle, imports it, and gives the load as the API has it."""

    def do(content: bytes, **query: Any) -> dict[str, Any]:
        answer = operator.post(
            "/v1/loads/upload", params={"name": "attack.json", **query}, content=content
        )
        assert answer.status_code == 202, answer.text
        run_pending()
        return operator.get(f"/v1/loads/{answer.json()['id']}").json()

    return do


def take_events(own: Database, topic: str) -> list[dict[str, Any]]:
    """Events in the outbox, which is not relayed here; they are removed."""
    query = "DELETE FROM outbox WHERE topic = :topic RETURNING id, key, payload, tenant"
    with own.transaction(PLATFORM) as session:
        rows = sorted(session.execute(sa.text(query), {"topic": topic}).all())
    assert all(row.tenant == PUBLIC for row in rows)
    return [{"key": row.key.decode(), **msgspec.json.decode(row.payload)} for row in rows]


def figures(own: Database) -> dict[str, Any]:
    """Everything stored, as one comparable value."""
    queries = {
        "objects": "SELECT stix_id, digest FROM object ORDER BY 1, 2",
        "techniques": "SELECT domain, attack_id, digest, current FROM technique ORDER BY 1, 2, 3",
        "releases": "SELECT domain, version, digest, current, cardinality(objects) FROM release "
        "ORDER BY 1, 2, 3",
    }
    with own.transaction(PUBLIC) as session:
        return {name: session.execute(sa.text(query)).all() for name, query in queries.items()}


def test_the_same_again_changes_nothing_and_tells_nothing(
    own: Database, load: Make, starter: Path
) -> None:
    first = load(starter.read_bytes())
    assert len(take_events(own, "mitre.techniques.v1")) == 54
    released = take_events(own, "mitre.released.v1")
    assert [(event["key"], event["version"], len(event["added"])) for event in released] == [
        (DOMAIN, "0.18.1", 54)
    ]
    before = figures(own)

    second = load(starter.read_bytes())

    assert (first["state"], second["state"]) == ("succeeded", "unchanged")
    assert (first["result"]["objects_written"], second["result"]["objects_written"]) == (85, 0)
    assert figures(own) == before
    assert take_events(own, "mitre.techniques.v1") == take_events(own, "mitre.released.v1") == []


def test_a_new_version_tells_what_it_changes(
    own: Database, operator: TestClient, load: Make, two_versions: tuple[bytes, bytes]
) -> None:
    load(two_versions[0])
    take_events(own, "mitre.techniques.v1"), take_events(own, "mitre.released.v1")

    second = load(two_versions[1])

    assert second["result"]["changes"] == {
        "added": 2,
        "changed": 2,
        "renamed": 1,
        "revoked": 1,
        "deprecated": 1,
        "removed": 2,
        "moved": 1,
    }
    assert second["result"]["objects_written"] == 8, "unchanged objects are not written again"
    (released,) = take_events(own, "mitre.released.v1")
    counts = released.pop("counts")
    assert (counts["attack-pattern"], counts["x-mitre-collection"]) == (8, 1)
    assert released == {
        "key": DOMAIN,
        "domain": DOMAIN,
        "version": "2.0",
        "previous": "1.0",
        "added": ["T1008", "T1009"],
        "changed": ["T1002", "T1003"],
        "revoked": ["T1004"],
        "deprecated": ["T1005"],
    }
    cards = {card["key"]: card for card in take_events(own, "mitre.techniques.v1")}
    assert sorted(cards) == ["T1002", "T1003", "T1004", "T1005", "T1006", "T1007", "T1008", "T1009"]
    assert all(card["attack_id"] == key and card["version"] == "2.0" for key, card in cards.items())
    assert (cards["T1004"]["revoked"], cards["T1004"]["revoked_by"]) == (True, "T1001.001")
    assert cards["T1006"]["deprecated"]
    assert (cards["T1007"]["revoked"], cards["T1007"]["revoked_by"]) == (True, "T1008")
    assert (cards["T1009"]["platforms"], cards["T1009"]["tactics"]) == (["Linux"], ["execution"])
    assert operator.get("/v1/techniques/T1003").json()["name"] == "New name"
    old = operator.get("/v1/techniques/T1003", params={"version": "1.0"}).json()
    assert (old["name"], old["version"], old["current"]) == ("Old name", "1.0", False)
    assert operator.get("/v1/techniques/T1006").status_code == 404
    release = operator.get(f"/v1/releases/{DOMAIN}/2.0").json()
    assert release["diff"]["renamed"] == {"T1003": ["Old name", "New name"]}


def test_an_older_release_is_kept_and_counts_only_when_asked(
    own: Database, operator: TestClient, load: Make, two_versions: tuple[bytes, bytes]
) -> None:
    load(two_versions[1])
    take_events(own, "mitre.techniques.v1"), take_events(own, "mitre.released.v1")

    older = load(two_versions[0])

    assert (older["state"], older["result"]["current"]) == ("succeeded", False)
    assert take_events(own, "mitre.techniques.v1") == take_events(own, "mitre.released.v1") == []
    assert operator.get("/v1/techniques/T1003").json()["version"] == "2.0"
    assert (
        operator.get("/v1/techniques/T1003", params={"version": "1.0"}).json()["name"] == "Old name"
    )

    activated = load(two_versions[0], activate=True)

    assert (activated["state"], activated["result"]["objects_written"]) == ("succeeded", 0)
    assert operator.get("/v1/techniques/T1003").json()["version"] == "1.0"
    assert [event["version"] for event in take_events(own, "mitre.released.v1")] == ["1.0"]
    assert {
        card["key"]: card.get("deprecated", False)
        for card in take_events(own, "mitre.techniques.v1")
    }["T1009"]
    current = [
        row["version"] for row in operator.get("/v1/releases").json()["items"] if row["current"]
    ]
    assert current == ["1.0"]


def test_another_content_under_one_version_is_its_next_revision(
    operator: TestClient, load: Make, make_bundle: Make, make_pattern: Make
) -> None:
    load(make_bundle("3.0", make_pattern("T1001", "First")))

    second = load(make_bundle("3.0", make_pattern("T1001", "Corrected")))

    assert (second["result"]["revision"], second["result"]["changes"]) == (
        2,
        {"changed": 1, "renamed": 1},
    )
    assert (
        operator.get("/v1/techniques/T1001", params={"version": "3.0"}).json()["name"]
        == "Corrected"
    )


def test_bad_bundles_fail_with_their_place_and_store_nothing(
    own: Database,
    operator: TestClient,
    load: Make,
    starter: Path,
    make_bundle: Make,
    make_pattern: Make,
) -> None:
    load(starter.read_bytes())
    before = figures(own)

    for content, query, where in (
        (starter.read_bytes()[:5000], {}, "byte 5000"),
        (b"<html>503</html>", {}, "byte 0"),
        (b'{"type": "bundle", "id": "b", "objects": []}', {}, "objects"),
        (starter.read_bytes(), {"domain": "ics-attack"}, "objects[3]"),
        (make_bundle("9.0", make_pattern("T1001", 1)), {}, "objects[3].name"),
    ):
        failed = load(content, **query)
        assert (failed["state"], failed["error"]["code"]) == ("failed", "invalid-input")
        assert failed["error"]["where"] == where
    assert figures(own) == before


KILLED = """
import os, signal, sys
from uuid import UUID
from sqlalchemy import event
from sqlalchemy.orm import Session
from services.mitre.imports.execution import execute
from shared.database import database
from shared.settings import load_settings
def die(session):
    # The second commit of an import is the one that stores: all is written, nothing is committed.
    die.commits = getattr(die, "commits", 0) + 1
    if die.commits == 2:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(Session, "before_commit", die)
execute(database("mitre"), load_settings(), UUID(sys.argv[1]))
"""


def test_a_worker_killed_before_its_commit_is_repeated_with_the_same_end(
    own: Database, operator: TestClient, run_pending: Run, load: Make, starter: Path
) -> None:
    created = operator.post(
        "/v1/loads/upload", params={"name": "a"}, content=starter.read_bytes()
    ).json()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, created["id"]],
        check=False,
        env=os.environ.copy(),
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert figures(own)["objects"] == []
    assert [outcome["status"] for outcome in run_pending()] == ["skipped"], "its lease still holds"
    assert operator.post("/v1/reconcile").json() == {"status": "ok", "enqueued": 0}
    with own.transaction(PUBLIC) as session:
        session.execute(sa.text("UPDATE load SET lease_until = now() - interval '1 second'"))

    unmark(LOAD_RELEASE, (created["id"],))  # as the task did that was killed
    assert operator.post("/v1/reconcile").json() == {"status": "ok", "enqueued": 1}
    assert [outcome["status"] for outcome in run_pending()] == ["succeeded"]

    done = operator.get(f"/v1/loads/{created['id']}").json()
    assert (done["attempts"], done["result"]["objects_written"]) == (2, 85)
    assert len(take_events(own, "mitre.released.v1")) == 1
    after = figures(own)
    assert load(starter.read_bytes())["state"] == "unchanged"
    assert figures(own) == after


def test_a_worker_that_was_overtaken_changes_nothing(
    own: Database, operator: TestClient, environment: Settings, starter: Path
) -> None:
    created = operator.post(
        "/v1/loads/upload", params={"name": "a"}, content=starter.read_bytes()
    ).json()
    load_id = UUID(created["id"])
    with own.transaction(PUBLIC) as session:
        slow = repository.claim_import(session, load_id)
        session.execute(sa.text("UPDATE load SET lease_until = now() - interval '1 second'"))
    assert slow is not None
    assert execute(own, environment, load_id).status == "succeeded"
    before = figures(own)

    with pytest.raises(Conflict, match="taken over"), own.transaction(PUBLIC) as session:
        repository.fail_import(session, slow, {"code": "late"})

    assert figures(own) == before
    assert operator.get(f"/v1/loads/{load_id}").json()["state"] == "succeeded"


def test_a_load_that_keeps_killing_its_worker_is_given_up(
    own: Database, operator: TestClient
) -> None:
    created = operator.post("/v1/loads/upload", params={"name": "a"}, content=b"{}").json()
    with own.transaction(PUBLIC) as session:
        session.execute(
            sa.text("UPDATE load SET state = 'running', attempts = 5, lease_until = now()")
        )

    assert operator.post("/v1/reconcile").json()["enqueued"] == 0

    failed = operator.get(f"/v1/loads/{created['id']}").json()
    assert (failed["state"], failed["error"]["code"]) == ("failed", "given-up")


def test_a_lost_message_is_sent_again_but_not_at_once_and_not_all_the_time(
    own: Database, operator: TestClient
) -> None:
    uploaded = operator.post("/v1/loads/upload", params={"name": "a"}, content=b"{}")
    assert operator.post("/v1/reconcile").json()["enqueued"] == 0
    unmark(LOAD_RELEASE, (uploaded.json()["id"],))  # as it runs out, or the broker is flushed
    assert operator.post("/v1/reconcile").json()["enqueued"] == 1
    assert operator.post("/v1/reconcile").json()["enqueued"] == 0


def test_a_source_is_fetched_under_a_condition(
    own: Database,
    operator: TestClient,
    environment: Settings,
    run_pending: Run,
    publisher: Any,
    two_versions: Any,
) -> None:
    for source in operator.get("/v1/sources").json():
        changed = {
            "enabled": source["domain"] == DOMAIN,
            **({"url": publisher.url} if source["domain"] == DOMAIN else {}),
        }
        assert (
            operator.patch(f"/v1/sources/{source['domain']}", json=changed).json()["enabled"]
            == changed["enabled"]
        )
    publisher.content = two_versions[0]

    def refresh() -> dict[str, Any]:
        assert service.refresh(own, environment, "system").started == 1
        assert service.refresh(own, environment, "system").started == 0, "one is under way"
        return run_pending()[0]

    assert refresh()["status"] == "succeeded"
    assert refresh() == {"status": "unchanged", "reason": "not modified since it was loaded"}
    publisher.content = two_versions[1]
    publisher.etag = '"2"'
    assert refresh()["changes"]["added"] == 2
    assert publisher.conditions == [None, '"1"', '"1"']
    assert next(s for s in operator.get("/v1/sources").json() if s["domain"] == DOMAIN)[
        "checked_at"
    ]
    activated = operator.post("/v1/loads", json={"domain": DOMAIN, "activate": True}).json()
    assert activated["url"] == publisher.url
    assert run_pending()[0]["status"] == "unchanged"
    assert publisher.conditions[3:] == [None], "a release that is to be current is fetched in full"


def test_what_may_pass_is_tried_again_and_what_may_not_fails(
    own: Database,
    operator: TestClient,
    run_pending: Run,
    publisher: Any,
    two_versions: tuple[bytes, bytes],
) -> None:
    publisher.content = two_versions[0]
    publisher.status = 503
    created = operator.post("/v1/loads", json={"url": publisher.url, "domain": DOMAIN}).json()
    assert run_pending()[0]["status"] == "queued"
    waiting = operator.get(f"/v1/loads/{created['id']}").json()
    assert (waiting["state"], waiting["error"]["code"]) == ("queued", "upstream-status")
    publisher.status = 200
    assert run_pending()[0]["status"] == "succeeded"
    assert operator.get(f"/v1/loads/{created['id']}").json()["error"] is None

    publisher.status = 404
    operator.post("/v1/loads", json={"url": publisher.url})
    assert run_pending()[0]["error"]["code"] == "upstream-status"
    operator.post("/v1/loads", json={"url": "http://10.0.0.1/attack.json"})
    assert run_pending()[0]["error"]["code"] == "forbidden-target"


SAMPLES = Path(
    os.environ.get("SENTINELIQ_SAMPLE_DATA", Path(__file__).parents[4] / "shared" / "data")
)
REAL = [SAMPLES / "attack-ics-17.1.json", SAMPLES / "attack-ics-18.1.json"]
PAIRS = [REAL] if all(path.exists() for path in REAL) else []


@pytest.mark.parametrize(
    "paths", [*PAIRS, [Path(__file__).parents[3] / "sentineliq/starter/attack/attack-starter.json"]]
)
def test_published_releases_follow_each_other(
    own: Database, operator: TestClient, load: Make, paths: list[Path]
) -> None:
    written = [load(path.read_bytes())["result"]["objects_written"] for path in paths]

    parsed = [read_release(path.read_bytes()) for path in paths]
    known_objects: set[tuple[str, bytes]] = set()
    for release, count in zip(parsed, written, strict=True):
        objects = {(item.stix_id, item.digest) for item in release.objects}
        assert count == len(objects - known_objects)
        known_objects = objects
    last = parsed[-1]
    items = operator.get("/v1/techniques", params={"limit": 500, "inactive": True}).json()["items"]
    assert {item["attack_id"]: item["name"] for item in items} == {
        card.attack_id: card.name for card in last.techniques.values()
    }
    for path, release in zip(paths, parsed, strict=True):
        answer = operator.get(f"/v1/releases/{release.domain}/{release.version}/bundle")
        assert answer.json() == msgspec.json.decode(path.read_bytes())
    assert [event["version"] for event in take_events(own, "mitre.released.v1")] == [
        release.version for release in parsed
    ]
