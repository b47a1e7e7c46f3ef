"""How much of lists a tenant may have, and what protecting a value costs."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.dissemination.membership.fill import fill_lists
from shared.database import PLATFORM
from shared.events.feeds import Indicator
from tests.observables.dissemination.conftest import Lists, address


@pytest.fixture
def limit(
    lists: Lists, client_for: Callable[..., TestClient]
) -> Iterator[Callable[[str, int], None]]:
    operator = client_for("observables", role="operator")

    def set_limit(name: str, most: int) -> None:
        answer = operator.put(f"/v1/quotas/acme/{name}", json={"limit": most})
        assert answer.status_code == 200, answer.text

    yield set_limit
    with lists.own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM quota"))


def test_a_fill_beyond_the_quota_of_entries_changes_nothing_and_says_so(
    lists: Lists, limit: Callable[[str, int], None]
) -> None:
    view = lists.create("observable.score >= 99", max_growth=None, max_shrink=None)
    lists.see(*map(address, range(10)))
    limit("list-entries", 5)
    path = f"/v1/lists/{view['id']}"
    lists.client.patch(path, json={"filter": "observable.score >= 20"})
    assert fill_lists(lists.own) == 0
    shown = lists.view(view["id"])
    assert shown["members"] == 0
    assert "entries of lists" in shown["fill_error"]
    # With a capacity it is within.
    lists.client.patch(path, json={"capacity": 5})
    assert fill_lists(lists.own) == 1
    shown = lists.view(view["id"])
    assert (shown["members"], shown["fill_error"]) == (5, "")


def revisions(lists: Lists) -> dict[str, int]:
    with lists.own.transaction(PLATFORM) as session:
        rows = session.execute(sa.text("SELECT name, revision FROM dissemination_list"))
        return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize(
    ("value", "touched"),
    [
        ("evil.example.org", {"names"}),
        ("www.evil-corp.com", {"names"}),
        ("deep.below.evil-corp.com", {"names"}),
        ("198.51.100.0/24", {"addresses", "texts"}),
        ("unrelated.net", set()),
        ("192.0.2.0/24", {"texts"}),
    ],
)
def test_protecting_a_value_fills_the_lists_anew_that_it_may_touch(
    lists: Lists, value: str, touched: set[str]
) -> None:
    for name, type_ in (("addresses", "ipv4-addr"), ("names", "domain-name"), ("texts", "url")):
        lists.create(f'observable.type == "{type_}"', name=name, max_growth=None)
    lists.see(
        address(1),
        Indicator("ipv4-addr", "198.51.100.9"),
        Indicator("domain-name", "evil-corp.com"),
        Indicator("domain-name", "www.evil-corp.com"),
        Indicator("domain-name", "evil.example.org"),
        Indicator("url", "http://198.51.100.10/a"),
    )
    before = revisions(lists)
    path = "/v1/protected-values"
    assert lists.client.post(path, json={"value": value}).status_code == 201
    after = revisions(lists)
    assert {name for name in after if after[name] > before[name]} == touched
    fill_lists(lists.own)
    refusing = {
        view["name"]
        for view in lists.client.get("/v1/lists").json()["items"]
        if view["refused"].get("protected")
    }
    assert refusing <= touched
    assert lists.client.delete(path, params={"value": value}).status_code == 204
    last = revisions(lists)
    assert {name for name in last if last[name] > after[name]} == refusing
