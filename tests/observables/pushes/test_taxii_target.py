"""A collection at another TAXII server: all of it, once, from where the last push ended."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from services.observables.pushes import pushing, repository
from services.observables.taxii.list_writer import follow_lists
from shared.database import PLATFORM, Database
from shared.leases import LeaseLost
from tests.observables.conftest import after
from tests.observables.dissemination.conftest import Lists, address
from tests.observables.pushes.conftest import Pushes
from tests.observables.taxii.conftest import TaxiiClient, append, indicator

Hints = Callable[[], list[str]]


@pytest.fixture
def target(server: str, partner: TaxiiClient, make_token: Callable[..., str]) -> dict[str, Any]:
    """A collection that acme may write into, as a push names it."""
    collection = partner.create("theirs")
    return {
        "collection": collection,
        "kind": "taxii",
        "config": {"url": f"{server}/taxii2/globex/collections/{collection}"},
        "credentials": {"username": "any", "password": make_token("globex", "analyst")},
    }


def body(target: dict[str, Any], collection: str, **fields: Any) -> dict[str, Any]:
    names = ("kind", "config", "credentials")
    values = {name: target[name] for name in names}
    return {"name": "to globex", "collection_id": collection, **values, **fields}


def there(partner: TaxiiClient, target: dict[str, Any]) -> list[dict[str, Any]]:
    """The newest versions that the other server has, all pages."""
    objects: list[dict[str, Any]] = []
    query: dict[str, Any] = {}
    while True:
        page = partner.objects(target["collection"], **query)
        objects += page.get("objects", [])
        if not page.get("more"):
            return objects
        query = {"next": page["next"]}


def make_due(own: Database) -> None:
    """Let time pass: leases and pauses are over."""
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE push SET next_attempt_at = now(), lease_until = NULL"))


def test_all_goes_first_then_what_is_new(
    pushes: Pushes,
    collection: str,
    own: Database,
    partner: TaxiiClient,
    target: dict[str, Any],
    hints: Hints,
) -> None:
    append(own, collection, range(1_200))
    push = pushes.add(**body(target, collection))
    assert push["behind"] == 1_200
    assert push["has_credentials"]
    assert "password" not in str(push)
    assert hints() == [push["id"]]
    assert pushes.run(push) == {"status": "ok", "sent": 1_200}
    assert there(partner, target) == [indicator(number) for number in range(1_200)]
    now = pushes.show(push)
    assert (now["behind"], now["pushed_count"], now["refused_count"]) == (0, 1_200, 0)
    assert now["pushed_at"]
    assert hints() == []
    assert pushes.run(push) == {"status": "skipped", "sent": 0}

    append(own, collection, range(1_200, 1_203))
    append(own, collection, range(1), modified="2026-11-30T09:00:00.000Z")
    assert hints() == [push["id"]]
    assert pushes.run(push) == {"status": "ok", "sent": 4}
    assert len(there(partner, target)) == 1_203
    assert there(partner, target)[-1]["modified"] == "2026-11-30T09:00:00.000Z"


def test_what_a_list_takes_back_is_taken_back_there(
    pushes: Pushes, taxii: TaxiiClient, own: Database, partner: TaxiiClient, target: dict[str, Any]
) -> None:
    lists = Lists(own, taxii.http)
    lists.see(address(1), address(2), address(3))
    filled = taxii.create("blocked", is_writable=False, list_id=lists.create(max_shrink=None)["id"])
    follow_lists(own)
    lists.see(at=after(5), gone=[address(3)])
    follow_lists(own)
    push = pushes.add(**body(target, filled))
    # What was taken back before the push began is not told of: nobody there has it.
    assert pushes.run(push) == {"status": "ok", "sent": 2}
    assert not any(entry.get("revoked") for entry in there(partner, target))
    lists.see(at=after(10), gone=[address(1)])
    follow_lists(own)
    assert pushes.run(push) == {"status": "ok", "sent": 1}
    revoked = [entry["pattern"] for entry in there(partner, target) if entry.get("revoked")]
    assert revoked == [f"[ipv4-addr:value = '{address(1).value}']"]


def test_what_the_other_server_refuses_is_counted_with_its_reason(
    pushes: Pushes, collection: str, own: Database, partner: TaxiiClient, target: dict[str, Any]
) -> None:
    append(own, collection, range(3))
    append(own, collection, range(3, 4), valid_from="yesterday")
    push = pushes.add(**body(target, collection))
    assert pushes.run(push) == {"status": "ok", "sent": 3}
    now = pushes.show(push)
    assert (now["pushed_count"], now["refused_count"], now["behind"]) == (3, 1, 0)
    assert "valid_from" in now["refusal"]
    assert len(there(partner, target)) == 3


KILLED = """
import os, signal, sys
from uuid import UUID
from services.observables.pushes import repository
from services.observables.pushes.pushing import push_collection
from shared.database import Database
from shared.settings import load_settings

note, batches = repository.note_progress, 0
def die(*arguments):
    global batches
    batches += 1
    if batches == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return note(*arguments)
