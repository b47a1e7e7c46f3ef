"""Objects that clients post: each is counted once, whatever happens in between."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.taxii import posts
from shared.database import PLATFORM, Database
from tests.observables.taxii.conftest import TaxiiClient, append, indicator

ClientFor = Callable[..., TestClient]
COUNT = 10_000


def status_of(taxii: TaxiiClient, status: dict[str, Any]) -> dict[str, Any]:
    answer = taxii.get(f"status/{status['id']}/")
    assert answer.status_code == 200, answer.text
    current: dict[str, Any] = answer.json()
    return current


def complete_status(taxii: TaxiiClient, status: dict[str, Any]) -> dict[str, Any]:
    """The status of a document when nothing of it waits any more."""
    end = time.monotonic() + 60
    while (current := status_of(taxii, status))["status"] == "pending" and time.monotonic() < end:
        time.sleep(0.05)
    assert current["status"] == "complete"
    return current


def counts(status: dict[str, Any]) -> tuple[int, ...]:
    names = ("total_count", "success_count", "failure_count", "pending_count")
    return tuple(status[name] for name in names)


def test_4_3_a_status_counts_and_names_every_object(taxii: TaxiiClient, collection: str) -> None:
    bad = {**indicator(2), "modified": "yesterday"}
    marked = {
        **indicator(3),
        "object_marking_refs": ["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"],
    }
    answer = taxii.post(collection, {"objects": [indicator(1), bad, marked, 5, indicator(1)]})
    assert answer.status_code == 202
    status = answer.json()
    assert status["status"] == "complete"
    assert counts(status) == (5, 2, 3, 0)
    assert status == status_of(taxii, status)
    version = indicator(1)["modified"]
    assert status["successes"] == [{"id": indicator(1)["id"], "version": version}] * 2
    failures = {entry["id"]: entry for entry in status["failures"]}
    assert set(failures) == {bad["id"], marked["id"], "objects.3"}
    assert "modified" in failures[bad["id"]]["message"]
    assert "TLP:RED" in failures[marked["id"]]["message"]
    assert failures[marked["id"]]["version"] == version
    assert "pendings" not in status
    assert taxii.objects(collection)["objects"] == [indicator(1)]


def test_5_5_what_is_there_already_succeeds_and_changes_nothing(
    taxii: TaxiiClient, collection: str
) -> None:
    for _ in range(2):
        status = taxii.post(collection, {"objects": [indicator(1), indicator(2)]}).json()
        assert counts(status) == (2, 2, 0, 0)
    newer = indicator(1, "2026-11-30T09:00:00.000Z")
    older = indicator(1, "2026-11-30T08:00:00.500Z")
    for version in (newer, older):
        assert counts(taxii.post(collection, {"objects": [version]}).json()) == (1, 1, 0, 0)
    assert taxii.objects(collection)["objects"] == [indicator(2), newer]
    address = {"type": "ipv4-addr", "id": f"ipv4-addr--{uuid4()}", "value": "198.51.100.3"}
    for _ in range(2):
        assert counts(taxii.post(collection, {"objects": [address, address]}).json())[1] == 2
    assert taxii.objects(collection, **{"match[type]": "ipv4-addr"})["objects"] == [address]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b'{"objects":[]}', 422),
        (b'{"objects":', 422),
        (b"[" * 100_000, 422),
        (b'{"objects":[' + b"1," * 60_000 + b"1]}", 413),
        (b" " * (posts.MAX_CONTENT_BYTES + 1), 413),
    ],
)
def test_5_5_what_is_no_envelope_is_refused_whole(
    taxii: TaxiiClient, collection: str, content: bytes, status: int
) -> None:
    answer = taxii.post(collection, content)
    assert answer.status_code == status, answer.text
    assert answer.json()["http_status"] == str(status)
    assert taxii.objects(collection) == {}


def test_5_5_who_may_not_write_writes_nothing(
    taxii: TaxiiClient, collection: str, client_for: ClientFor, own: Database
) -> None:
    envelope = {"objects": [indicator(1)]}
    viewer = TaxiiClient(client_for("observables", role="viewer"))
    assert viewer.post(collection, envelope).status_code == 403
    with own.transaction("acme") as session:
        session.execute(sa.text("UPDATE collection SET is_writable = false"))
    assert taxii.post(collection, envelope).status_code == 403
    assert taxii.post(str(uuid4()), envelope).status_code == 404
    assert taxii.objects(collection) == {}
    stranger = TaxiiClient(client_for("observables", tenant="globex"), "globex")
    status = uuid4()
    assert stranger.get(f"status/{status}/").status_code == 404


def test_a_status_is_of_one_tenant(
    taxii: TaxiiClient, collection: str, client_for: ClientFor
) -> None:
    status = taxii.post(collection, {"objects": [indicator(1)]}).json()
    stranger = TaxiiClient(client_for("observables", tenant="globex"), "globex")
    assert stranger.get(f"status/{status['id']}/").status_code == 404


KILLED = """
import os, signal, sys
from uuid import UUID
from services.observables.taxii import posts
from services.observables.taxii.repository import posts as sql
from shared.database import Database

