"""One transaction, one tenant: row-level security on every table, also without a tenant."""

import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from shared.database import PLATFORM, PUBLIC, Database, database, driver_connection, role_name
from shared.errors import TooLargeInput, Unavailable
from shared.migrations import drop_login, make_login, migrate, pending_revisions
from shared.settings import SERVICES, Settings


def put(own: Database, tenant: str, owner: str | None = None) -> None:
    statement = sa.text("INSERT INTO source VALUES (:tenant, :id, 'a feed', 80, 'clear')")
    with own.transaction(tenant) as session:
        session.execute(statement, {"tenant": owner or tenant, "id": uuid4()})


def seen(own: Database, tenant: str) -> set[str]:
    with own.transaction(tenant) as session:
        return set(session.scalars(sa.text("SELECT tenant FROM source")))


@pytest.fixture
def own(environment: Settings) -> Database:
    own = database("observables")
    for tenant in ("acme", "globex", PUBLIC):
        put(own, tenant)
    return own


def test_a_tenant_reads_its_own_rows_and_the_public_ones(own: Database) -> None:
    assert seen(own, "acme") == {"acme", PUBLIC}
    assert seen(own, "initech") == {PUBLIC}
    assert seen(own, PLATFORM) == {"acme", "globex", PUBLIC}


@pytest.mark.parametrize("victim", ["globex", PUBLIC])
def test_a_tenant_writes_its_own_rows_only(own: Database, victim: str) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        put(own, "acme", owner=victim)
    with own.transaction("acme") as session:
        changed = session.execute(
            sa.text("UPDATE source SET name = 'mine' WHERE tenant = :t RETURNING id"), {"t": victim}
        )
        assert changed.all() == []
        deleted = session.execute(
            sa.text("DELETE FROM source WHERE tenant = :t RETURNING id"), {"t": victim}
        )
        assert deleted.all() == []


def test_without_a_tenant_nothing_is_seen(own: Database) -> None:
    with own.engine.begin() as connection:
        connection.execute(sa.text(f"SET LOCAL ROLE {role_name('observables')}"))
        assert connection.scalar(sa.text("SELECT count(*) FROM observables.source")) == 0


def test_the_tenant_does_not_outlive_its_transaction(own: Database) -> None:
    with own.transaction("acme") as session:
        session.execute(sa.text("SELECT 1"))
    with own.engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT current_setting('sentineliq.tenant', true)")) in (
            None,
            "",
        )


def test_a_service_cannot_read_anothers_tables(own: Database) -> None:
    with pytest.raises(DBAPIError, match="permission denied"), own.transaction(PLATFORM) as session:
        session.execute(sa.text("SELECT * FROM feeds.feed"))


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_with_a_tenant_is_protected_and_every_table_has_one(
    environment: Settings, service: str
) -> None:
    query = """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS protected,
               EXISTS (SELECT FROM pg_attribute a
                       WHERE a.attrelid = c.oid AND a.attname = 'tenant') AS tenant
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relkind IN ('r', 'p')"""
    # The processes' own tables have no tenant.
    infrastructure = {"alembic_version", "consumer_offset", "log_gap", "sweep", "beat"}
    with psycopg.connect(environment.database_url.get_secret_value()) as connection:
        tables = connection.execute(query, (service,)).fetchall()
    assert tables
    for name, protected, tenant in tables:
        assert (protected and tenant) or name in infrastructure, f"{service}.{name}"


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_are_current_and_running_them_again_changes_nothing(
    environment: Settings, service: str
) -> None:
    url = environment.database_url.get_secret_value()
    assert pending_revisions(service, url) == []
    migrate(service, url)


def test_a_database_that_is_away_is_unavailable_not_a_bug() -> None:
    away = Database("postgresql://nobody:x@127.0.0.1:1/none", "feeds")
    with pytest.raises(Unavailable), away.transaction("acme"):
        pass
    away.close()


def test_of_two_that_wait_for_each_other_one_is_told_to_try_again(own: Database) -> None:
    barrier = threading.Barrier(2)

    def take(*locks: int) -> None:
        with own.transaction("acme") as session:
            for number in locks:
                driver_connection(session).execute("SELECT pg_advisory_xact_lock(%s)", (number,))
                if number == locks[0]:
                    barrier.wait(5)

    with ThreadPoolExecutor() as threads:
        outcomes = [
            task.exception() for task in (threads.submit(take, 1, 2), threads.submit(take, 2, 1))
        ]
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "Unavailable"]


def test_a_caller_without_a_connection_is_told_to_try_again(environment: Settings) -> None:
    crowded = Database(environment.database_url.get_secret_value(), "observables", pool_size=1)
    first = crowded.transaction("acme")
    second = crowded.transaction("acme")
    with first, second, pytest.raises(Unavailable), crowded.transaction("acme"):
        pass
    crowded.close()


def test_a_question_that_takes_too_long_is_ended(own: Database) -> None:
    with (
        pytest.raises(TooLargeInput, match="more than 1 s"),
        own.transaction("acme", seconds=1) as session,
    ):
        session.execute(sa.text("SELECT pg_sleep(5)"))
    with own.transaction("acme") as session:
        assert session.scalar(sa.text("SHOW statement_timeout")) == "5min"


def test_a_traceback_shows_no_values(own: Database) -> None:
    statement = sa.text("SELECT CAST(:value AS integer)")
    with pytest.raises(DBAPIError) as caught, own.transaction("acme") as session:
        session.execute(statement, {"value": "hunter2"})
    # PostgreSQL itself quotes a value that it cannot read; SQLAlchemy would add all of them.
    assert "parameters hidden" in str(caught.value)


def test_a_process_follows_its_login_while_it_runs(environment: Settings) -> None:
    admin_url = environment.database_url.get_secret_value()
    urls = [_with_login(admin_url, f"follows_{uuid4().hex[:8]}") for _ in range(2)]
    for url in urls:
        make_login("observables", admin_url, url)
    present = urls[0]
    own = Database(urls[0], "observables", present_url=lambda: present)
    names = [urlsplit(url).username for url in urls]

    def users() -> set[str]:
        with own.transaction("acme") as session, own.read_transaction("acme") as connection:
            row = connection.execute("SELECT session_user").fetchone()
            return {session.scalar(sa.text("SELECT session_user")), row[0] if row else ""}

    assert users() == {names[0]}
    with own.transaction("acme") as session:
        present = urls[1]
        assert users() == {names[1]}
        assert session.scalar(sa.text("SELECT session_user")) == names[0], "it goes on"
    own.check()
    with own.connect() as connection:
        assert connection.info.user == names[1]
        # What came back is closed; the server notices some milliseconds later.
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        deadline = time.monotonic() + 10
        while connection.execute(query, (names[0],)).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    drop_login(admin_url, str(names[0]))
    assert users() == {names[1]}
    own.close()
    drop_login(admin_url, str(names[1]))


def _with_login(url: str, name: str) -> str:
    address = urlsplit(url)
    netloc = f"{name}:its-password@{address.hostname}:{address.port}"
    return address._replace(netloc=netloc).geturl()


def test_an_error_does_not_show_the_values_of_its_statement(own: Database) -> None:
    value = uuid4().hex
    statement = sa.text("SELECT CAST(:value AS text) FROM no_such_table")
    with pytest.raises(DBAPIError) as caught, own.transaction("acme") as session:
        session.execute(statement, {"value": value})
    assert value not in "".join(traceback.format_exception(caught.value))