repository.note_progress = die
database = Database(os.environ["DATABASE_URL"], "observables")
push_collection(database, load_settings(), UUID(sys.argv[1]))
"""


def test_a_worker_that_is_killed_after_sending_is_followed_by_one_that_repeats_nothing(
    pushes: Pushes, collection: str, own: Database, partner: TaxiiClient, target: dict[str, Any]
) -> None:
    append(own, collection, range(1_300))
    push = pushes.add(**body(target, collection))
    worker = subprocess.run(
        [sys.executable, "-c", KILLED, push["id"]], env=os.environ, check=False, timeout=120
    )
    assert worker.returncode == -signal.SIGKILL
    assert len(there(partner, target)) == 2 * repository.MAX_OBJECTS
    assert pushes.show(push)["pushed_count"] == repository.MAX_OBJECTS
    assert pushes.run(push)["status"] == "skipped"
    make_due(own)
    assert pushes.run(push)["sent"] == 1_300 - repository.MAX_OBJECTS
    objects = there(partner, target)
    assert objects == [indicator(number) for number in range(1_300)]
    versions = {(entry["id"], entry["modified"]) for entry in objects}
    assert len(versions) == 1_300


def test_two_workers_do_not_send_for_one_push(
    pushes: Pushes, collection: str, own: Database, target: dict[str, Any]
) -> None:
    append(own, collection, range(2))
    push = pushes.add(**body(target, collection))
    with own.transaction(PLATFORM) as session:
        row = repository.claim_push(session, UUID(push["id"]))
    assert row is not None
    assert pushes.run(push) == {"status": "skipped", "sent": 0}
    # A frozen worker, whose lease another one has taken over, notes nothing.
    make_due(own)
    assert pushes.run(push) == {"status": "ok", "sent": 2}
    with own.transaction("acme") as session:
        batch = repository.read_batch(session, row)
        with pytest.raises(LeaseLost):
            repository.note_progress(session, row, batch, 0, "")


class _Partner(BaseHTTPRequestHandler):
    """A TAXII server that answers as a test says, and notes how many objects came."""

    answers: ClassVar[list[tuple[int, bytes]]] = []
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        status, content = self.answers.pop(0)
        self.send_response(status)
        self.send_header("content-type", "application/taxii+json;version=2.1")
        self.send_header("content-length", str(len(content)))
        self.send_header("location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def scripted() -> Iterator[str]:
    """The address of a collection whose server answers as `_Partner.answers` says."""
    _Partner.answers.clear()
    _Partner.bodies.clear()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Partner)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/root/collections/{uuid4()}/"
    http.shutdown()
    thread.join(10)
    http.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a collection whose server takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/root/collections/{uuid4()}/"


def test_a_server_that_is_silent_is_not_waited_for_and_gets_smaller_batches(
    pushes: Pushes, collection: str, own: Database, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "SEND_SECONDS", 0.5)
    append(own, collection, range(repository.MAX_OBJECTS))
    push = pushes.add(name="silent", collection_id=collection, kind="taxii", config={"url": silent})
    sizes = []
    for _ in range(3):
        begun = time.monotonic()
        assert pushes.run(push) == {"status": "failed", "sent": 0}
        assert time.monotonic() - begun < 5
        make_due(own)
        with own.transaction("acme") as session:
            row = repository.get_push(session, "acme", UUID(push["id"]))
            later = row._replace(attempts=row.attempts + 1)
            sizes.append(len(repository.read_batch(session, later).objects))
    assert sizes == [250, 125, 62]
    assert "within" in pushes.show(push)["error"]["message"]


def status_of(word: str) -> bytes:
    return b'{"id":"%b","status":"%b","total_count":1}' % (str(uuid4()).encode(), word.encode())


def test_an_envelope_that_is_too_large_goes_in_parts(
    pushes: Pushes, collection: str, own: Database, scripted: str
) -> None:
    append(own, collection, range(3))
    push = pushes.add(
        name="small", collection_id=collection, kind="taxii", config={"url": scripted}
    )
    done = status_of("complete")
    _Partner.answers[:] = [(413, b""), (202, done), (413, b""), (413, b""), (202, done)]
    assert pushes.run(push) == {"status": "ok", "sent": 2}
    assert [text.count(b'"id"') for text in _Partner.bodies] == [3, 1, 2, 1, 1]
    now = pushes.show(push)
    assert now["refused_count"] == 1
    assert "size" in now["refusal"]


@pytest.mark.parametrize(
    ("status", "content"),
    [(401, b""), (500, b""), (503, b""), (302, b""), (200, b"{}"), (202, b"<html>"), (202, b"{}")],
)
def test_a_server_that_does_not_take_it_gets_it_again_later(
    pushes: Pushes, collection: str, own: Database, scripted: str, status: int, content: bytes
) -> None:
    append(own, collection, range(2))
    push = pushes.add(
        name="broken", collection_id=collection, kind="taxii", config={"url": scripted}
    )
    _Partner.answers[:] = [(status, content)]
    assert pushes.run(push) == {"status": "failed", "sent": 0}
    now = pushes.show(push)
    assert (now["pushed_count"], now["behind"], now["attempts"]) == (0, 2, 1)
    assert now["error"]["message"]
    # It waits, and an edit tries it at once.
    assert pushes.run(push)["status"] == "skipped"
    assert pushes.http.patch(f"/v1/pushes/{push['id']}", json={"enabled": True}).status_code == 200
    _Partner.answers[:] = [(202, status_of("pending")), (200, status_of("complete"))]
    assert pushes.run(push) == {"status": "ok", "sent": 2}
    assert pushes.show(push)["error"] is None
