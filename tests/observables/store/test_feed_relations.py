"""Relations that a feed names: stored with the indicator, told with the feed as their source."""

from collections.abc import Callable
from datetime import datetime

import pytest
from starlette.testclient import TestClient

from shared.database import Database
from shared.events.feeds import Indicator, IndicatorRelation
from shared.stix.ids import observable_id
from tests.observables.conftest import FEED, after, chunk, handle

ADDRESS = Indicator("ipv4-addr", "192.0.2.1")
DOMAIN = Indicator(
    "domain-name",
    "a.example.com",
    relations=(IndicatorRelation("resolves-to", "ipv4-addr", "192.0.2.1"),),
)


def relations_of(client: TestClient, indicator: Indicator) -> list[tuple[str, str, str, str]]:
    identity = f"{indicator.type}--{observable_id(indicator.type, indicator.value)}"
    items = client.get(f"/v1/observables/{identity}/relations").json()["items"]
    return [
        (item["kind"], item["direction"], item["other"]["value"], item["source"]) for item in items
    ]


def test_both_ends_tell_of_each_other(own: Database, client_for: Callable[..., TestClient]) -> None:
    handle(own, chunk(DOMAIN), chunk(ADDRESS))
    client = client_for("observables")
    assert relations_of(client, DOMAIN) == [("resolves-to", "out", "192.0.2.1", FEED.name)]
    assert relations_of(client, ADDRESS) == [("resolves-to", "in", "a.example.com", FEED.name)]


def test_a_repeated_relation_is_the_same_one_seen_later(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    for minutes in (5, 0, 60):
        handle(own, chunk(DOMAIN, ADDRESS, at=after(minutes)))
    client = client_for("observables")
    identity = f"domain-name--{observable_id('domain-name', DOMAIN.value)}"
    (relation,) = client.get(f"/v1/observables/{identity}/relations").json()["items"]
    times = [datetime.fromisoformat(relation[name]) for name in ("first_seen", "last_seen")]
    assert times == [datetime.fromisoformat(after(0)), datetime.fromisoformat(after(60))]


@pytest.mark.parametrize(
    "relation",
    [
        IndicatorRelation("resolves to", "ipv4-addr", "192.0.2.1"),
        IndicatorRelation("resolves-to", "no-type", "192.0.2.1"),
        IndicatorRelation("resolves-to", "ipv4-addr", "192.0.2.1\0"),
    ],
)
def test_a_relation_that_cannot_be_stored_costs_its_indicator_alone(
    relation: IndicatorRelation, own: Database, client_for: Callable[..., TestClient]
) -> None:
    broken = Indicator("domain-name", "b.example.com", relations=(relation,))
    handle(own, chunk(DOMAIN, broken, ADDRESS))
    assert client_for("observables").get("/v1/observables/count").json() == {"count": 2}
