"""A database URL with several hosts: two real servers, one of them away or read-only."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa

from sentineliq.local.ports import free_ports
from sentineliq.local.postgres import Postgres
from shared.database import PLATFORM, Database
from shared.migrations import migrate, pending_revisions
from shared.settings import Settings


@pytest.fixture(scope="module")
def second(environment: Settings) -> Iterator[int]:
    """The port of a read-only server with the same login; it has no tables."""
    address = urlsplit(environment.database_url.get_secret_value())
    # Not below pytest's folder: PostgreSQL may run as another user.
    folder = Path(tempfile.mkdtemp(prefix="sentineliq-second-"))
    folder.chmod(0o755)
    server = Postgres(folder / "postgres", free_ports(1)[0], str(address.password))
    server.prepare()
    process = subprocess.Popen(
        [*server.command(), "-c", "default_transaction_read_only=on"], user=server.user
    )
    deadline = time.monotonic() + 30
    while not server.is_ready():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f'CREATE DATABASE "{address.path[1:]}"')
    yield server.port
    process.send_signal(server.stop_signal)
    process.wait(30)
    shutil.rmtree(folder)


def url_of(settings: Settings, *ports: int) -> str:
    address = urlsplit(settings.database_url.get_secret_value())
    user = address.netloc.rpartition("@")[0]
    hosts = ",".join(f"127.0.0.1:{port}" for port in (*ports, address.port))
    return f"postgresql://{user}@{hosts}{address.path}?target_session_attrs=read-write"


def check(url: str) -> None:
    own = Database(url, "observables")
    with own.transaction(PLATFORM) as session:
        assert session.scalar(sa.text("SELECT count(*) FROM observables.source")) is not None
    with own.read_transaction(PLATFORM) as connection:
        assert connection.execute("SELECT count(*) FROM source").fetchone() is not None
    own.check()
    with own.connect() as connection:
        connection.execute("SELECT 1")
    own.close()


def test_the_server_that_takes_writes_is_used(environment: Settings, second: int) -> None:
    check(url_of(environment, second))


def test_a_server_that_is_away_is_passed_over(environment: Settings) -> None:
    check(url_of(environment, free_ports(1)[0]))


def test_migrations_find_the_server_too(environment: Settings, second: int) -> None:
    url = url_of(environment, free_ports(1)[0], second)
    migrate("observables", url)
    assert pending_revisions("observables", url) == []
