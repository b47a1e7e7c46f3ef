"""A database URL with several hosts, of which one is away."""

from urllib.parse import urlsplit

import sqlalchemy as sa

from sentineliq.local.ports import free_ports
from shared.database import PLATFORM, Database
from shared.migrations import migrate, pending_revisions
from shared.settings import Settings


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


def test_a_server_that_is_away_is_passed_over(environment: Settings) -> None:
    check(url_of(environment, free_ports(1)[0]))


def test_migrations_find_the_server_too(environment: Settings) -> None:
    url = url_of(environment, free_ports(1)[0])
    migrate("observables", url)
    assert pending_revisions("observables", url) == []
