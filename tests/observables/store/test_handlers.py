"""Chunks in, rows and announcements out, on a real PostgreSQL."""

from collections import defaultdict
from collections.abc import Callable
from uuid import UUID, uuid4

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from shared.database import PLATFORM, Database
from shared.errors import InvalidInput
from shared.events import FeedRef
from shared.events.feeds import Indicator
from shared.events.observables import ObservablesChanged
from shared.stix import bucket
from shared.stix.ids import observable_id
from tests.observables.conftest import FEED, OTHER, after, changes, chunk, handle

ADDRESS = Indicator("ipv4-addr", "192.0.2.1")
DOMAIN = Indicator(
    "domain-name", "login.example.com", confidence=50, tags=("phishing",), malware="Odd\tName\\"
)


def test_new_observables_are_stored_once_and_announced_once(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(own, chunk(ADDRESS, DOMAIN))
    assert changes(own) == [("192.0.2.1", "new", 72, None), ("login.example.com", "new", 40, None)]
    handle(own, chunk(ADDRESS, DOMAIN, at=after(60)))
    assert changes(own) == []
    client = client_for("observables")
    assert client.get("/v1/observables/count").json() == {"count": 2}
    (answer,) = client.post("/v1/lookup", json={"values": ["login[.]example[.]com"]}).json()[
        "items"
    ]
    assert answer["observable"]["tags"] == ["c2", "phishing"]
    assert answer["observable"]["assertions"][0]["malware"] == "Odd\tName\\"


def test_a_second_source_raises_the_score_and_a_retraction_lowers_it(own: Database) -> None:
    handle(own, chunk(ADDRESS))
    handle(own, chunk(ADDRESS, feed=OTHER))
    handle(own, chunk(feed=OTHER, gone=[ADDRESS], at=after(90)))
    handle(own, chunk(gone=[ADDRESS], at=after(90)))
    assert changes(own) == [
        ("192.0.2.1", "changed", 72, 85),
        ("192.0.2.1", "changed", 85, 72),
        ("192.0.2.1", "expired", 0, 72),
        ("192.0.2.1", "new", 72, None),
    ]


def test_a_source_that_is_trusted_less_lowers_what_it_says_again(own: Database) -> None:
    handle(own, chunk(ADDRESS, DOMAIN))
    changes(own)
    doubted = FeedRef(FEED.id, FEED.name, 40, kind="snapshot")
    handle(own, chunk(ADDRESS, feed=doubted, at=after(1)), chunk(DOMAIN, feed=doubted, at=after(1)))
    assert changes(own) == [
        ("192.0.2.1", "changed", 36, 72),
        ("login.example.com", "changed", 20, 40),
    ]


def test_a_source_is_what_its_newest_run_says_it_is(own: Database) -> None:
    handle(own, chunk(ADDRESS, at=after(1)))
    handle(own, chunk(ADDRESS, at=after(9)))
    older = FeedRef(FEED.id, "an older name", 40, kind="stream")
    handle(own, chunk(DOMAIN, feed=older, at=after(5)))
    with own.transaction("acme") as session:
        source = session.execute(sa.text("SELECT name, reliability, kind FROM source")).one()
        assert tuple(source) == (FEED.name, FEED.reliability, FEED.kind)
    handle(own, chunk(DOMAIN, feed=older, at=after(10)))
    with own.transaction("acme") as session:
        assert session.scalar(sa.text("SELECT name FROM source")) == older.name


def test_what_is_first_heard_of_as_gone_is_described_like_everything_else(own: Database) -> None:
    handle(own, chunk(gone=[DOMAIN]))
    with own.transaction("acme") as session:
        described = session.scalar(sa.text("SELECT context FROM observable"))
    assert described["domain_name"]["registrable"] == "example.com"


def test_two_feeds_in_one_batch_are_applied_in_order(own: Database) -> None:
    handle(own, chunk(ADDRESS), chunk(ADDRESS, feed=OTHER), chunk(DOMAIN))
    assert len(changes(own)) == 3


def test_bad_indicators_are_buried_and_the_rest_of_the_chunk_is_stored(own: Database) -> None:
    bad = [
        Indicator("carrier-pigeon", "coo"),
        Indicator("domain-name", "a\0b.example.com"),
        Indicator("ipv4-addr", "192.0.2.9", confidence=101),
        Indicator("ipv4-addr", "192.0.2.10", first_seen="yesterday"),
        Indicator("url", "https://example.com/" + "a" * 9000),
    ]
    handle(own, chunk(ADDRESS, *bad))
    with own.transaction(PLATFORM) as session:
        (letter,) = session.execute(
            sa.text("SELECT headers FROM outbox WHERE topic = 'feeds.observed.v1.dead'")
        ).all()
    reason = dict(letter.headers)["dead-reason"]
    assert all(f"seen[{position}]" in reason for position in range(1, 6))
    assert changes(own) == [("192.0.2.1", "new", 72, None)]


def test_progress_of_a_run_is_counted_once_per_chunk(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    run = uuid4()
    handle(own, chunk(ADDRESS, run=run), chunk(DOMAIN, run=run, number=1))
    handle(own, chunk(ADDRESS, run=run), chunk(DOMAIN, run=run, number=1))
    assert client_for("observables").get(f"/v1/runs/{run}").json() == {
        "chunks": 2,
        "received": 2,
        "new": 2,
        "changed": 0,
        "rejected": 0,
    }


def test_changes_are_keyed_by_the_bucket_of_the_observable(own: Database) -> None:
    chunks = defaultdict(list)
    for number in range(50):
        value = f"192.0.2.{number}"
        chunks[bucket(observable_id("ipv4-addr", value))].append(Indicator("ipv4-addr", value))
    handle(
        own,
        *(
            chunk(*indicators, into=number, run=UUID(int=9))
            for number, indicators in chunks.items()
        ),
    )
    with own.transaction(PLATFORM) as session:
        rows = session.execute(
            sa.text("SELECT key, payload FROM outbox WHERE topic = 'observables.changed.v1'")
        ).all()
    assert len(rows) == len(chunks)
    for row in rows:
        for change in msgspec.json.decode(row.payload, type=ObservablesChanged).changes:
            assert str(bucket(observable_id(change.type, change.value))).encode() == bytes(row.key)


def test_a_tenant_sees_its_own_and_the_public_knowledge_and_no_other(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(own, chunk(ADDRESS), tenant="acme")
    handle(own, chunk(ADDRESS, feed=OTHER, tenant="public"), tenant="public")
    globex = FeedRef(UUID(int=3), "their own", 80, kind="snapshot")
    handle(own, chunk(DOMAIN, feed=globex, tenant="globex"), tenant="globex")
    (view,) = client_for("observables", "acme", "viewer").get("/v1/observables").json()["items"]
    assert view["score"] == 85
    assert {assertion["tenant"] for assertion in view["assertions"]} == {"acme", "public"}
    other_tenant = client_for("observables", "globex", "viewer")
    assert other_tenant.get("/v1/observables/count").json() == {"count": 2}
    assert other_tenant.get(f"/v1/observables/{view['id']}").json()["score"] == 45
    stranger = client_for("observables", "initech", "viewer")
    domain = other_tenant.post("/v1/lookup", json={"values": ["login.example.com"]}).json()[
        "items"
    ][0]["observable"]
    assert stranger.get(f"/v1/observables/{domain['id']}").status_code == 404


def test_explain_lists_parts_that_add_up(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(own, chunk(ADDRESS))
    handle(own, chunk(ADDRESS, feed=OTHER))
    client = client_for("observables")
    identity = client.get("/v1/observables").json()["items"][0]["id"]
    explanation = client.get(f"/v1/observables/{identity}/explain").json()
    assert explanation["score"] == 85
    assert [(part["name"], round(part["points"], 4)) for part in explanation["contributions"]] == [
        ("blocklist", 72.0),
        ("honeypots", 12.6),
    ]


def test_lists_are_paged_without_gaps(own: Database, client_for: Callable[..., TestClient]) -> None:
    handle(own, chunk(*(Indicator("ipv4-addr", f"192.0.2.{number}") for number in range(25))))
    client = client_for("observables")
    seen = []
    after = None
    while True:
        page = client.get(
            "/v1/observables", params={"limit": 10, **({"after": after} if after else {})}
        ).json()
        seen += [item["value"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 25


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"values": []}, "values"),
        ({"values": ["a"] * 10_001}, "values"),
        ({"values": ["a" * 9000]}, "values"),
        ({"value": ["a"]}, "values"),
    ],
)
def test_bad_questions_get_a_clear_answer(
    client_for: Callable[..., TestClient], body: dict, place: str
) -> None:
    answer = client_for("observables").post("/v1/lookup", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert place in answer.json()["field"]


def test_values_that_are_no_observables_say_why(client_for: Callable[..., TestClient]) -> None:
    values = ["not an observable", "a\0b", "999.1.1.1"]
    items = client_for("observables").post("/v1/lookup", json={"values": values}).json()["items"]
    assert all(item["observable"] is None and item["problem"] for item in items)


def test_a_token_is_asked_for(client_for: Callable[..., TestClient]) -> None:
    answer = client_for("observables", role=None).get("/v1/observables")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_body_beyond_the_limit_is_refused(client_for: Callable[..., TestClient]) -> None:
    answer = client_for("observables").post("/v1/lookup", content=b"x" * (9 * 1024 * 1024))
    assert answer.status_code == 413


def test_what_is_taken_back_before_it_was_heard_of_is_over_when_it_arrives(own: Database) -> None:
    handle(own, chunk(gone=[ADDRESS], at=after(30)))
    handle(own, chunk(ADDRESS, at=after(0)))
    assert changes(own) == []
    handle(own, chunk(ADDRESS, at=after(60)))
    assert changes(own) == [("192.0.2.1", "changed", 72, 0)]


def test_what_is_listed_and_taken_back_at_once_is_listed(own: Database) -> None:
    handle(own, chunk(ADDRESS, gone=[ADDRESS]))
    assert changes(own) == [("192.0.2.1", "new", 72, None)]


def test_a_feed_of_another_tenant_is_refused(own: Database) -> None:
    """The feeds service signs both: it speaks for one tenant with the feed of another."""
    feed = FeedRef(uuid4(), "a feed", kind="snapshot")
    handle(own, chunk(ADDRESS, feed=feed))
    with pytest.raises(InvalidInput, match="another tenant"):
        handle(own, chunk(ADDRESS, feed=feed, tenant="globex"), tenant="globex")
    other = FeedRef(uuid4(), "a feed")
    handle(own, chunk(ADDRESS, feed=other, tenant="globex"), tenant="globex")
