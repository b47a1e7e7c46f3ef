"""Planted disasters: none of them leaves, each is told of."""

import json
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from services.observables.dissemination.files.service import write_file, write_stale_files
from services.observables.dissemination.lists import guards
from services.observables.dissemination.lists.guards import Guard, protected_of
from services.observables.dissemination.membership.fill import fill_lists
from shared.database import PLATFORM
from shared.events.feeds import Indicator
from tests.observables.conftest import FEED, OTHER, after, chunk, handle
from tests.observables.dissemination.conftest import Lists, address

PROTECTED = protected_of(["example.com", "203.0.113.0/24", "2001:db8:1::/48"])


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        ("ipv4-addr", "0.0.0.0/0", guards.WIDTH),
        ("ipv4-addr", "198.0.0.0/8", guards.WIDTH),
        ("ipv6-addr", "2000::/3", guards.WIDTH),
        ("ipv4-addr", "10.1.2.3", guards.SPECIAL),
        ("ipv4-addr", "127.0.0.1", guards.SPECIAL),
        ("ipv4-addr", "169.254.169.254", guards.SPECIAL),
        ("ipv4-addr", "224.0.0.1", guards.SPECIAL),
        ("ipv6-addr", "::1", guards.SPECIAL),
        ("ipv6-addr", "fe80::1", guards.SPECIAL),
        ("domain-name", "com", guards.SUFFIX),
        ("domain-name", "co.uk", guards.SUFFIX),
        ("domain-name", "github.io", guards.SUFFIX),
        ("domain-name", "localhost", guards.SPECIAL),
        ("domain-name", "www.example.com", guards.PROTECTED),
        ("domain-name", "example.com", guards.PROTECTED),
        ("url", "https://mail.example.com/login", guards.PROTECTED),
        ("url", "http://127.0.0.1/admin", guards.SPECIAL),
        ("url", "http://203.0.113.9/x", guards.PROTECTED),
        ("email-addr", "ceo@example.com", guards.PROTECTED),
        ("ipv4-addr", "203.0.113.7", guards.PROTECTED),
        ("ipv4-addr", "203.0.0.0/16", guards.PROTECTED),
        ("ipv6-addr", "2001:db8:1:2::3", guards.PROTECTED),
        ("mutex", "a\nb", guards.CHARACTERS),
        ("url", "http://bad.test/\u2028x", guards.CHARACTERS),
        ("user-agent", "x\x00y", guards.CHARACTERS),
        ("ipv4-addr", "not an address", guards.CHARACTERS),
        ("url", "http://www.example.com./login", guards.PROTECTED),
        ("url", "http://www.example.com../login", guards.PROTECTED),
        ("url", "http://printer.local./x", guards.SPECIAL),
        ("url", "no URL", guards.CHARACTERS),
        ("user-agent", "0.0.0.0/0", guards.WIDTH),
        ("user-agent", "0.0.0.0/0 (compatible)", guards.WIDTH),
        ("user-agent", "0.0.0.0-255.255.255.255", guards.WIDTH),
        ("mutex", "0/0", guards.WIDTH),
        ("mutex", "0.0.0.0/0.0.0.0", guards.WIDTH),
        ("mutex", "::/0", guards.WIDTH),
        ("mutex", "\uff10.0.0.0/0", guards.WIDTH),
        ("mutex", "203.0.113.0/24", guards.PROTECTED),
        ("mutex", "203.0.113.7:443", guards.PROTECTED),
        ("mutex", "10.1", guards.SPECIAL),
        ("file-name", "example.com", guards.PROTECTED),
        ("file-name", "WWW.Example.COM.", guards.PROTECTED),
        ("file-name", "*.example.com", guards.PROTECTED),
        ("file-name", "*.com", guards.SUFFIX),
        ("file-path", "www.example.com/login", guards.PROTECTED),
        ("file-path", "//example.com/login", guards.PROTECTED),
        ("user-agent", "https://www.example.com./login", guards.PROTECTED),
        ("user-agent", "ceo@example.com", guards.PROTECTED),
        ("a type of a later version", "0.0.0.0/0", guards.WIDTH),
    ],
)
def test_a_guard_refuses(type_: str, value: str, reason: str) -> None:
    guard = Guard("standard", "green", PROTECTED)
    assert guard.refusal(type_, value, "clear", is_allow_listed=False) == reason


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("ipv4-addr", "198.51.100.7"),
        ("ipv4-addr", "198.51.0.0/16"),
        ("ipv6-addr", "2001:db8::7"),
        ("domain-name", "bad.example.net"),
        ("domain-name", "notexample.com"),
        ("domain-name", "xn--e1afmkfd.xn--p1ai"),
        ("url", "https://bad.example.net/x"),
        ("file-sha256", "0" * 64),
        ("user-agent", "Mozilla/5.0 (compatible; +http://example.com/bot)"),
        ("user-agent", "curl/7.68.0"),
        ("file-name", "update.zip"),
        ("file-path", "/usr/bin/evil"),
        ("mutex", "global"),
    ],
)
def test_what_is_no_disaster_passes(type_: str, value: str) -> None:
    guard = Guard("standard", "green", PROTECTED)
    assert guard.refusal(type_, value, "green", is_allow_listed=False) is None
    reasons = [
        guard.refusal(type_, value, tlp, is_allow_listed=False)
        for tlp in ("amber", "red", "closed", "no level")
    ]
    assert reasons == [guards.TLP] * 4
    assert guard.refusal(type_, value, "clear", is_allow_listed=True) == guards.ALLOW_LISTED


