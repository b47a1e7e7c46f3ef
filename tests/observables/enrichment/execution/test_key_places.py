"""A provider's key reaches its provider only: counted at two listeners."""

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from services.observables.enrichment.execution.worker import EnrichmentWorker
from tests.observables.enrichment.conftest import World
from tests.observables.enrichment.provider import Providers, Reply, running_providers

ADDRESS = "45.33.32.156"
SECRET = "PAID-PROVIDER-SECRET"


@pytest.fixture
def thief() -> Iterator[Providers]:
    """A listener that is not the provider's."""
    with running_providers() as providers:
        yield providers


@pytest.fixture
def world_with_key(world: World, client_for: Callable[..., TestClient]) -> World:
    """An installation that has a key for its provider, and a question for it."""
    world.enricher(key_fields=("key",))
    admin = client_for("observables")
    answer = admin.patch("/v1/enrichers/probe", json={"key": {"key": SECRET}})
    assert answer.status_code == 200, answer.text
    world.know(ADDRESS)
    world.ask(ADDRESS)
    return world


def count_secret(providers: Providers) -> int:
    return sum(SECRET in call.headers or SECRET in call.path for call in providers.calls)


def test_a_provider_that_is_pointed_elsewhere_gets_no_key_there(
    world_with_key: World, thief: Providers
) -> None:
    settings = world_with_key.settings.model_copy(
        update={"enricher_urls": {"probe": thief.base("probe")}}
    )
    EnrichmentWorker(world_with_key.own, settings, world_with_key.enrichers, 3.0).run()
    assert count_secret(thief) == 0
    assert count_secret(world_with_key.providers) == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_provider_that_redirects_hands_no_key_on(
    world_with_key: World, thief: Providers, status: int
) -> None:
    location = f"{thief.base('probe')}/{ADDRESS}"
    world_with_key.providers.replies["probe"] = lambda _: Reply(status, b"", {"Location": location})
    world_with_key.run_worker(5.0)
    assert count_secret(world_with_key.providers) > 0
    assert count_secret(thief) == 0


def test_a_provider_at_its_own_place_gets_its_key(world_with_key: World) -> None:
    world_with_key.run_worker(5.0)
    assert count_secret(world_with_key.providers) == len(world_with_key.providers.calls) == 1
