"""The migration from lanes to provider queues: older rows are found under new names."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from psycopg import sql

from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.settings.access import queue_id
from shared.database import PLATFORM, PUBLIC, Database
from shared.migrations import alembic_config, migrate
from shared.stix.ids import observable_id


@pytest.fixture
def url(parts: dict[str, str], template: str) -> Iterator[str]:  # it made the roles
    """The URL of a database that stands before the migration."""
    name = f"lanes_{uuid4().hex[:8]}"
    address = urlsplit(parts["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    with psycopg.connect(parts["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            command.upgrade(alembic_config("observables", address), "observables_0011")
            yield address
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_lane_and_its_jobs_are_a_queue_with_its_jobs(url: str) -> None:
    queue = queue_id("probe", PUBLIC, None)
    holder = uuid4()
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path TO observables")
        connection.execute("SET sentineliq.tenant TO '*'")
        connection.execute(
            "INSERT INTO enrichment_lane (tenant, id, enricher, meter, clicks_from, others_from) "
            "VALUES ('public', %s, 'probe', '{\"used\": 7, \"day\": 1}', now(), now())",
            [queue],
        )
        connection.execute(
            "INSERT INTO enrichment_job (tenant, id, observable_id, type, value, enricher, lane, "
            "priority, requested_by, taken) VALUES "
            "('acme', gen_random_uuid(), %s, 'ipv4-addr', '45.33.32.156', 'probe', %s, 2, 'x', 4)",
            [observable_id("ipv4-addr", "45.33.32.156"), queue],
        )
    migrate("observables", url)
    own = Database(url, "observables")
    with own.transaction(PLATFORM) as session:
        (leased,) = provider_queues.lease(session, holder, ["probe"], 1)
        (job,) = jobs.claim(session, holder, leased.id, 1, 1)
    own.close()
    assert (leased.id, leased.tenant, leased.limiter.used) == (queue, PUBLIC, 7)
    assert (job.tenant, job.value, job.queue_id) == ("acme", "45.33.32.156", queue)


def test_tenants_see_their_own_rows_alone_as_before(url: str) -> None:
    migrate("observables", url)
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT tablename, count(*) FROM pg_policies WHERE schemaname = 'observables' "
            "AND tablename IN ('enrichment_queue', 'enrichment_job') GROUP BY tablename"
        ).fetchall()
    counts = dict(rows)
    assert counts["enrichment_queue"] == counts["enrichment_job"] > 0
