"""Rows whose time is over go in batches that wait for nobody; all others stay."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from services.observables.retention.policies import POLICIES
from shared import retention
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput
from shared.retention import RetentionPolicy, prune, retention_days
from shared.settings import Settings

ROWS = 4_000
INSERT = """
INSERT INTO observables.trend
    (tenant, id, kind, subject, feeds, count, window_start, window_seconds, announced_at)
SELECT CASE WHEN mod(i, 2) = 0 THEN 'public' ELSE 'acme' END, gen_random_uuid(), 'value', 'subject',
    '{}', 1, now(), 60, now() - make_interval(days => CASE WHEN mod(i, 4) = 0 THEN 89 ELSE 91 END)
FROM generate_series(1, %s) i
"""
ANSWER = """
INSERT INTO observables.enrichment (tenant, observable_id, enricher, found, facts, weights, related,
    obtained_at, expires_at, counts_until, raw)
SELECT 'acme', gen_random_uuid(), 'rdap', true, '{"a": 1}', '[]', '[]',
    now() - make_interval(days => days), now(), now(), 'raw' FROM unnest(ARRAY[29, 31]) days
"""


@pytest.fixture
def admin(environment: Settings) -> Iterator[psycopg.Connection]:
    """The owner of the tables, which begin empty."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("TRUNCATE observables.trend, observables.enrichment")
        yield connection


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    """The database of the observables service."""
    database = Database(os.environ["DATABASE_URL"], "observables")
    yield database
    database.close()


def count(admin: psycopg.Connection, condition: str = "true") -> int:
    query = f"SELECT count(*) FROM observables.trend WHERE {condition}"
    row = admin.execute(query).fetchone()  # type: ignore[call-overload]  # built here
    assert row is not None
    return int(row[0])


def prune_trends(own: Database, settings: Settings, seconds: float = 60) -> retention.PruneReport:
    return prune(own, settings, POLICIES, names=["trend"], seconds=seconds)


def test_the_rows_of_all_tenants_go_by_their_age(
    own: Database, environment: Settings, admin: psycopg.Connection
) -> None:
    admin.execute(INSERT, (ROWS,))
    report = prune_trends(own, environment)
    assert report.as_dict() == {"status": "ok", "pruned": {"trend": ROWS * 3 // 4}}
    assert count(admin) == ROWS // 4
    assert count(admin, "announced_at < now() - interval '90 days'") == 0


def test_rows_go_in_small_transactions_and_the_next_run_goes_on(
    own: Database,
    environment: Settings,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "_BLOCKS", 8)
    admin.execute(INSERT, (ROWS,))
    begun = prune_trends(own, environment, seconds=0)
    assert begun.as_dict()["status"] == "partial"
    # Eight blocks of 8 KiB hold a few hundred of these rows, and each is committed by now.
    assert 0 < begun.pruned["trend"] < 1_000
    assert count(admin) == ROWS - begun.pruned["trend"]
    assert prune_trends(own, environment).is_complete
    assert count(admin) == ROWS // 4


def test_a_row_that_another_transaction_has_locked_stays_for_the_next_run(
    own: Database, environment: Settings, admin: psycopg.Connection
) -> None:
    admin.execute(INSERT, (8,))
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        other.execute(
            "SELECT FROM observables.trend WHERE announced_at < now() - interval '90 days' "
            "LIMIT 1 FOR UPDATE"
        )
        assert prune_trends(own, environment).pruned == {"trend": 5}
        other.rollback()
    assert prune_trends(own, environment).pruned == {"trend": 1}


def test_a_batch_reads_its_blocks_only(
    own: Database, environment: Settings, admin: psycopg.Connection
) -> None:
    admin.execute(INSERT, (ROWS,))
    policy = next(policy for policy in POLICIES if policy.name == "trend")
    statement = retention._batch_statement(policy).text
    with own.transaction(PLATFORM) as session:
        parameters = {"first": "(0,0)", "behind": "(8,0)", "cutoff": "2026-01-01"}
        plan = session.execute(sa.text(f"EXPLAIN {statement}"), parameters).scalars().all()
    assert "Tid Range Scan" in "\n".join(plan)
    assert "Seq Scan" not in "\n".join(plan)


def test_a_column_is_emptied_and_its_row_stays(
    own: Database, environment: Settings, admin: psycopg.Connection
) -> None:
    admin.execute(ANSWER)
    for expected in (1, 0):
        report = prune(own, environment, POLICIES, names=["enrichment.raw"])
        assert report.pruned == {"enrichment.raw": expected}
    rows = admin.execute("SELECT raw IS NULL, facts FROM observables.enrichment").fetchall()
    assert sorted(rows) == [(False, {"a": 1}), (True, {"a": 1})]


def test_operators_set_the_days(
    own: Database, environment: Settings, admin: psycopg.Connection
) -> None:
    admin.execute(INSERT, (ROWS,))
    settings = environment.model_copy(update={"retention_days": {"observables.trend": 92}})
    assert prune_trends(own, settings).pruned == {"trend": 0}
    settings = environment.model_copy(update={"retention_days": {"observables.trend": 30}})
    assert prune_trends(own, settings).pruned == {"trend": ROWS}


POLICY = RetentionPolicy(table="run", reason="For a test.", days=30, minimum=8, age="ended_at")


@pytest.mark.parametrize(
    ("configured", "message"),
    [({"feeds.runs": 10}, "feeds.runs is not"), ({"feeds.run": 7}, "needs at least 8")],
)
def test_days_that_fit_no_policy_are_refused(configured: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        retention_days("feeds", [POLICY], configured)


def test_days_of_other_services_do_not_matter() -> None:
    assert retention_days("feeds", [POLICY], {"mitre.load": 10, "feeds.run": 9}) == {"run": 9}


def test_the_setting_is_a_list_of_pairs(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINELIQ_RETENTION_DAYS", "feeds.run=9, observables.history=30")
    settings = Settings()  # type: ignore[call-arg]  # the values come from the environment
    assert settings.retention_days == {"feeds.run": 9, "observables.history": 30}
    for wrong in ("run=9", "feeds.run", "feeds.run=soon"):
        monkeypatch.setenv("SENTINELIQ_RETENTION_DAYS", wrong)
        with pytest.raises(ValidationError, match="write <service>"):
            Settings()  # type: ignore[call-arg]


def test_days_that_fit_no_table_end_a_migration_before_it_begins(
    environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINELIQ_RETENTION_DAYS", "feeds.runs=9")
    command = [sys.executable, "-m", "services.feeds", "migrate"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "feeds.runs is not one of" in result.stderr
