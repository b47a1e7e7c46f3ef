"""Providers, enrichers that query them, observables to query about, and workers that do it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest
import sqlalchemy as sa

from services.observables.enrichment.execution.worker import EnrichmentWorker, WorkSummary
from services.observables.enrichment.queues.models import BACKGROUND, JOB, JobRequest
from services.observables.enrichment.queues.service import enqueue
from services.observables.enrichment.settings.service import accesses_of
from services.observables.providers import registry
from services.observables.providers.base import RemoteEnricher
from services.observables.reference import context, warning_lists
from services.observables.reference.service import store_dataset
from shared.database import PLATFORM, PUBLIC, Database
from shared.events import FeedRef
from shared.events.feeds import Indicator
from shared.settings import Settings
from shared.stix.ids import observable_uuid
from tests.observables.conftest import FEED, chunk, handle
from tests.observables.enrichment.enrichers import probe
from tests.observables.enrichment.provider import Providers, running_providers


@pytest.fixture
def providers() -> Iterator[Providers]:
    with running_providers() as providers:
        yield providers


class World:
    """An installation's enrichment: its enrichers, and the queries that they get."""

    def __init__(
        self,
        own: Database,
        settings: Settings,
        providers: Providers,
        install: Callable[[Mapping[str, RemoteEnricher]], None],
    ) -> None:
        self.own = own
        self.providers = providers
        self.enrichers: dict[str, RemoteEnricher] = {}
        self._settings = settings
        self._install = install

    @property
    def settings(self) -> Settings:
        urls = {name: self.providers.base(name) for name in self.enrichers}
        return self._settings.model_copy(update={"enricher_urls": urls})

    def enricher(self, name: str = "probe", **attributes: Any) -> RemoteEnricher:
        """Install an enricher."""
        # The address that keys are sealed for.
        attributes.setdefault("base_url", self.providers.base(name))
        enricher = probe(name, **attributes)
        self.enrichers[name] = enricher
        self._install(self.enrichers)
        return enricher

    def know(
        self,
        *values: str,
        tenant: str = "acme",
        tlp: str = "green",
        type_: str = "ipv4-addr",
        tags: tuple[str, ...] = (),
    ) -> None:
        """Let a feed assert values."""
        feed = FeedRef(
            uuid5(FEED.id, f"{tenant}/{tlp}"), f"feed {tlp}", FEED.reliability, tlp, "snapshot"
        )
        indicators = [Indicator(type_, value, tags=tags) for value in values]
        handle(self.own, chunk(*indicators, feed=feed, tenant=tenant), tenant=tenant)

    def ask(
        self,
        *values: str,
        tenant: str = "acme",
        names: Sequence[str] = (),
        priority: int = BACKGROUND,
        type_: str = "ipv4-addr",
        **changes: Any,
    ) -> None:
        """Store jobs as a policy would."""
        with self.own.transaction(tenant) as session:
            accesses = accesses_of(session, tenant)
            requests = []
            for value in values:
                for name in names or self.enrichers:
                    queue = accesses[name].queue_id
                    request = JobRequest(
                        identity(value, type_), type_, value, name, queue, priority, "tests"
                    )
                    requests.append(request._replace(**changes))
            enqueue(session, tenant, requests, accesses)

    def run_worker(self, seconds: float = 20.0) -> WorkSummary:
        """Run a worker in this process."""
        return EnrichmentWorker(self.own, self.settings, self.enrichers, seconds).run()

    def states(self, tenant: str = "acme") -> dict[str, int]:
        """How many jobs are in each state."""
        with self.own.transaction(PLATFORM) as session:
            query = sa.text(
                "SELECT state, count(*) FROM enrichment_job WHERE tenant = :tenant GROUP BY state"
            )
            return dict(session.execute(query, {"tenant": tenant}).all())

    def jobs(self, tenant: str = "acme") -> list[sa.Row[Any]]:
        with self.own.transaction(PLATFORM) as session:
            return list(session.execute(sa.select(JOB).where(JOB.c.tenant == tenant)).all())

    def wait_for(self, check: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
            time.sleep(0.05)


def identity(value: str, type_: str = "ipv4-addr") -> str:
    return str(UUID(bytes=observable_uuid(type_, value)))


@pytest.fixture
def world(
    own: Database, environment: Settings, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """An empty installation whose only enrichers are the test's."""

    def install(enrichers: Mapping[str, RemoteEnricher]) -> None:
        registry.enrichers.cache_clear()
        classes = tuple(type(enricher) for enricher in enrichers.values())
        monkeypatch.setattr(registry, "BUILT_IN", classes)

    monkeypatch.setattr(registry, "BUILT_IN", ())
    registry.enrichers.cache_clear()
    yield World(own, environment, providers, install)
    registry.enrichers.cache_clear()


@pytest.fixture
def listed(own: Database) -> Iterator[Callable[..., None]]:
    """Puts addresses on a list of false positives."""

    def put(*addresses: str) -> None:
        warning_list = {
            "name": "our own servers",
            "version": 1,
            "type": "cidr",
            "list": addresses,
            "category": "false_positive",
        }
        blob = warning_lists.pack([("own/list.json", json.dumps(warning_list).encode())])
        with own.transaction(PUBLIC) as session:
            store_dataset(
                session, "warninglists", blob, origin="test", obtained_at=datetime.now(UTC)
            )
            context.reload_if_stale(session, now=True)

    yield put
    with own.transaction(PUBLIC) as session:
        session.execute(sa.text("DELETE FROM dataset"))
        context.reload_if_stale(session, now=True)
