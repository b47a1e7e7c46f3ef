"""Schemas are migrated once, whoever starts, whoever is killed, and whoever uses their tables."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from psycopg import sql

from shared.errors import Unavailable
from shared.migrations import alembic_config
from shared.migrations import upgrade as upgrades
from shared.migrations.upgrade import upgrade

SERVICE = "planted"
FIRST = """
from alembic import op
from shared.migrations import build_index
revision, down_revision = "planted_0001", None

def upgrade():
    op.execute("CREATE TABLE planted.feed (id int, note text)")
    op.execute("CREATE TABLE planted.applied (revision text)")
    op.execute("INSERT INTO planted.applied VALUES ('0001')")
"""
SECOND = """
from alembic import op
from shared.migrations import build_index
revision, down_revision = "planted_0002", "planted_0001"

def upgrade():
    op.execute("INSERT INTO planted.applied VALUES ('0002')")
    {statement}
"""
ADD_COLUMN = 'op.execute("ALTER TABLE planted.feed ADD COLUMN seen timestamptz")'
SLEEP = 'op.execute("SELECT pg_sleep(600)")'
INDEX = 'build_index("planted", "feed_note", "planted.feed (note)", unique=True)'
PROCESS = """
import sys
from shared.migrations import alembic_config
from shared.migrations.upgrade import upgrade
config = alembic_config("planted", sys.argv[1], 60)
config.set_main_option("version_locations", sys.argv[2])
upgrade(config)
"""


@pytest.fixture
def url(parts: dict[str, str]) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"planted_{uuid4().hex[:8]}"
    address = f"{parts['DATABASE_URL'].rpartition('/')[0]}/{name}"
    with psycopg.connect(parts["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield address
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def plan(url: str, tmp_path: Path) -> Callable[..., Config]:
    """Write the second migration, and return the configuration of both."""
    (tmp_path / "0001_first.py").write_text(FIRST)

    def write(statement: str, patience: float = 60) -> Config:
        (tmp_path / "0002_second.py").write_text(SECOND.format(statement=statement))
        config = alembic_config(SERVICE, url, patience)
        config.set_main_option("version_locations", str(tmp_path))
        return config

    return write


def start_process(url: str, folder: Path) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", PROCESS, url, str(folder)]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def fetch(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def wait_for(url: str, query: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not fetch(url, query):
        assert time.monotonic() < deadline, query
        time.sleep(0.1)


APPLIED = "SELECT revision FROM planted.applied ORDER BY revision"
VERSION = "SELECT version_num FROM planted.alembic_version"
SLEEPING = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
    "AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
)


def test_a_migration_waits_briefly_for_a_table_and_comes_back(
    url: str, plan: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrades, "LOCK_SECONDS", 0.3)
    monkeypatch.setattr(upgrades, "_FIRST_PAUSE", 0.5)
    config = plan(ADD_COLUMN)
    command.upgrade(config, "planted_0001")
    with psycopg.connect(url) as reader:
        reader.execute("SELECT * FROM planted.feed")  # its lock lasts until the transaction ends
        migration = threading.Thread(target=upgrade, args=(config,))
        migration.start()
        waiting = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND query LIKE '%ADD COLUMN%' AND datname = current_database()"
        )
        wait_for(url, waiting)
        # Others queue up behind the migration, and are served when it gives up.
        with psycopg.connect(url, options="-c statement_timeout=20000") as other:
            other.execute("SELECT * FROM planted.feed")
        assert migration.is_alive()
        assert fetch(url, VERSION) == [("planted_0001",)]
    migration.join(60)
    assert fetch(url, VERSION) == [("planted_0002",)]
    assert fetch(url, APPLIED) == [("0001",), ("0002",)]


def test_a_migration_that_gets_no_lock_says_so_and_leaves_what_was_applied(
    url: str, plan: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrades, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(upgrades, "_FIRST_PAUSE", 0.2)
    command.upgrade(plan(ADD_COLUMN), "planted_0001")
    with psycopg.connect(url) as writer:
        writer.execute("INSERT INTO planted.feed (id) VALUES (1)")
        with pytest.raises(Unavailable, match="planted: a migration does not get its lock"):
            upgrade(plan(ADD_COLUMN, patience=1))
    assert fetch(url, VERSION) == [("planted_0001",)]
    assert fetch(url, APPLIED) == [("0001",)]
    upgrade(plan(ADD_COLUMN))
    assert fetch(url, VERSION) == [("planted_0002",)]


def test_after_a_kill_the_next_start_goes_on(
    url: str, plan: Callable[..., Config], tmp_path: Path
) -> None:
    plan(SLEEP)
    process = start_process(url, tmp_path)
    try:
        wait_for(url, SLEEPING)
    finally:
        process.kill()
        process.wait(10)
    assert fetch(url, APPLIED) == [("0001",)]
    upgrade(plan(ADD_COLUMN))
    assert fetch(url, APPLIED) == [("0001",), ("0002",)]
    assert fetch(url, SLEEPING) == []


def test_of_many_that_start_at_once_each_migration_is_applied_once(
    url: str, plan: Callable[..., Config], tmp_path: Path
) -> None:
    plan(f"import time; time.sleep(1); {ADD_COLUMN}")
    processes = [start_process(url, tmp_path) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0, 0, 0, 0]
    assert fetch(url, APPLIED) == [("0001",), ("0002",)]


def test_a_second_start_waits_with_a_limit(url: str, plan: Callable[..., Config]) -> None:
    config = plan(ADD_COLUMN, patience=0.5)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('sentineliq.migrations.planted'))")
        with pytest.raises(Unavailable, match="Another process has been migrating planted"):
            upgrade(config)
    upgrade(config)
    assert fetch(url, APPLIED) == [("0001",), ("0002",)]


def test_an_index_that_was_cut_short_is_built_again(url: str, plan: Callable[..., Config]) -> None:
    command.upgrade(plan(INDEX), "planted_0001")
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("INSERT INTO planted.feed (id, note) VALUES (1, 'same'), (2, 'same')")
        config = plan(INDEX)
        with pytest.raises(Exception, match="could not create unique index"):
            upgrade(config)
        invalid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'planted.feed_note'::regclass"
        assert fetch(url, invalid) == [(False,)]
        admin.execute("DELETE FROM planted.feed WHERE id = 2")
        upgrade(config)
        assert fetch(url, invalid) == [(True,)]
        # And once more after a kill between the build and the note of the version.
        admin.execute("UPDATE planted.alembic_version SET version_num = 'planted_0001'")
        upgrade(config)
        assert fetch(url, VERSION) == [("planted_0002",)]


def test_an_index_is_built_while_the_table_is_written(
    url: str, plan: Callable[..., Config]
) -> None:
    command.upgrade(plan(INDEX), "planted_0001")
    with psycopg.connect(url) as early:
        early.execute("INSERT INTO planted.feed (id, note) VALUES (1, 'early')")
        migration = threading.Thread(target=upgrade, args=(plan(INDEX),))
        migration.start()
        wait_for(
            url,
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND query LIKE 'CREATE%CONCURRENTLY%' AND datname = current_database()",
        )
        # It waits for the early transaction, and meanwhile nobody waits for it.
        with psycopg.connect(url, options="-c lock_timeout=1000") as other:
            other.execute("INSERT INTO planted.feed (id, note) VALUES (2, 'late')")
        early.commit()
    migration.join(60)
    assert fetch(url, VERSION) == [("planted_0002",)]
