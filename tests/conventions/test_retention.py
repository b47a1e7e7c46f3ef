"""Every table of every service says how long its rows stay, and a new table has to."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from shared.retention import INFRASTRUCTURE, RetentionPolicy, missing_policies, retention_days
from shared.settings import SERVICES, Settings

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s
"""


@pytest.fixture
def connection(environment: Settings) -> Iterator[psycopg.Connection]:
    """The migrated database, as its owner; what a test changes is rolled back."""
    with psycopg.connect(environment.database_url.get_secret_value()) as session:
        yield session
        session.rollback()


def policies_of(service: str) -> tuple[RetentionPolicy, ...]:
    module = importlib.import_module(f"services.{service}.retention.policies")
    policies: tuple[RetentionPolicy, ...] = module.POLICIES
    return policies


def tables_of(connection: psycopg.Connection, service: str) -> list[str]:
    return [name for (name,) in connection.execute(TABLES, (service,))]


@pytest.mark.parametrize("service", SERVICES)
def test_every_table_has_a_policy(connection: psycopg.Connection, service: str) -> None:
    assert missing_policies(tables_of(connection, service), policies_of(service)) == ([], [])


@pytest.mark.parametrize("service", SERVICES)
def test_a_table_without_a_policy_is_noticed(connection: psycopg.Connection, service: str) -> None:
    connection.execute(f"CREATE TABLE {service}.planted (id int)")
    tables = tables_of(connection, service)
    assert missing_policies(tables, policies_of(service)) == (["planted"], [])


def test_a_policy_without_a_table_is_noticed() -> None:
    stale = RetentionPolicy(table="planted", reason="It stays.")
    assert missing_policies([], [stale]) == ([], ["planted"])


@pytest.mark.parametrize("service", SERVICES)
def test_policies_name_columns_that_exist(connection: psycopg.Connection, service: str) -> None:
    stored = set(connection.execute(COLUMNS, (service,)))
    for policy in policies_of(service):
        columns = {policy.age, policy.clears} - {""}
        assert {(policy.table, column) for column in columns} <= stored, policy


@pytest.mark.parametrize("service", SERVICES)
def test_policies_are_complete(service: str) -> None:
    for policy in policies_of(service):
        assert policy.reason.endswith("."), policy
        assert (policy.days is None) == (not policy.age), policy
        assert policy.minimum >= 1, policy
        assert policy.days is None or policy.days >= policy.minimum, policy


@pytest.mark.parametrize("service", SERVICES)
def test_the_operators_table_shows_the_days(service: str) -> None:
    lines = OPERATIONS.read_text().splitlines()
    shared = {policy.name for policy in INFRASTRUCTURE}
    for name, days in retention_days(service, policies_of(service), {}).items():
        start = f"| `{service}.{name}` | {days} |"
        if name in shared:
            start = f"| `feeds.{name}`, and of each other service | {days} |"
        assert any(line.startswith(start) for line in lines), start
