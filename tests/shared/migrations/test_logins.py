"""Logins of services: each does its service's work, and reaches nothing else."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import permutations
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from shared.database import Database, role_name
from shared.errors import InvalidInput, Unavailable
from shared.migrations import drop_login, make_login
from shared.settings import SERVICES, Settings

PASSWORD = "its-password"


def url_with(url: str, name: str, password: str = PASSWORD) -> str:
    address = urlsplit(url)
    return address._replace(netloc=f"{name}:{password}@{address.hostname}:{address.port}").geturl()


@pytest.fixture(scope="module")
def admin_url(environment: Settings) -> str:
    return environment.database_url.get_secret_value()


@pytest.fixture(scope="module")
def logins(admin_url: str) -> Iterator[dict[str, str]]:
    """By service, the URL of its login."""
    names = {service: f"{service}_{uuid4().hex[:8]}" for service in SERVICES}
    urls = {service: url_with(admin_url, name) for service, name in names.items()}
    for service, url in urls.items():
        make_login(service, admin_url, url)
    yield urls
    for name in names.values():
        drop_login(admin_url, name)


def tables(admin_url: str, service: str) -> list[str]:
    with psycopg.connect(admin_url) as admin:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s"
        return [row[0] for row in admin.execute(query, (service,))]


@pytest.mark.parametrize("service", SERVICES)
def test_a_login_does_its_services_work(
    admin_url: str, logins: dict[str, str], service: str
) -> None:
    own = Database(logins[service], service)
    try:
        own.check()
        with own.transaction("acme") as session:
            assert session.connection().exec_driver_sql("SELECT count(*) FROM audit").scalar() == 0
        with own.read_transaction("acme") as connection:
            assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    finally:
        own.close()


@pytest.mark.parametrize(("service", "other"), list(permutations(SERVICES, 2)))
def test_a_login_neither_reads_nor_writes_another_services_tables(
    admin_url: str, logins: dict[str, str], service: str, other: str
) -> None:
    names = tables(admin_url, other)
    assert names
    with psycopg.connect(logins[service], autocommit=True) as session:
        for role in (None, role_name(service)):
            session.execute("RESET role")
            if role is not None:
                session.execute(sql.SQL("SET role = {}").format(sql.Identifier(role)))
            session.execute("SELECT set_config('sentineliq.tenant', '*', false)")
            for name in names:
                table = sql.Identifier(other, name)
                for statement in ("SELECT FROM {}", "DELETE FROM {}", "TRUNCATE {}"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        session.execute(sql.SQL(statement).format(table))


@pytest.mark.parametrize(
    "statement",
    [
        "SET role = sentineliq_mitre",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY pg_temp.x FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/of-a-login'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('.')",
        "SELECT rolpassword FROM pg_authid",
        "CREATE ROLE another",
        "CREATE SCHEMA another",
        "CREATE TABLE public.another ()",
        "ALTER ROLE sentineliq_feeds SUPERUSER",
        "ALTER TABLE feeds.feed DISABLE ROW LEVEL SECURITY",
        "DROP TABLE feeds.feed",
        "UPDATE feeds.audit SET actor = 'nobody'",
    ],
)
def test_a_login_has_no_right_beyond_its_role(logins: dict[str, str], statement: str) -> None:
    for set_role in ("RESET role", "SET role = sentineliq_feeds"):
        with psycopg.connect(logins["feeds"], autocommit=True) as session:
            session.execute("CREATE TEMPORARY TABLE x (line text)")
            session.execute(set_role.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement.encode())


def test_a_login_leaves_connections_for_the_others(admin_url: str, logins: dict[str, str]) -> None:
    with psycopg.connect(admin_url) as admin:
        row = admin.execute("SELECT current_setting('max_connections')::int").fetchone()
    assert row is not None
    limit = row[0] // 3
    with ExitStack() as stack:
        for _ in range(limit):
            stack.enter_context(psycopg.connect(logins["mitre"]))
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            psycopg.connect(logins["mitre"])
        with psycopg.connect(logins["scheduler"]) as other:
            assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_forgotten_role_sees_nothing(logins: dict[str, str]) -> None:
    # The first statement of a transaction is missing, as after a fault of ours.
    with (
        psycopg.connect(logins["feeds"]) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute("SELECT * FROM feeds.feed")


def test_a_renewed_password_ends_the_one_before(admin_url: str) -> None:
    name = f"renewed_{uuid4().hex[:8]}"
    make_login("feeds", admin_url, url_with(admin_url, name, "first"))
    make_login("feeds", admin_url, url_with(admin_url, name, "second"))
    psycopg.connect(url_with(admin_url, name, "second")).close()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url_with(admin_url, name, "first"))
    drop_login(admin_url, name)


def test_a_dropped_login_loses_its_sessions(admin_url: str) -> None:
    name = f"dropped_{uuid4().hex[:8]}"
    url = url_with(admin_url, name)
    make_login("feeds", admin_url, url)
    own = Database(url, "feeds")
    with own.transaction("acme"):
        pass
    drop_login(admin_url, name)
    drop_login(admin_url, name)
    with pytest.raises(Unavailable), own.transaction("acme"):
        pass
    own.close()


def test_a_login_that_may_more_is_refused(admin_url: str) -> None:
    owner = urlsplit(admin_url).username or ""
    with pytest.raises(InvalidInput, match="the login that migrates"):
        make_login("feeds", admin_url, url_with(admin_url, owner))
    name = f"powerful_{uuid4().hex[:8]}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        for rights in ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "IN ROLE sentineliq_mitre"):
            admin.execute(f"CREATE ROLE {name} LOGIN {rights}".encode())
            with pytest.raises(InvalidInput, match=name):
                make_login("feeds", admin_url, url_with(admin_url, name))
            admin.execute(f"DROP ROLE {name}".encode())


def test_a_url_without_a_login_is_refused(admin_url: str) -> None:
    with pytest.raises(InvalidInput, match="needs a user and a password"):
        make_login("feeds", admin_url, "postgresql://127.0.0.1/sentineliq")