settle, pieces = sql.settle, 0
def settle_and_die(session, post, places):
    global pieces
    pieces += 1
    settle(session, post, places)
    if pieces == 8:
        os.kill(os.getpid(), signal.SIGKILL)
sql.settle = settle_and_die
posts.take_over(Database(os.environ["DATABASE_URL"], "observables"), "acme", UUID(sys.argv[1]))
"""


def test_ten_thousand_objects_are_stored_once_although_their_writer_is_killed(
    taxii: TaxiiClient, collection: str, own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = [indicator(number) for number in range(COUNT)]
    for number in range(0, COUNT, 100):
        objects[number]["id"] = f"indicator--{number}"
    # The process that took the document is gone before it did anything.
    with monkeypatch.context() as patch:
        patch.setattr(posts, "take_over", lambda *_: 0)
        answer = taxii.post(collection, {"objects": objects})
    assert answer.status_code == 202
    status = answer.json()
    assert counts(status) == (COUNT, 0, 100, 9_900)
    writer = subprocess.run(
        [sys.executable, "-c", KILLED, status["id"]], env=os.environ, check=False, timeout=120
    )
    assert writer.returncode == -signal.SIGKILL
    done = 7 * posts.PIECE
    assert counts(status_of(taxii, status)) == (COUNT, done, 100, 9_900 - done)
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE collection_post SET requested_at = now() - interval '1h'"))
    assert posts.take_over_waiting(own) == {status["id"]: 9_900 - done}
    final = complete_status(taxii, status)
    assert counts(final) == (COUNT, 9_900, 100, 0)
    assert len(final["successes"]) == 9_900
    ids = read_all(taxii, collection)
    assert len(ids) == len(set(ids)) == 9_900
    assert posts.take_over_waiting(own) == {}


def read_all(taxii: TaxiiClient, collection: str) -> list[str]:
    ids: list[str] = []
    query: dict[str, Any] = {}
    while True:
        page = taxii.objects(collection, **query)
        ids += [entry["id"] for entry in page["objects"]]
        if not page["more"]:
            return ids
        query = {"next": page["next"]}


def test_a_large_document_is_taken_over_after_the_answer(
    taxii: TaxiiClient, collection: str
) -> None:
    objects = [indicator(number) for number in range(posts.AT_ONCE + 200)]
    status = taxii.post(collection, {"objects": objects}).json()
    assert status["status"] == "pending"
    assert counts(status) == (len(objects), 0, 0, len(objects))
    assert counts(complete_status(taxii, status)) == (len(objects), len(objects), 0, 0)


def test_numbers_follow_commits_and_a_reader_overtakes_nobody(
    collection: str, own: Database
) -> None:
    append(own, collection, range(5))
    append(own, collection, range(3, 9))
    with own.transaction("acme") as session:
        rows = session.execute(
            sa.text("SELECT number, date_added FROM collection_object ORDER BY number")
        ).all()
    assert [row.number for row in rows] == list(range(1, 10))
    assert [row.date_added for row in rows] == sorted(row.date_added for row in rows)
