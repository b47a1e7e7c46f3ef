"""Migrations leave what the code of the version before can read and write, and block nobody."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from psycopg import sql

from shared.database import role_name
from shared.migrations import alembic_config, migrate
from shared.settings import SERVICES
from tests.conventions import migrations

RELEASED = {
    "feeds": "feeds_0003",
    "mitre": "mitre_0003",
    "notifications": "notifications_0002",
    "observables": "observables_0012",
    "scheduler": "scheduler_0001",
    "gateway": "gateway_0001",
}
"""The newest migrations of the version before this one."""

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable = 'YES', column_default IS NOT NULL
    OR is_identity = 'YES' OR is_generated = 'ALWAYS'
FROM information_schema.columns WHERE table_schema = %s AND table_name <> 'alembic_version'
"""
VALUES = {
    "text": "'x'",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "now()",
    "date": "now()",
    "jsonb": "'{}'",
    "json": "'{}'",
    "ARRAY": "'{}'",
    "bytea": "'x'",
    "boolean": "false",
    "smallint": "0",
    "integer": "0",
    "bigint": "0",
    "double precision": "0",
}
CHECKED = {
    ("run", "state"): "'queued'",
    ("delivery", "state"): "'pending'",
    ("enrichment_job", "state"): "'waiting'",
    ("fire", "state"): "'sent'",
    ("trend", "kind"): "'value'",
    ("load", "url"): "'https://x'",
    ("schedule", "every_seconds"): "60",
    ("schedule", "catch_up"): "'skip'",
    ("schedule", "owner"): "'api'",
}
"""Values that satisfy the tables' check constraints."""
RULES = [
    ('op.drop_table("x")', "drop"),
    ('op.drop_column("t", "x")', "drop"),
    ('op.execute("ALTER TABLE feeds.t DROP COLUMN x")', "drop"),
    ('op.rename_table("t", "u")', "rename"),
    ('op.alter_column("t", "x", new_column_name="y")', "rename"),
    ('op.execute(f"ALTER TABLE {SCHEMA}.t RENAME x TO y")', "rename"),
    ('op.alter_column("t", "x", nullable=False)', "tighten"),
    ('op.alter_column("t", "x", type_=sa.Text)', "tighten"),
    ('op.add_column("t", sa.Column("x", sa.Text, nullable=False))', "tighten"),
    ('op.execute("ALTER TABLE t ALTER COLUMN x SET NOT NULL")', "tighten"),
    ('op.create_index("i", "t", ["x"], schema="feeds")', "index"),
    ('op.execute("CREATE UNIQUE INDEX i ON feeds.t (x)")', "index"),
    ('op.create_unique_constraint("u", "t", ["x"])', "lock"),
    ('op.execute("LOCK TABLE t IN SHARE MODE")', "lock"),
    ('build_index("feeds", "i", "feeds.t (x)"); op.execute("SELECT 1")', "mixed"),
]


@pytest.fixture
def url(parts: dict[str, str], template: str) -> Iterator[str]:  # it made the roles
    """The URL of an empty database."""
    name = f"released_{uuid4().hex[:8]}"
    address = f"{parts['DATABASE_URL'].rpartition('/')[0]}/{name}"
    with psycopg.connect(parts["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield address
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_new_migrations_keep_the_rules() -> None:
    files = list(migrations.ruled_migrations())
    assert len(files) >= len(SERVICES)
    assert list(migrations.violations(files)) == []


@pytest.mark.parametrize(("statement", "rule"), RULES)
def test_a_broken_rule_is_noticed(statement: str, rule: str) -> None:
    text = f'"""Planted."""\n\n\ndef upgrade() -> None:\n    {statement}\n'
    assert [broken for _, broken in migrations.broken_rules(text)] == [rule]
    reason = f'REASONS = {{"{rule}": "Nothing has used it since then."}}\n'
    assert migrations.broken_rules(text + reason) == []
    assert migrations.broken_rules(text + f'REASONS = {{"{rule}": "because"}}\n') != []


@pytest.mark.parametrize(
    "statement",
    [
        'op.add_column("t", sa.Column("x", sa.Text))',
        'op.add_column("t", sa.Column("x", sa.Text, nullable=False, server_default=""))',
        'op.create_table("t"); op.create_index("i", "t", ["x"])',
        'build_index("feeds", "i", "feeds.t (x)")',
        'op.execute("CREATE INDEX CONCURRENTLY i ON t (x)")',
        'op.drop_index("i")',
        'op.alter_column("t", "x", nullable=True)',
    ],
)
def test_what_old_code_can_live_with_is_no_violation(statement: str) -> None:
    text = f'"""DROP TABLE in prose."""\n\n\ndef upgrade() -> None:\n    {statement}\n'
    assert migrations.broken_rules(text) == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_code_of_the_version_before_reads_and_writes_its_columns(
    url: str, service: str
) -> None:
    command.upgrade(alembic_config(service, url), RELEASED[service])
    with psycopg.connect(url, autocommit=True) as admin:
        released = admin.execute(COLUMNS, (service,)).fetchall()
        migrate(service, url)
        current = {row[:3] for row in admin.execute(COLUMNS, (service,))}
        assert {row[:3] for row in released} - current == set()
        admin.execute("SET session_replication_role = replica")  # rows need no rows of others
        admin.execute(f"SET role = {role_name(service)}".encode())
        admin.execute("SET sentineliq.tenant = 'x'")
        for table in sorted({row[0] for row in released}):
            admin.execute(insert(service, table, released).encode())
            names = ", ".join(f'"{row[1]}"' for row in released if row[0] == table)
            rows = admin.execute(f"SELECT {names} FROM {service}.{table}".encode()).fetchall()
            assert rows, table


def insert(service: str, table: str, columns: list[tuple[object, ...]]) -> str:
    """The statement of old code: a value for each column that it has to fill."""
    values = {}
    for name, column, kind, is_nullable, has_default in columns:
        if name != table:
            continue
        value = CHECKED.get((table, str(column)))
        if value is None and not is_nullable and not has_default:
            value = VALUES[str(kind)]
        if value is not None:
            values[column] = value
    names = ", ".join(f'"{column}"' for column in values)
    return f"INSERT INTO {service}.{table} ({names}) VALUES ({', '.join(values.values())})"
