"""The audit has a row for each change, in the same transaction, and nobody changes a row."""

import os
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from starlette.testclient import TestClient

from services.notifications.retention.policies import POLICIES
from shared.database import PLATFORM, Database, role_name
from shared.kafka.outbox import audit
from shared.retention import prune
from shared.settings import SERVICES, Settings

ClientFor = Callable[..., TestClient]
OLD = "UPDATE notifications.audit SET recorded_at = now() - interval '{days} days'"


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    """The database of notifications, with an empty audit."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute("TRUNCATE notifications.audit")
    database = Database(os.environ["DATABASE_URL"], "notifications")
    yield database
    database.close()


def add(own: Database, tenant: str = "acme", action: str = "rules.create", count: int = 1) -> None:
    with own.transaction(tenant) as session:
        for number in range(count):
            audit(session, "notifications", tenant, "kim", action, uuid4(), name=f"rule {number}")


def listed(client: TestClient, **query: object) -> list[dict[str, object]]:
    response = client.get("/v1/audit", params=query).raise_for_status()
    items: list[dict[str, object]] = response.json()["items"]
    return items


def age(days: int) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(OLD.format(days=days).encode())


def test_a_change_over_the_api_is_in_the_audit(own: Database, client_for: ClientFor) -> None:
    client = client_for("notifications")
    body = {"name": "siem", "kind": "log", "config": {}}
    channel = client.post("/v1/channels", json=body).raise_for_status().json()
    (record,) = listed(client, action="notifications.channel.create")
    assert (record["tenant"], record["actor"]) == ("acme", "kim@acme.example")
    assert record["target"] == channel["id"]
    assert record["details"] == {"name": "siem"}


def test_a_change_that_is_rolled_back_leaves_no_record(
    own: Database, client_for: ClientFor
) -> None:
    with own.transaction("acme") as session:
        audit(session, "notifications", "acme", "kim", "rules.create", uuid4())
        session.rollback()
    assert listed(client_for("notifications")) == []


def test_a_tenant_reads_its_own_records_and_operators_read_all(
    own: Database, client_for: ClientFor
) -> None:
    for tenant in ("acme", "globex", "public"):
        add(own, tenant)
    assert {record["tenant"] for record in listed(client_for("notifications"))} == {"acme"}
    assert listed(client_for("notifications"), tenant="globex") == []
    operator = client_for("notifications", "acme", "operator")
    assert [record["tenant"] for record in listed(operator)] == ["public", "globex", "acme"]
    assert [record["tenant"] for record in listed(operator, tenant="globex")] == ["globex"]


def test_pages_follow_each_other_while_records_come_in(
    own: Database, client_for: ClientFor
) -> None:
    add(own, count=5)
    client = client_for("notifications")
    page = client.get("/v1/audit", params={"limit": 3}).json()
    add(own)
    rest = client.get("/v1/audit", params={"limit": 3, "after": page["next"]}).json()
    names = [item["details"]["name"] for item in page["items"] + rest["items"]]
    assert names == ["rule 4", "rule 3", "rule 2", "rule 1", "rule 0"]
    assert rest["next"] is None


def test_the_service_can_add_and_read_and_nothing_else(environment: Settings, service: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        rights = {
            right
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
            if connection.execute(
                "SELECT has_table_privilege(%s, %s, %s)",
                (role_name(service), f"{service}.audit", right),
            ).fetchone()
            == (True,)
        }
    assert rights == {"SELECT", "INSERT"}


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"]
)
def test_records_cannot_be_changed(own: Database, statement: str) -> None:
    add(own)
    refused = pytest.raises(ProgrammingError, match="permission denied")
    with refused, own.transaction(PLATFORM) as session:
        session.execute(sa.text(statement))


def test_young_records_cannot_be_deleted(own: Database) -> None:
    add(own)
    refused = pytest.raises(sa.exc.DBAPIError, match="last 30 days stays")
    with refused, own.transaction(PLATFORM) as session:
        session.execute(sa.text("SELECT prune_audit(now() - interval '29 days', 10)"))


def test_records_go_when_their_time_is_over(
    own: Database, environment: Settings, client_for: ClientFor
) -> None:
    add(own, count=3)
    age(401)
    add(own, "globex")
    report = prune(own, environment, POLICIES, names=["audit"])
    assert report.pruned == {"audit": 3}
    operator = client_for("notifications", "acme", "operator")
    assert [record["tenant"] for record in listed(operator)] == ["globex"]


def test_the_audit_is_for_admins(own: Database, client_for: ClientFor, service: str) -> None:
    assert client_for(service, role="admin").get("/v1/audit").status_code == 200
    assert client_for(service, role="analyst").get("/v1/audit").status_code == 403
