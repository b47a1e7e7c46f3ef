"""Providers, enrichers that ask them, observables to ask about, and shifts that do it."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.observables.enrichment.execution.worker import Done, EnrichmentWorker
from services.observables.enrichment.policies import triggers
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.queues.repository.jobs import BACKGROUND, JobRequest
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
from tests.observables.enrichment.provider import Providers, providing


@pytest.fixture
def providers() -> Iterator[Providers]:
    with providing() as found:
        yield found


class World:
    """An installation's enrichment: its enrichers, and what they are asked."""

    def __init__(
        self, own: Database, settings: Settings, providers: Providers, known: Callable[..., None]
    ) -> None:
        self.own = own
        self.providers = providers
        self.enrichers: dict[str, RemoteEnricher] = {}
        self._settings = settings
        self._known = known

    @property
    def settings(self) -> Settings:
        urls = {name: self.providers.base(name) for name in self.enrichers}
        return self._settings.model_copy(update={"enricher_urls": urls})

    def enricher(self, name: str = "probe", **attributes: Any) -> RemoteEnricher:
        """Install an enricher."""
        made = self.enrichers[name] = probe(name, **attributes)
        self._known(self.enrichers)
        return made

    def know(
        self, *values: str, tenant: str = "acme", tlp: str = "green", type_: str = "ipv4-addr"
    ) -> None:
        """Let a feed assert values."""
        feed = FeedRef(
            UUID(int=sum(map(ord, tlp))), f"feed {tlp}", FEED.reliability, tlp, "snapshot"
        )
        handle(
            self.own,
            chunk(*(Indicator(type_, one) for one in values), feed=feed, tenant=tenant),
            tenant=tenant,
        )

    def ask(
        self,
        *values: str,
        tenant: str = "acme",
        names: Sequence[str] = (),
        priority: int = BACKGROUND,
        type_: str = "ipv4-addr",
        **changes: Any,
    ) -> None:
        """Store questions as a policy would."""
        with self.own.transaction(tenant) as session:
            ways = triggers.accesses_of(session, tenant)
            wanted = [
                JobRequest(
                    identity(one, type_), type_, one, name, ways[name].lane, priority, "tests"
                )._replace(**changes)
                for one in values
                for name in names or self.enrichers
            ]
            used = {ways[one.enricher] for one in wanted}
            provider_queues.ensure(
                session,
                "observables",
                tenant,
                ((way.lane, way.owner, way.enricher.name, way.key_id) for way in used),
            )
            jobs.add(session, tenant, wanted)

    def shift(self, seconds: float = 20.0) -> Done:
        """Work a shift here."""
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
            return list(
                session.execute(sa.select(jobs.JOB).where(jobs.JOB.c.tenant == tenant)).all()
            )

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
) -> World:
    """An empty installation whose only enrichers are the test's."""

    def known(enrichers: dict[str, RemoteEnricher]) -> None:
        registry.enrichers.cache_clear()
        monkeypatch.setattr(registry, "OURS", tuple(type(one) for one in enrichers.values()))

    monkeypatch.setattr(registry, "OURS", ())
    registry.enrichers.cache_clear()
    yield World(own, environment, providers, known)
    registry.enrichers.cache_clear()


@pytest.fixture
def listed(own: Database) -> Iterator[Callable[..., None]]:
    """Puts addresses on a list of false positives."""

    def put(*addresses: str) -> None:
        kept = {
            "name": "our own servers",
            "version": 1,
            "type": "cidr",
            "list": addresses,
            "category": "false_positive",
        }
        blob = warning_lists.pack([("own/list.json", json.dumps(kept).encode())])
        with own.transaction(PUBLIC) as session:
            store_dataset(
                session, "warninglists", blob, origin="test", obtained_at=datetime.now(UTC)
            )
            context.reload_if_stale(session, now=True)

    yield put
    with own.transaction(PUBLIC) as session:
        session.execute(sa.text("DELETE FROM dataset"))
        context.reload_if_stale(session, now=True)
