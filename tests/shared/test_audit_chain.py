"""Records of the audit follow each other: what is changed, or missing between others, is told."""

import os
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from shared.audit import SEALED, ChainState, changes_between, check_chains
from shared.database import PLATFORM, Database
from shared.kafka.outbox import audit
from shared.settings import SERVICES, Settings

ClientFor = Callable[..., TestClient]


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    """The database of notifications, with an empty audit."""
    superuser("TRUNCATE notifications.audit")
    database = Database(os.environ["DATABASE_URL"], "notifications", pool_size=8)
    yield database
    database.close()


def superuser(statement: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(statement.encode())


def add(own: Database, tenant: str = "acme", count: int = 1) -> None:
    for number in range(count):
        with own.transaction(tenant) as session:
            changes = changes_between({"tlp": "red"}, {"tlp": "clear"})
            name = f"rule {number} ü \u2028"
            audit(session, "notifications", tenant, "kim", "rules", uuid4(), changes, name=name)


def chains(own: Database) -> dict[str, ChainState]:
    with own.transaction(PLATFORM) as session:
        return {state.tenant: state for state in check_chains(session)}


def test_a_chain_is_whole_and_each_tenant_has_its_own(own: Database) -> None:
    add(own, "acme", 5)
    add(own, "globex", 3)
    add(own, "acme", 2)
    states = chains(own)
    assert {name: (state.first, state.last) for name, state in states.items()} == {
        "acme": (1, 7),
        "globex": (1, 3),
    }
    assert {state.broken_at for state in states.values()} == {None}
    assert states["acme"].digest != states["globex"].digest


def test_writers_at_once_make_one_chain(own: Database) -> None:
    threads = [threading.Thread(target=add, args=(own, "acme", 10)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = chains(own)["acme"]
    assert (state.records, state.last, state.broken_at) == (60, 60, None)


def test_a_record_that_was_rolled_back_leaves_no_gap(own: Database) -> None:
    add(own)
    with own.transaction("acme") as session:
        audit(session, "notifications", "acme", "kim", "rules", uuid4())
        session.rollback()
    add(own)
    state = chains(own)["acme"]
    assert (state.last, state.broken_at) == (2, None)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE notifications.audit SET actor = 'lee' WHERE position = 3", 3),
        ("UPDATE notifications.audit SET changes = '{}' WHERE position = 3", 3),
        ("UPDATE notifications.audit SET recorded_at = now() WHERE position = 3", 3),
        ("UPDATE notifications.audit SET digest = sha256('x') WHERE position = 3", 3),
        ("DELETE FROM notifications.audit WHERE position = 3", 4),
        ("DELETE FROM notifications.audit WHERE position IN (2, 3)", 4),
    ],
)
def test_what_was_done_to_a_record_is_told(own: Database, statement: str, place: int) -> None:
    add(own, count=5)
    superuser(statement)
    assert chains(own)["acme"].broken_at == place


def test_old_records_may_go(own: Database) -> None:
    add(own, count=5)
    superuser("DELETE FROM notifications.audit WHERE position <= 2")
    add(own)
    state = chains(own)["acme"]
    assert (state.first, state.last, state.broken_at) == (3, 6, None)


def test_the_service_cannot_choose_a_place_or_a_digest(own: Database) -> None:
    add(own)
    with own.transaction("acme") as session:
        connection = session.connection().connection.driver_connection
        assert isinstance(connection, psycopg.Connection)
        connection.execute(
            "INSERT INTO audit (tenant, actor, action, target, position, previous, digest) "
            "VALUES ('acme', 'kim', 'x', 'y', 7, 'a', 'b')"
        )
    state = chains(own)["acme"]
    assert (state.last, state.broken_at) == (2, None)


@pytest.mark.parametrize("service", SERVICES)
def test_the_api_tells_of_the_own_tenant_and_operators_of_all(
    environment: Settings, client_for: ClientFor, service: str
) -> None:
    database = Database(os.environ["DATABASE_URL"], service)
    superuser(f"TRUNCATE {service}.audit")
    for tenant in ("acme", "globex"):
        with database.transaction(tenant) as session:
            audit(session, service, tenant, "kim", "x", "y")
    database.close()
    for role, tenants in (("admin", ["acme"]), ("operator", ["acme", "globex"])):
        chains_ = client_for(service, role=role).get(PATH).json()
        assert [chain["tenant"] for chain in chains_] == tenants
    assert client_for(service, role="analyst").get(PATH).status_code == 403


PATH = "/v1/audit/chains"


def test_the_topic_has_place_digest_and_fields(own: Database) -> None:
    superuser("DELETE FROM notifications.outbox")
    add(own, count=2)
    with psycopg.connect(os.environ["DATABASE_URL"]) as admin:
        query = "SELECT convert_from(payload, 'UTF8')::jsonb FROM notifications.outbox ORDER BY id"
        documents = [row[0] for row in admin.execute(query)]
    assert [document["position"] for document in documents] == [1, 2]
    assert documents[1]["digest"] == chains(own)["acme"].digest
    assert documents[1]["changes"] == {"tlp": {"before": "red", "after": "clear"}}


def test_changes_show_no_secret_and_no_long_text() -> None:
    changes = changes_between(
        {"secret": b"old", "tlp": "red", "same": 1},
        {"secret": b"new", "tlp": "red", "same": 1, "options": {"x": "y" * 5_000}},
        {"secret"},
    )
    assert set(changes) == {"secret", "options"}
    assert (changes["secret"].before, changes["secret"].after) == (SEALED, SEALED)
    assert len(changes["options"].after) < 2_100
