"""The migration to ids with types: all tables move to them, under any owner of the tables."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4, uuid5

import msgspec
import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from psycopg import sql
from starlette.testclient import TestClient

from services.observables.store.handlers import handle_observed
from services.observables.store.repository import repeats
from shared.database import Database
from shared.events.feeds import Indicator
from shared.migrations import alembic_config, migrate, pending_revisions
from shared.runtime.process import load_service_app
from shared.settings import Settings
from shared.stix import bucket
from shared.stix.ids import SCO_NAMESPACE, observable_id, stix_id
from tests.observables.conftest import FEED, START, after, changes, chunk, handle
from tests.shared.stix.strategies import WALLETS

BEFORE = {
    "mutex": lambda value: {"name": value},
    "file-name": lambda value: {"name": value},
    "x509-sha1": lambda value: {"hashes": {"SHA-1": value}},
    "x509-sha256": lambda value: {"hashes": {"SHA-256": value}},
}
"""Properties that ids were made of; of all other types here it is the value."""
MUTEX = ("mutex", "update.exe")
NAME = ("file-name", "update.exe")
AGENT = ("user-agent", "evil.com")
DOMAIN = ("domain-name", "evil.com")
CERTIFICATE = ("x509-sha256", "a" * 64)
SHORT = ("x509-sha1", "b" * 40)
JA3 = ("ja3", "e7d705a3286e19ea42f587b344ee6865")
JA4 = ("ja4", "t13d1516h2_8daaf6152771_b186095e22b6")
WALLET = ("cryptocurrency-wallet", WALLETS[0])
PATH = ("file-path", r"C:\temp\ü.exe")
TWICE = ("user-agent", "curl/8")
ROWS = [
    *(("acme", observable) for observable in (MUTEX, DOMAIN, CERTIFICATE, SHORT, JA3, PATH, TWICE)),
    *(("public", observable) for observable in (AGENT, JA4, WALLET, JA3)),
    ("globex", NAME),
]
RUN = UUID(int=7)
SOURCE = FEED.id


def old(observable: tuple[str, str]) -> UUID:
    properties = BEFORE.get(observable[0], lambda value: {"value": value})(observable[1])
    return uuid5(SCO_NAMESPACE, msgspec.json.encode(properties).decode())


def new(observable: tuple[str, str]) -> UUID:
    return UUID(observable_id(*observable))


@contextmanager
def as_owner(url: str, name: str, role: str | None) -> Iterator[str]:
    """The URL of an empty database; an owner that is no superuser is under row-level security."""
    with psycopg.connect(url, autocommit=True) as admin:
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        address = urlsplit(url)._replace(path=f"/{name}")
        if role is not None:
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(role)))
            admin.execute(
                sql.SQL("GRANT sentineliq_observables TO {} WITH ADMIN OPTION").format(
                    sql.Identifier(role)
                )
            )
            statement = sql.SQL("{} OWNER {}").format(statement, sql.Identifier(role))
            address = address._replace(netloc=f"{role}:x@{address.netloc.rpartition('@')[2]}")
        admin.execute(statement)
        try:
            yield address.geturl()
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            if role is not None:
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture(params=["superuser", "owner"])
def url(request: pytest.FixtureRequest, parts: dict[str, str], template: str) -> Iterator[str]:
    """The URL of a database that stands before the migration; the template made the roles."""
    unique = uuid4().hex[:8]
    role = f"owner_{unique}" if request.param == "owner" else None
    with as_owner(parts["DATABASE_URL"], f"before_{unique}", role) as url:
        command.upgrade(alembic_config("observables", url), "observables_0009")
        yield url


@contextmanager
def opened(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path TO observables")
        connection.execute("SET sentineliq.tenant TO '*'")
        yield connection


def put(connection: psycopg.Connection[Any], table: str, **values: Any) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    places = sql.SQL(", ").join([sql.Placeholder()] * len(values))
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table), names, places
    )
    connection.execute(statement, list(values.values()))


def put_observable(
    connection: psycopg.Connection[Any],
    tenant: str,
    observable: tuple[str, str],
    identity: UUID,
    score: int,
) -> None:
    times = {"first_seen": START, "changed_at": START}
    put(
        connection,
        "observable",
        tenant=tenant,
        id=identity,
        type=observable[0],
        value=observable[1],
        score=score,
        key="",
        **times,
    )
    columns = {"confidence": score, "tags": ["c2"], "attack": []}
    columns |= dict.fromkeys(("first_seen", "last_seen", "observed_at", "recorded_at"), START)
    assertion = {"tenant": tenant, "observable_id": identity, "source_id": SOURCE, **columns}
    put(connection, "assertion", **assertion)
    put(connection, "assertion_past", **assertion, recorded_until=START)
    put(
        connection,
        "context_past",
        tenant=tenant,
        observable_id=identity,
        recorded_until=START,
        context="{}",
    )
    seen = {
        "kind": "seen",
        "count": 1,
        "place": "",
        "note": "",
        "first_seen": START,
        "last_seen": START,
        "actor": "x",
    }
    put(connection, "sighting", tenant=tenant, id=uuid4(), observable_id=identity, **seen)


def put_relation(connection: psycopg.Connection[Any], tenant: str, start: UUID, end: UUID) -> None:
    times = {"first_seen": START, "last_seen": START}
    put(
        connection,
        "relation",
        tenant=tenant,
        from_id=start,
        kind="uses",
        to_id=end,
        source="x",
        **times,
    )


def put_answer(connection: psycopg.Connection[Any], tenant: str, about: UUID) -> None:
    times = dict.fromkeys(("obtained_at", "expires_at", "counts_until", "recorded_at"), START)
    answer = {
        "tenant": tenant,
        "observable_id": about,
        "enricher": "e",
        "found": True,
        "facts": "{}",
        "weights": "[]",
    }
    put(connection, "enrichment", **answer, **times, related="[]")
    put(connection, "enrichment_past", **answer, **times, recorded_until=START)


def put_job(
    connection: psycopg.Connection[Any], observable: tuple[str, str], about: UUID, state: str
) -> None:
    columns = {
        "enricher": "e",
        "lane": UUID(int=1),
        "priority": 0,
        "requested_by": "x",
        "state": state,
    }
    put(
        connection,
        "enrichment_job",
        tenant="acme",
        id=uuid4(),
        observable_id=about,
        type=observable[0],
        value=observable[1],
        **columns,
    )


def fill(connection: psycopg.Connection[Any]) -> None:
    for tenant in ("acme", "public", "globex"):
        feed = {
            "name": FEED.name,
            "reliability": FEED.reliability,
            "tlp": FEED.tlp,
            "kind": FEED.kind,
        }
        put(connection, "source", tenant=tenant, id=SOURCE, **feed)
    for tenant, observable in ROWS:
        put_observable(connection, tenant, observable, old(observable), 72)
    for start, end in ((MUTEX, DOMAIN), (DOMAIN, MUTEX), (CERTIFICATE, JA3), (DOMAIN, DOMAIN)):
        put_relation(connection, "acme", old(start), old(end))
    put_relation(
        connection, "globex", old(NAME), old(WALLET)
    )  # only the public row knows what the end is
    put_answer(connection, "acme", old(JA3))
    put_answer(connection, "public", old(CERTIFICATE))  # it is shared; the row is that of who asked
    put_answer(connection, "public", old(NAME))  # of one and of the other: it stays
    put_job(connection, JA3, old(JA3), "waiting")
    put_job(connection, NAME, old(NAME), "done")
    packed = b"".join(old(observable).bytes for observable in (MUTEX, DOMAIN, JA3))
    done = {
        "received": 3,
        "new": 0,
        "changed": 0,
        "rejected": 0,
        "source_id": SOURCE,
        "observed_at": START,
    }
    put(
        connection,
        "run_chunk",
        tenant="acme",
        run_id=RUN,
        bucket=31,
        chunk=0,
        **done,
        repeated=packed,
    )
    put(
        connection,
        "run_chunk",
        tenant="globex",
        run_id=RUN,
        bucket=31,
        chunk=0,
        **done,
        repeated=old(NAME).bytes,
    )
    put(
        connection,
        "dataset",
        tenant="public",
        name="d",
        checked_at=START,
        progress=f"acme {old(JA3)}",
    )


def pairs(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(query).fetchall())


def expected(*rows: tuple[str, tuple[str, str]]) -> list[tuple[str, UUID]]:
    return sorted((tenant, new(observable)) for tenant, observable in rows)


def test_every_reference_moves_with_its_row(url: str) -> None:
    with opened(url) as connection:
        fill(connection)
    migrate("observables", url)
    assert pending_revisions("observables", url) == []
    with opened(url) as connection:
        rows = connection.execute("SELECT tenant, id, type, value FROM observable").fetchall()
        assert sorted((tenant, (type_, value)) for tenant, _, type_, value in rows) == sorted(ROWS)
        assert all(
            str(identity) == observable_id(type_, value) for _, identity, type_, value in rows
        )
        for table in ("assertion", "assertion_past", "context_past", "sighting"):
            assert pairs(connection, f"SELECT tenant, observable_id FROM {table}") == expected(
                *ROWS
            ), table
        answers = expected(("acme", JA3), ("public", CERTIFICATE), ("public", NAME))
        for table in ("enrichment", "enrichment_past"):
            assert pairs(connection, f"SELECT tenant, observable_id FROM {table}") == answers, table
        assert pairs(connection, "SELECT tenant, from_id, to_id FROM relation") == sorted(
            [
                *(
                    ("acme", new(start), new(end))
                    for start, end in (
                        (MUTEX, DOMAIN),
                        (DOMAIN, MUTEX),
                        (CERTIFICATE, JA3),
                        (DOMAIN, DOMAIN),
                    )
                ),
                ("globex", new(NAME), new(WALLET)),
            ]
        )
        jobs = "SELECT state, observable_id FROM enrichment_job"
        assert pairs(connection, jobs) == [("done", new(NAME)), ("waiting", new(JA3))]
        assert connection.execute("SELECT progress FROM dataset").fetchall() == [(None,)]


def test_notes_of_what_was_repeated_are_found_by_the_new_bucket(url: str) -> None:
    with opened(url) as connection:
        fill(connection)
    migrate("observables", url)
    with opened(url) as connection:
        rows = connection.execute(
            "SELECT tenant, bucket, chunk, repeated FROM run_chunk WHERE chunk = 0"
        ).fetchall()
        assert sorted(rows) == [
            ("acme", 31, 0, old(DOMAIN).bytes),
            ("globex", 31, 0, old(NAME).bytes),
        ]
    own = Database(url, "observables")
    try:
        for observable in (MUTEX, JA3):
            with own.transaction("acme") as session:
                notes = repeats.read_repeats(
                    session, "acme", [bucket(observable_id(*observable))], START, uuid4()
                )
            assert [(source, at) for source, at, ids in notes if new(observable).bytes in ids] == [
                (str(SOURCE), START)
            ]
    finally:
        own.close()


def test_what_is_said_next_is_about_the_same_row_and_a_lookup_finds_it(
    url: str, environment: Settings, make_token: Callable[..., str]
) -> None:
    with opened(url) as connection:
        fill(connection)
    migrate("observables", url)
    own = Database(url, "observables")
    try:
        named = [Indicator(*observable) for observable in (MUTEX, NAME, CERTIFICATE, JA3)]
        handle(own, chunk(*named, at=after(1)))
        # The mutex is known; the file of that name is another thing, and new.
        assert [change[:2] for change in changes(own) if change[1] == "new"] == [(NAME[1], "new")]
        app = load_service_app("observables", environment, own)
        with TestClient(app, headers={"Authorization": f"Bearer {make_token('acme')}"}) as client:
            for observable in (WALLET, JA4, PATH, DOMAIN):
                answer = client.get("/v1/lookup", params={"value": observable[1]}).json()
                assert answer["observable"]["id"] == stix_id(*observable)
                # Who speaks of a user agent says nothing about the domain that is written like it.
                assert len(answer["observable"]["assertions"]) == 1
    finally:
        own.close()


def test_a_row_that_has_the_new_id_already_stays(url: str) -> None:
    with opened(url) as connection:
        fill(connection)
        put_observable(connection, "acme", TWICE, new(TWICE), 30)
        put_relation(connection, "acme", old(DOMAIN), old(TWICE))
        put_relation(connection, "acme", old(DOMAIN), new(TWICE))
        for about in (old(TWICE), new(TWICE)):
            put_job(connection, TWICE, about, "waiting")
            put_answer(connection, "acme", about)
    migrate("observables", url)
    with opened(url) as connection:
        is_row = "tenant = 'acme' AND {} = %s"
        for table, column in (("observable", "id"), ("assertion", "observable_id")):
            what = "score" if table == "observable" else "confidence"
            query = f"SELECT {what} FROM {table} WHERE {is_row.format(column)}"
            assert connection.execute(query, [new(TWICE)]).fetchall() == [(30,)]
            assert connection.execute(query, [old(TWICE)]).fetchall() == []
        for table, column in (
            ("relation", "to_id"),
            ("enrichment", "observable_id"),
            ("assertion_past", "observable_id"),
        ):
            query = f"SELECT count(*) FROM {table} WHERE {is_row.format(column)}"
            assert connection.execute(query, [new(TWICE)]).fetchone() == (1,), table
        states = (
            f"SELECT state FROM enrichment_job WHERE {is_row.format('observable_id')} ORDER BY 1"
        )
        assert connection.execute(states, [new(TWICE)]).fetchall() == [("cancelled",), ("waiting",)]


def test_more_rows_than_are_taken_at_once(url: str) -> None:
    many = [("ja3", f"{number:032x}") for number in range(12_000)]
    with opened(url) as connection, connection.cursor() as cursor:
        put_one = (
            "INSERT INTO observable (tenant, id, type, value, score, first_seen, changed_at, key) "
        )
        put_one += "VALUES ('acme', %s, %s, %s, 0, now(), now(), '')"
        cursor.executemany(put_one, [(old(observable), *observable) for observable in many])
    migrate("observables", url)
    with opened(url) as connection:
        ids = {row[0] for row in connection.execute("SELECT id FROM observable")}
    assert ids == {new(observable) for observable in many}


def test_an_empty_database_is_migrated(url: str) -> None:
    migrate("observables", url)
    assert pending_revisions("observables", url) == []


OLD_BUCKET = bucket(str(uuid5(SCO_NAMESPACE, '{"name":"update.exe"}')))
NEW_BUCKET = bucket(observable_id(*MUTEX))


def test_a_chunk_of_old_ids_waits_for_the_one_of_new_ids(own: Database) -> None:
    assert OLD_BUCKET != NEW_BUCKET
    listed = Indicator(*MUTEX)
    handle(own, chunk(listed, at=after(0), into=NEW_BUCKET))
    run = uuid4()
    seen = chunk(listed, at=after(60), run=run, into=NEW_BUCKET)
    gone = chunk(gone=[listed], at=after(60), run=run, into=OLD_BUCKET)
    with own.transaction("acme") as session:
        handle_observed(session, [seen])
        beside = threading.Thread(target=handle, args=(own, gone))
        beside.start()
        beside.join(1.0)
        assert beside.is_alive()
    beside.join()
    with own.transaction("acme") as session:
        assert session.scalar(sa.text("SELECT retracted_at FROM assertion")) is None
