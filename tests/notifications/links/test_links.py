"""Signed addresses in messages: they show a page, act on POST, and admit nobody else."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from services.notifications.console_pages import delivery_page
from services.notifications.signed_links import SignedLink, read_link
from shared.errors import Unauthenticated
from shared.keys import keys_of

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def _link(**values):
    return SignedLink(
        **{
            "verb": "acknowledge",
            "tenant": "acme",
            "subject_id": UUID(int=1),
            "channel_id": UUID(int=2),
            "until": NOW + timedelta(days=30),
        }
        | values
    )


def test_the_page_of_a_delivery_is_where_people_reach_the_console(bench):
    page = f"/console/notifications/deliveries/{UUID(int=3)}"
    own = bench.settings.model_copy(update={"public_url": None})
    assert delivery_page(own, UUID(int=3)) == f"{own.gateway_url}{page}"
    public = own.model_copy(update={"public_url": "https://ti.example.com/siq/"})
    assert delivery_page(public, UUID(int=3)) == f"https://ti.example.com/siq{page}"


@pytest.fixture
def stranger(bench):
    return bench.client_for("notifications", role=None)


@pytest.fixture
def opening(bench, receiver):
    """The message that opens a group, and the group's id."""
    _, rule, feed = bench.hook(receiver, group_by=["source.name"])
    bench.handle(bench.event(feed))
    bench.deliver()
    [delivery] = bench.ledger(rule)
    return json.loads(receiver.received[0].body)["data"], delivery["group_id"]


def _path(address):
    parts = urlsplit(address)
    assert list(parse_qs(parts.query)) == ["token"]
    return f"{parts.path}?{parts.query}"


def test_a_scanner_that_follows_a_link_acknowledges_nothing(bench, stranger, opening):
    message, group_id = opening
    path = _path(message["acknowledge_url"])
    for method in ("GET", "HEAD", "OPTIONS"):
        stranger.request(method, path)
    page = stranger.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert '<form method="post"' in page.text
    group = bench.api.get(f"/v1/groups/{group_id}").json()
    assert group["acknowledged_at"] is None


def test_a_reader_who_confirms_acknowledges_once(bench, stranger, opening):
    message, group_id = opening
    path = _path(message["acknowledge_url"])
    for _ in range(2):
        assert stranger.post(path).status_code == 200
    group = bench.api.get(f"/v1/groups/{group_id}").json()
    assert group["acknowledged_by"].startswith("link to channel ")
    rows = bench.sql("SELECT payload FROM outbox WHERE topic LIKE 'audit%'")
    actions = [json.loads(row.payload) for row in rows]
    acts = [each for each in actions if each["target"] == group_id]
    assert [each["action"] for each in acts] == ["notifications.group.acknowledge"]


def test_one_click_switches_the_channel_off_once(bench, stranger, receiver):
    channel = bench.channel(receiver.url)
    link = _link(
        verb="unsubscribe",
        subject_id=UUID(channel["id"]),
        channel_id=UUID(channel["id"]),
        until=datetime.now(UTC) + timedelta(days=1),
    )
    path = _path(link.address(bench.settings))
    for _ in range(2):
        answer = stranger.post(
            path,
            content="List-Unsubscribe=One-Click",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == 200
    read = bench.api.get(f"/v1/channels/{channel['id']}").json()
    assert (read["enabled"], read["disabled_reason"]) == (False, "Its receiver has unsubscribed.")


def test_another_tenants_group_stays_as_it_is(bench, stranger, opening):
    _, group_id = opening
    until = datetime.now(UTC) + timedelta(days=1)
    link = _link(tenant="other", subject_id=UUID(group_id), until=until)
    path = _path(link.address(bench.settings))
    assert stranger.post(path).status_code == 404
    assert bench.api.get(f"/v1/groups/{group_id}").json()["acknowledged_at"] is None


@pytest.mark.parametrize("token", ["", "x", "x.y", "é.ü", "." * 900, "x" * 1000, "\x00.\x00"])
def test_what_nobody_has_signed_is_refused(stranger, token):
    for method in ("GET", "POST"):
        assert stranger.request(method, "/v1/links", params={"token": token}).status_code == 401


def test_a_changed_or_ended_token_is_refused(bench):
    keys = keys_of(bench.settings)
    token = _link().token(keys)
    assert read_link(token, keys, NOW) == _link()
    assert _link().token(keys) == token
    other = _link(subject_id=uuid4()).token(keys)
    mixed = f"{other.partition('.')[0]}.{token.partition('.')[2]}"
    for wrong in (mixed, token[:-1], token + "A", token.replace(".", "")):
        with pytest.raises(Unauthenticated):
            read_link(wrong, keys, NOW)
    with pytest.raises(Unauthenticated, match="ended"):
        read_link(token, keys, NOW + timedelta(days=30))


def test_a_link_leads_to_the_gateway_where_people_reach_it(bench):
    settings = bench.settings.model_copy(update={"public_url": "https://ti.example/"})
    assert _link().address(settings).startswith("https://ti.example/links?token=")
