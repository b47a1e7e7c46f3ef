"""The real parts, once per run: PostgreSQL, Valkey and Apache Kafka on free ports.

Every test module has a database of its own, cloned from a migrated template, and topics of its own.
With DATABASE_URL, CELERY_BROKER_URL and KAFKA_BOOTSTRAP_SERVERS in the environment the run uses
those parts instead of starting any.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
import stamina
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from pydantic import SecretStr
from starlette.testclient import TestClient
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from shared.auth import RoleName, issue_token
from shared.database import Database, database
from shared.kafka.topics import ensure_topics
from shared.migrations import migrate
from shared.runtime.process import load_service_app
from shared.settings import SERVICES, Settings, load_settings

SECRET = "a-secret-key-for-tests-of-more-than-32-characters"
SAMPLE_DATA = Path(
    os.environ.get("SENTINELIQ_SAMPLE_DATA", Path(__file__).parents[2] / "shared" / "data")
)

hypothesis_settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("default")


_SHARED_FIXTURES = ("tests/cli", "tests/deploy", "tests/faults", "tests/local")
"""Folders whose tests share something that takes long to start: one process runs all of them."""
_LONGEST_FIRST = (
    "tests/faults",
    "tests/cli",
    "tests/observables/enrichment",
    "tests/observables/trends",
)
"""Where the longest tests are; started last, one process would run them while the others rest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest modules first."""
    items.sort(key=_rank)


class _ModuleScheduling(LoadScopeScheduling):
    """Gives a process whole modules, and all modules of a folder with a shared fixture."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        folders = [folder for folder in _SHARED_FIXTURES if module.startswith(f"{folder}/")]
        return (folders or [module])[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Schedule by module when `make test` runs several processes."""
    return _ModuleScheduling(config, log)


def _rank(item: pytest.Item) -> int:
    places = enumerate(_LONGEST_FIRST)
    ranks = (rank for rank, folder in places if item.nodeid.startswith(f"{folder}/"))
    return next(ranks, len(_LONGEST_FIRST))


@pytest.fixture(scope="session")
def parts() -> Iterator[dict[str, str]]:
    """Addresses of the running parts, as environment variables."""
    names = ("DATABASE_URL", "CELERY_BROKER_URL", "KAFKA_BOOTSTRAP_SERVERS")
    if all(name in os.environ for name in names):
        yield {name: os.environ[name] for name in names}
        return
    from sentineliq.local.stack import Infrastructure

    with tempfile.TemporaryDirectory(prefix="sentineliq-tests-") as folder:
        # PostgreSQL runs as another user when the tests run as root: it must reach its folder.
        Path(folder).chmod(0o755)
        with Infrastructure(Path(folder)).running() as infrastructure:
            yield dict(infrastructure.environment)


@pytest.fixture(scope="session")
def template(parts: dict[str, str]) -> Iterator[str]:
    """Name of a database with every service's migrations applied."""
    name = f"template_{uuid4().hex[:8]}"
    with psycopg.connect(parts["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        for service in SERVICES:
            migrate(service, _named(parts["DATABASE_URL"], name))
        yield name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _copy_database(admin: psycopg.Connection, template: str, name: str) -> None:
    """Copy the template, which autovacuum may be at work on for some seconds."""
    names = (sql.Identifier(name), sql.Identifier(template))
    for attempt in stamina.retry_context(
        on=psycopg.errors.ObjectInUse, attempts=None, timeout=60, wait_max=1
    ):
        with attempt:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))


@pytest.fixture(scope="module")
def environment(
    parts: dict[str, str], template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """This module's database and topic prefix, as settings and in `os.environ`."""
    unique = uuid4().hex[:8]
    with (
        psycopg.connect(parts["DATABASE_URL"], autocommit=True) as admin,
        pytest.MonkeyPatch.context() as patch,
    ):
        _copy_database(admin, template, f"test_{unique}")
        for name, value in {
            **parts,
            "DATABASE_URL": _named(parts["DATABASE_URL"], f"test_{unique}"),
            "SENTINELIQ_SECRET_KEY": SECRET,
            "SENTINELIQ_DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "SENTINELIQ_KAFKA_TOPIC_PREFIX": f"{unique}.",
            "SENTINELIQ_KAFKA_PARTITIONS": "2",
            # What was published is deleted at once: an empty outbox has published everything.
            "SENTINELIQ_OUTBOX_KEEP_HOURS": "0",
            "SENTINELIQ_OUTBOUND_ALLOW": "127.0.0.0/8",
            "SENTINELIQ_API_RATE": "0",  # tests send as fast as they can
        }.items():
            patch.setenv(name, value)
        load_settings.cache_clear()
        database.cache_clear()
        yield load_settings()
        for service in SERVICES:
            database(service).close()
        load_settings.cache_clear()
        database.cache_clear()
        admin.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(f"test_{unique}"))
        )


@pytest.fixture(scope="module")
def settings(environment: Settings) -> Settings:
    """This module's settings, with its topics made."""
    asyncio.run(ensure_topics(environment))
    return environment


@pytest.fixture
def full_broker(environment: Settings) -> Iterator[redis.Redis]:
    """The broker, which accepts no writes until the test has ended."""
    with redis.Redis.from_url(environment.celery_broker_url.get_secret_value()) as broker:
        before = broker.config_get("maxmemory")["maxmemory"]
        broker.config_set("maxmemory", 1)
        yield broker
        broker.config_set("maxmemory", before)


@pytest.fixture
def make_token() -> Callable[..., str]:
    """Makes tokens: `make_token(tenant="acme", role="analyst")`."""

    def make(
        tenant: str = "acme", role: RoleName = "analyst", actor: str = "kim@acme.example"
    ) -> str:
        return issue_token(SecretStr(SECRET), actor=actor, tenant=tenant, role=role)

    return make


@pytest.fixture
def client_for(
    environment: Settings, make_token: Callable[..., str]
) -> Iterator[Callable[..., TestClient]]:
    """Makes clients of an API: `client_for("feeds", tenant="acme")`; role None sends no token."""
    with ExitStack() as stack:

        def make(service: str, tenant: str = "acme", role: RoleName | None = "admin") -> TestClient:
            app = load_service_app(service, environment, _own_database(stack, environment, service))
            headers = (
                {} if role is None else {"Authorization": f"Bearer {make_token(tenant, role)}"}
            )
            return stack.enter_context(
                TestClient(app, headers=headers, raise_server_exceptions=False)
            )

        yield make


def _own_database(stack: ExitStack, settings: Settings, service: str) -> Database:
    own = Database(settings.database_url.get_secret_value(), service)
    stack.callback(own.close)
    return own


def _named(url: str, database_name: str) -> str:
    return f"{url.rpartition('/')[0]}/{database_name}"
