"""No connection is forgotten: what fails while it is prepared, or comes back late, is closed."""

import gc
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.pq import ConnStatus

from services.observables.trends import repository
from services.observables.trends.leader_lock import LeaderLock
from shared import database as database_module
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.postgres import connection as connection_module
from shared.settings import Settings


def make_database(environment: Settings) -> Database:
    return Database(environment.database_url.get_secret_value(), "observables")


def open_connections() -> list[psycopg.Connection[Any]]:
    """Connections to PostgreSQL that nobody has closed, and those that nobody refers to."""
    gc.collect()
    return [
        connection
        for connection in gc.get_objects()
        if isinstance(connection, connection_module.WatchedConnection)
        and connection.pgconn.status != ConnStatus.BAD
    ]


def test_a_connection_that_is_in_use_while_the_pools_close_is_closed_when_it_comes_back(
    environment: Settings,
) -> None:
    before = len(open_connections())
    own = make_database(environment)
    with own.transaction(PLATFORM) as session, own.read_transaction(PLATFORM) as reader:
        own.close()
        assert session.scalar(sa.text("SELECT 1")) == 1
        assert reader.execute("SELECT 1").fetchone() == (1,)
    assert len(open_connections()) == before


def test_a_database_that_nobody_refers_to_takes_its_connections_with_it(
    environment: Settings,
) -> None:
    before = len(open_connections())
    own = make_database(environment)
    with own.transaction(PLATFORM), own.read_transaction(PLATFORM):
        pass
    assert len(open_connections()) == before + 2
    del own
    assert len(open_connections()) == before


def fail(*_: object) -> None:
    raise psycopg.OperationalError("the server went away")


def read(own: Database) -> None:
    with own.read_transaction(PLATFORM):
        pass


def lock(own: Database) -> None:
    LeaderLock(own).acquire()


@pytest.mark.parametrize(
    ("owner", "step", "use"),
    [
        (connection_module, "note_server", Database.connect),
        (database_module, "register_dumper", read),
        (repository, "try_leader_lock", lock),
    ],
)
def test_a_connection_that_fails_while_it_is_prepared_is_closed(
    environment: Settings,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    step: str,
    use: Callable[[Database], object],
) -> None:
    own = make_database(environment)
    before = len(open_connections())
    monkeypatch.setattr(owner, step, fail)
    with pytest.raises((psycopg.OperationalError, Unavailable)):
        use(own)
    assert len(open_connections()) == before
    own.close()
