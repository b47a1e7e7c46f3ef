"""Every table has a tenant that row-level security guards, but for the platform's own."""

from collections.abc import Iterator

import psycopg
import pytest

from shared.settings import SERVICES, Settings

PLATFORM_TABLES = {
    "alembic_version": "The version of the schema.",
    "consumer_offset": "Places in a log that has the events of all tenants.",
    "log_gap": "Gaps of such a log.",
    "sweep": "When a service looks for rows of all tenants.",
}
"""Tables without a tenant, and what their rows are about."""
UNGUARDED = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT (
    c.relrowsecurity AND c.relforcerowsecurity
    AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = 'r')
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant'
        AND a.attnotnull))
"""


@pytest.fixture
def connection(environment: Settings) -> Iterator[psycopg.Connection]:
    """The migrated database, as its owner; what a test changes is rolled back."""
    with psycopg.connect(environment.database_url.get_secret_value()) as session:
        yield session
        session.rollback()


def unguarded(connection: psycopg.Connection, service: str) -> set[str]:
    return {name for (name,) in connection.execute(UNGUARDED, (service,))} - set(PLATFORM_TABLES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_has_a_tenant(connection: psycopg.Connection, service: str) -> None:
    assert unguarded(connection, service) == set()


@pytest.mark.parametrize("columns", ["id int", "id int, tenant text NOT NULL"])
def test_a_table_that_nobody_guards_is_noticed(
    connection: psycopg.Connection, columns: str
) -> None:
    connection.execute(f"CREATE TABLE feeds.planted ({columns})".encode())
    assert unguarded(connection, "feeds") == {"planted"}
