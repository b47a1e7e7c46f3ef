"""Streams of changes: whose events a browser hears, how it goes on, and when its stream ends."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text

from services.gateway.console.live_events import (
    LIVE_TOPICS,
    LiveChange,
    merge_changes,
    read_change,
    resume_time,
)
from services.gateway.console.live_hub import ENDED, GAP, LiveHub, LiveStream
from shared.auth import Principal, Role
from shared.database import PLATFORM, Database
from shared.events import ConsumedRecord, Event, FeedRef
from shared.events.feeds import HEALTH, HealthChanged
from shared.events.notifications import DELIVERED, Delivered
from shared.events.signature import EventVerifier
from shared.kafka.producer import Publisher
from shared.settings import Settings
from tests.gateway.console.conftest import Browser
from tests.signed_events import signed_record

SignIn = Callable[..., Browser]
VIEWER = Principal("kim@acme.example", "acme", Role.viewer)


def health(tenant: str, feed: UUID | None = None) -> Event[Any]:
    data = HealthChanged(FeedRef(feed or uuid4(), "a feed"), "stale", "healthy", "2026-11-30")
    return Event(HEALTH, data, tenant, "/services/feeds", key=b"feed")


def delivered(tenant: str) -> Event[Any]:
    data = Delivered(uuid4(), uuid4(), "a rule", "a channel", "delivered", 1, 1)
    return Event(DELIVERED, data, tenant, "/services/notifications", key=b"rule")


def publish(settings: Settings, service: str, *events: Event[Any]) -> None:
    async def send() -> None:
        async with Publisher(settings, service) as publisher:
            for event in events:
                await publisher.publish(event)
            await publisher.flush()

    # A thread of its own: where a browser is driven, this one has a loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(send())).result(60)


class Ear:
    """Reads a stream up to what somebody waits for."""

    def __init__(self, response: httpx2.Response) -> None:
        self.names: list[str] = []
        self.ids: list[str] = []
        self.data: list[str] = []
        self._lines = response.iter_lines()

    def hear(self, end: Callable[[], bool], seconds: float = 30) -> float:
        """Read until something holds; return the seconds that it took."""
        began = time.monotonic()
        while not end():
            assert time.monotonic() - began < seconds, (self.names, self.data)
            name, _, rest = next(self._lines).partition(": ")
            if name == "event":
                self.names.append(rest)
            elif name == "id":
                self.ids.append(rest)
            elif name == "data" and rest != "{}":
                self.data.append(rest)
        return time.monotonic() - began


@pytest.fixture
def listen(settings: Settings) -> Iterator[Callable[..., Ear]]:
    contexts: list[Any] = []

    def make(browser: Browser, since: int | None = None, event_id: str = "") -> Ear:
        headers = {"Last-Event-ID": event_id} if event_id else {}
        moment = int(time.time() * 1000) if since is None else since
        context = browser.http.stream(
            "GET", f"/console/live?since={moment}", headers=headers, timeout=30
        )
        response = context.__enter__()
        contexts.append(context)
        assert response.headers["content-type"].startswith("text/event-stream")
        return Ear(response)

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


def test_a_browser_hears_its_tenant_and_public_and_nobody_else(
    settings: Settings, sign_in: SignIn, listen: Callable[..., Ear]
) -> None:
    ear = listen(sign_in(role="viewer"))
    ear.hear(lambda: "pulse" in ear.names)
    feeds = {tenant: uuid4() for tenant in ("globex", "public", "acme")}
    publish(settings, "feeds", *(health(tenant, feed) for tenant, feed in feeds.items()))
    publish(settings, "notifications", delivered("globex"), delivered("public"))
    publish(settings, "notifications", delivered("acme"))
    ear.hear(lambda: len(ear.ids) >= 3)
    ear.hear(lambda: ear.names[-2:] == ["pulse", "pulse"])
    events = "".join(ear.data)
    assert str(feeds["acme"]) in events
    assert str(feeds["public"]) in events
    assert str(feeds["globex"]) not in events
    assert events.count(DELIVERED.name) == 1


def test_a_stream_goes_on_after_the_last_event(
    settings: Settings, sign_in: SignIn, listen: Callable[..., Ear]
) -> None:
    browser = sign_in(role="viewer")
    ear = listen(browser)
    ear.hear(lambda: "pulse" in ear.names)
    publish(settings, "feeds", health("acme"))
    ear.hear(lambda: bool(ear.ids))
    missed = [uuid4() for _ in range(7)]
    publish(settings, "feeds", *(health("acme", feed) for feed in missed))
    again = listen(browser, event_id=ear.ids[0])
    again.hear(lambda: all(str(feed) in "".join(again.data) for feed in missed))
    assert len(again.ids) == len(set(again.ids))


def test_a_session_that_has_ended_ends_its_stream(
    environment: Settings, site: str, operator: Any, browser_for: Any, listen: Callable[..., Ear]
) -> None:
    invited = operator("acme").post("/v1/invitations", {"role": "viewer"})
    browser_for().accept(invited.json()["link"], "robin")
    with httpx2.Client(base_url=site, timeout=60) as client:
        browser = Browser(client, site)
        answer = browser.post("/sign-in", login="robin", password="nine blue herons at dawn")
        assert answer.status_code == 303
        ear = listen(browser)
        ear.hear(lambda: "pulse" in ear.names)
        database = Database(environment.database_url.get_secret_value(), "gateway")
        with database.transaction(PLATFORM) as session:
            session.execute(text("DELETE FROM gateway.session"))
        database.close()
        assert ear.hear(lambda: "ended" in ear.names) < 5


def test_who_has_not_signed_in_is_told_so_and_hears_nothing(
    visitor: Callable[[], Browser], listen: Callable[..., Ear]
) -> None:
    ear = listen(visitor())
    ear.hear(lambda: "ended" in ear.names)
    assert ear.ids == []


def change(number: int, topic: str = HEALTH.name, tenant: str = "acme") -> LiveChange:
    return LiveChange(number, f"{number}.{topic}.0.{number}", topic, tenant, 1, (f"id-{number}",))


def test_a_browser_that_does_not_read_is_cut() -> None:
    stream = LiveStream(VIEWER, "secret", 0)
    for number in range(501):
        stream.tell(change(number))
    assert stream.end_reason == "slow"
    assert stream.rest() == b""


def test_a_stream_that_ends_says_why() -> None:
    stream = LiveStream(VIEWER, "secret", 0)
    stream.end("session", ENDED)
    assert stream.rest() == ENDED


@pytest.mark.parametrize("topic", sorted(LIVE_TOPICS))
def test_no_role_hears_other_tenants(topic: str) -> None:
    other = change(1, topic, "globex")
    assert not [role for role in Role if other.is_for(Principal("kim", "acme", role))]


def test_who_may_not_read_something_does_not_hear_of_it() -> None:
    narrow = Principal("kim", "acme", Role.admin, scopes=frozenset({"lists:read"}))
    assert not change(1).is_for(narrow)
    assert change(1).is_for(VIEWER)


def test_bulk_is_told_as_one() -> None:
    merged = merge_changes([*(change(number) for number in range(1000)), change(3, tenant="b")])
    assert [(item.count, item.tenant, len(item.subjects)) for item in merged] == [
        (1000, "acme", 0),
        (1, "b", 1),
    ]


def test_records_that_nobody_signed_or_that_are_no_events_are_left_out(settings: Settings) -> None:
    verifier = EventVerifier(settings)
    genuine = signed_record(settings, health("acme"))
    assert read_change(genuine, HEALTH.name, verifier) is not None
    forged = ConsumedRecord(HEALTH.name, 0, 1, None, genuine.value, health("acme").headers())
    assert read_change(forged, HEALTH.name, verifier) is None
    assert read_change(genuine, DELIVERED.name, verifier) is None
    broken = ConsumedRecord(HEALTH.name, 0, 1, genuine.key, b"\xff[[", genuine.headers)
    assert read_change(broken, HEALTH.name, verifier) is None


@pytest.mark.parametrize(
    ("event_id", "page_time", "since"),
    [
        pytest.param("20000.feeds.health.v1.0.7", "1", 10_000, id="event"),
        pytest.param("", "20000.feeds.health.v1.0.7", 10_000, id="event as parameter"),
        pytest.param("", "700", 700, id="page"),
        pytest.param("", "99999999999", 5_000_000, id="future"),
        pytest.param("x", "-1", 5_000_000, id="no times"),
        pytest.param("9" * 400, "\u0663", 5_000_000, id="no digits of a time"),
    ],
)
def test_what_a_browser_sends_becomes_a_time(event_id: str, page_time: str, since: int) -> None:
    assert resume_time(event_id, page_time, 5_000_000) == since


def test_a_page_from_before_the_memory_is_told_to_load_again(settings: Settings) -> None:
    async def open_late() -> bytes:
        hub = LiveHub(settings)
        stream = hub.open(VIEWER, "secret", int(time.time() * 1000) - 3_600_000)
        hub.close(stream)
        await hub.stop()
        return stream.rest()

    assert GAP in asyncio.run(open_late())