def test_a_parent_of_a_protected_name_is_refused_as_well() -> None:
    guard = Guard("wide", "red", protected_of(["intranet.corp.example.net"]))
    for value in ("example.net", "corp.example.net"):
        refusal = guard.refusal("domain-name", value, "clear", is_allow_listed=False)
        assert refusal == guards.PROTECTED
    url = "https://example.net/x"
    assert guard.refusal("url", url, "clear", is_allow_listed=False) is None


def test_refusals_are_counted_and_explained_and_leave_no_list(lists: Lists) -> None:
    body = {"value": "203.0.1.0/24"}
    assert lists.client.post("/v1/protected-values", json=body).status_code == 201
    early = lists.create("observable.score >= 20", max_shrink=None)
    planted = [
        Indicator("ipv4-addr", "192.168.7.7"),
        Indicator("ipv4-addr", "198.0.0.0/9"),
        Indicator("ipv4-addr", "203.0.1.77"),
        Indicator("domain-name", "bad.example.net"),
    ]
    lists.see(address(1), *planted)
    late = lists.create("observable.score >= 20", name="late")
    for view in (lists.view(early["id"]), late):
        assert lists.values(view["id"]) == ["203.0.0.2", "bad.example.net"]
        assert view["refused"].get(guards.PROTECTED) == 1
        why = lists.why(view["id"], "203.0.1.77")
        assert (why["state"], why["refused_by"]) == ("refused", guards.PROTECTED)
        assert why["score"] is not None
        assert why["contributions"]
    gone = lists.client.delete("/v1/protected-values", params={"value": "203.0.1.0/24"})
    assert gone.status_code == 204
    fill_lists(lists.own)
    assert "203.0.1.77" in lists.values(early["id"])


def test_what_is_marked_above_the_ceiling_never_joins(lists: Lists) -> None:
    early = lists.create("observable.score >= 20", tlp_ceiling="green")
    closed = FEED.__class__(FEED.id, FEED.name, 80, kind="snapshot", tlp="red")
    lists.see(address(1), feed=closed)
    lists.see(Indicator("ipv4-addr", "203.0.9.9", tags=("tlp:amber",)), feed=OTHER, at=after(1))
    late = lists.create("observable.score >= 20", name="late", tlp_ceiling="green")
    loose = lists.create("observable.score >= 20", name="loose", tlp_ceiling="red")
    assert lists.values(early["id"]) == lists.values(late["id"])
    assert "203.0.9.9" not in lists.values(late["id"])
    assert "203.0.9.9" in lists.values(loose["id"])


def test_a_list_that_empties_is_stopped_until_a_person_releases_it(lists: Lists) -> None:
    view = lists.create()
    lists.see(*map(address, range(50)))
    with lists.own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE dissemination_list SET baseline = members"))
    write_file(lists.own, UUID(view["id"]), "plain")
    lists.see(gone=[*map(address, range(50))], at=after(3))
    stopped = lists.view(view["id"])
    # The changes of a feed come in events of some buckets each: the first half still left.
    good = stopped["published_version"]
    assert stopped["state"] == "held"
    assert (stopped["members"], stopped["version"]) == (0, 100)
    left = len(lists.values(view["id"]))
    assert left == 100 - good
    assert left >= 25
    write_stale_files(lists.own)
    assert _entries(lists, view["id"]) == left
    page = lists.client.get(f"/v1/lists/{view['id']}/changes?limit=1000").json()
    assert (len(page["items"]), page["version"]) == (good, good)
    assert len(_news(lists)) == 1
    released = lists.client.post(f"/v1/lists/{view['id']}/release").json()
    assert (released["state"], released["published_version"]) == ("active", 100)
    write_stale_files(lists.own)
    assert _entries(lists, view["id"]) == 0
    assert lists.values(view["id"]) == []


def test_a_tenfold_feed_stops_the_list_with_an_event(lists: Lists) -> None:
    view = lists.create()
    lists.see(*map(address, range(200)))
    with lists.own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE dissemination_list SET baseline = members"))
    handled = [address(number) for number in range(2_000)]
    handle(lists.own, chunk(*handled, at=after(5)))
    lists.follow()
    stopped = lists.view(view["id"])
    assert stopped["state"] == "held"
    assert stopped["held_reason"].startswith("it would grow from 200 entries to 4")
    assert stopped["members"] == 2_000
    assert 200 <= stopped["published_version"] <= 400
    assert len(lists.values(view["id"])) == stopped["published_version"]
    with lists.own.transaction(PLATFORM) as session:
        row = session.scalar(sa.text("SELECT held_at IS NOT NULL FROM dissemination_list"))
    assert row is True


def test_the_event_of_a_stop_names_the_list(lists: Lists) -> None:
    view = lists.create(max_growth=None)
    lists.see(*map(address, range(100)))
    with lists.own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE dissemination_list SET baseline = members"))
    lists.see(gone=[address(number) for number in range(90)], at=after(3))
    [news] = _news(lists)
    assert (news["kind"], news["list"], news["list_id"]) == ("held", "addresses", view["id"])
    assert news["members"] < 50
    assert news["reason"].endswith("% of its 100 entries")


def _news(lists: Lists) -> list[dict[str, Any]]:
    with lists.own.transaction(PLATFORM) as session:
        query = "SELECT payload FROM outbox WHERE topic = 'observables.lists.v1' ORDER BY id"
        return [json.loads(bytes(row)) for row in session.scalars(sa.text(query))]


def _entries(lists: Lists, list_id: str) -> int:
    [row] = lists.rows("SELECT entries FROM list_file WHERE list_id = :list", list_id)
    return int(row[0])
