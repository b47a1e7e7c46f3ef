"""The doctor tells when the disk is full, and says so when it cannot."""

import os
from collections.abc import Callable

import psycopg
import pytest

from sentineliq.cli.doctor.database_checks import DatabaseChecks
from sentineliq.cli.doctor.growth_check import Growth, check_growth
from shared.settings import Settings

GB = 10**9
INSERT = """
INSERT INTO scheduler.growth_sample (tenant, part, sampled_at, bytes, free_bytes)
SELECT '*', %(part)s, now() - make_interval(hours => i), %(size)s::bigint
    - i::bigint * %(hourly)s, %(free)s
FROM generate_series(0, %(hours)s) i
"""


def disk(free: float, daily: float, hours: float = 100, used: float = 100) -> Growth:
    return Growth("disk", int(used * GB), int(free * GB), hours, daily * GB)


@pytest.mark.parametrize(
    ("growth", "status", "seen"),
    [
        (disk(100, 1), "ok", "100.0 GB free; full in 100 days at 1.0 GB a day"),
        (disk(20, 1), "look", "full in 20 days"),
        (disk(20, 4), "problem", "full in 5 days"),
        (disk(100, 0.001), "ok", "full in over ten years"),
        (disk(100, -1), "ok", "100.0 GB free; it does not fill up"),
        (disk(20, 400, hours=5), "ok", "5 h of history are too few to say when it is full"),
        (disk(4, -1), "problem", "4.0 GB free, less than a twentieth"),
        (disk(4, 0, hours=0), "problem", "less than a twentieth"),
    ],
)
def test_the_future_of_the_disk(growth: Growth, status: str, seen: str) -> None:
    check = check_growth([growth])
    assert (check.subject, check.status) == ("disk", status)
    assert seen in check.seen
    assert bool(check.step) == (status != "ok")


def test_the_part_that_grows_most_is_named() -> None:
    database = Growth("database", GB, None, 100, 0.3 * GB)
    logs = Growth("data/logs", GB, None, 100, 0.1 * GB)
    assert check_growth([disk(20, 1), logs, database]).seen.endswith(
        "most of ours in database (0.3 GB)"
    )


def test_without_a_measurement_it_says_so() -> None:
    check = check_growth([])
    assert (check.status, check.seen) == ("look", "not measured within the last days")


@pytest.fixture
def store(environment: Settings) -> Callable[..., None]:
    """Stores samples of a part that grows by `hourly` bytes."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute("TRUNCATE scheduler.growth_sample")

    def insert(part: str, **values: object) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(INSERT, {"part": part, "free": None, **values})

    return insert


def test_a_line_through_the_samples_of_the_last_days(
    environment: Settings, store: Callable[..., None]
) -> None:
    # A day of quick growth, long ago, does not count; nor does one sample beside the line.
    store("disk", size=50 * GB, hourly=GB // 24, hours=150, free=40 * GB)
    store("database", size=10 * GB, hourly=GB // 48, hours=150)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(
            "INSERT INTO scheduler.growth_sample VALUES "
            "('*', 'disk', now() - interval '9 days', 0, 0)"
        )
    with DatabaseChecks(environment) as checks:
        checks.connect()
        check = checks.growth()
    assert check.status == "ok"
    assert "40.0 GB free; full in 40 days at 1.0 GB a day" in check.seen
    assert check.seen.endswith("most of ours in database (0.5 GB)")
