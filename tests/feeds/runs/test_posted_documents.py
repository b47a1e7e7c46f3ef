"""What clients post into a collection is asserted by its feed, once, until they take it back."""

import errno
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import sqlalchemy as sa

from services.feeds.payloads import store
from services.feeds.payloads.store import PayloadStore
from services.feeds.quotas.limits import RUNS
from services.feeds.runs.handlers import handle_posted
from services.feeds.runs.posted_documents import feed_id_of
from services.observables.taxii import posts
from services.observables.taxii import service as collections
from services.observables.taxii.posted_events import MAX_BYTES, PostOrigin, posted_events
from services.observables.taxii.schemas import CollectionCreate
from shared.database import PLATFORM
from shared.errors import RateExceeded, Unavailable
from shared.events import Event
from shared.events.observables import POSTED
from shared.kafka.batch_handler import BatchHandler, Subscription
from shared.kafka.dlq_limit import DlqLimit
from shared.quotas import list_states, set_limit, spend
from shared.settings import Settings
from tests.feeds.runs.world import TENANT, World
from tests.observables.taxii.conftest import indicator

ACTOR = "kim@acme.example"


class Poster:
    """A client that posts into a collection, and the services behind it.

    Args:
        world: the services.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        fields = {"title": "reports of the CERT", "is_writable": True, "tlp": "green"}
        body = CollectionCreate.model_validate(fields)
        self.collection = collections.create(world.observables, TENANT, ACTOR, body).id
        self.feed_id = feed_id_of(TENANT, self.collection)
        world.feed_id = self.feed_id

    def post(self, *objects: Any) -> dict[str, Any]:
        """Post objects; the status."""
        with TemporaryFile() as document:
            document.write(msgspec.json.encode({"objects": objects}))
            document.flush()
            return posts.accept_envelope(
                self.world.observables, TENANT, ACTOR, self.collection, document
            )

    def delete(self, stix_object: dict[str, Any]) -> None:
        """Delete an object from the collection."""
        owner = self.world.observables
        collections.delete_object(owner, TENANT, ACTOR, self.collection, stix_object["id"], {})

    def take_events(self) -> list[Event[Any]]:
        """The events about what was posted since the last call."""
        return self.world._outbox(self.world.observables, POSTED)

    def carry(self, *, times: int = 1) -> int:
        """Carry the events to the feeds service so many times, and what follows back; how many."""
        events = self.take_events()
        for _ in range(times):
            for event in events:
                with self.world.feeds.transaction(TENANT) as session:
                    handle_posted(session, [event])
        for _ in range(3):
            self.world.work_all()
            for partition in range(len(self.world.log)):
                self.world.deliver(partition)
            self.world.relay()
        return len(events)

    def rows(self, query: str) -> list[Any]:
        with self.world.observables.transaction(TENANT) as session:
            values = {"feed": self.feed_id}
            return list(session.execute(sa.text(query), values).all())

    def runs(self) -> list[Any]:
        with self.world.feeds.transaction(PLATFORM) as session:
            query = "SELECT state, report FROM run WHERE feed_id = :feed ORDER BY queued_at"
            return list(session.execute(sa.text(query), {"feed": self.feed_id}).all())


@pytest.fixture
def poster(environment: Settings) -> Iterator[Poster]:
    world = World(environment)
    with world.observables.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE observables.collection CASCADE"))
    for table in ("quota", "quota_use"):
        world.change(f"DELETE FROM {table}")
    with world.installed():
        yield Poster(world)


def test_posted_objects_are_asserted_and_scored(poster: Poster) -> None:
    bad = {**indicator(9), "modified": "yesterday"}
    status = poster.post(*map(indicator, range(1, 6)), bad)
    assert (status["success_count"], status["failure_count"]) == (5, 1)
    assert poster.carry() == 1
    assert poster.world.asserted() == {1, 2, 3, 4, 5}
    scores = poster.rows("SELECT score, tlp FROM observable WHERE tenant = 'acme'")
    assert len(scores) == 5
    assert all(row.score > 0 for row in scores)
    (source,) = poster.rows("SELECT name, kind, tlp FROM source WHERE id = :feed")
    assert tuple(source) == ("TAXII reports of the CERT", "stream", "green")
    ((state, report),) = poster.runs()
    assert (state, report["seen"]) == ("succeeded", 5)


def test_an_event_that_comes_again_adds_nothing(poster: Poster) -> None:
    poster.post(*map(indicator, range(1, 4)))
    poster.carry(times=3)
    assert [run.state for run in poster.runs()] == ["succeeded"]
    assert poster.world.asserted() == {1, 2, 3}


def test_runs_of_posted_objects_count_once_and_are_never_refused(poster: Poster) -> None:
    with poster.world.feeds.transaction(PLATFORM) as session:
        set_limit(session, TENANT, RUNS, 2, "ops")
    for number in range(1, 4):
        poster.post(indicator(number))
    poster.delete(indicator(3))
    assert poster.carry(times=3) == 4
    assert [run.state for run in poster.runs()] == ["succeeded"] * 4
    assert poster.world.asserted() == {1, 2}
    with poster.world.feeds.transaction(TENANT) as session:
        (state,) = list_states(session, TENANT, [RUNS])
        assert (state.limit, state.used) == (2, 4)
        with pytest.raises(RateExceeded):
            spend(session, TENANT, RUNS)


def test_what_is_posted_again_is_told_once(poster: Poster) -> None:
    for _ in range(3):
        poster.post(indicator(1), indicator(2), indicator(1))
    assert poster.carry() == 1
    assert len(poster.runs()) == 1


def test_an_older_version_that_comes_late_does_not_take_the_place_of_the_newest(
    poster: Poster,
) -> None:
    newest = {**indicator(1, "2026-11-30T09:00:00.000Z"), "confidence": 90}
    older = {**indicator(1, "2026-11-30T08:30:00.000Z"), "confidence": 10}
    poster.post(newest)
    poster.carry()
    poster.post(older)
    assert poster.carry() == 0
    ((confidence,),) = poster.rows("SELECT confidence FROM assertion WHERE source_id = :feed")
    assert confidence == 90


def test_what_is_revoked_or_deleted_is_no_longer_asserted(poster: Poster) -> None:
    poster.post(*map(indicator, range(1, 5)))
    poster.carry()
    poster.post({**indicator(1, "2026-11-30T09:00:00.000Z"), "revoked": True})
    poster.delete(indicator(2))
    assert poster.carry() == 2
    assert poster.world.asserted() == {3, 4}


def test_what_is_deleted_version_by_version_is_asserted_until_the_last_is_gone(
    poster: Poster,
) -> None:
    later = "2026-11-30T09:00:00.000Z"
    poster.post(*map(indicator, range(1, 4)))
    poster.post(indicator(3, later))
    poster.carry()

    def delete(number: int, version: str) -> None:
        own = poster.world.observables
        names = {"match[version]": version}
        object_id = indicator(number)["id"]
        collections.delete_object(own, TENANT, ACTOR, poster.collection, object_id, names)
        poster.carry()

    delete(1, "all")
    delete(2, indicator(2)["modified"])
    delete(3, indicator(3)["modified"])
    assert poster.world.asserted() == {3}
    delete(3, later)
    assert poster.world.asserted() == set()


def test_a_full_disk_makes_no_dead_letter_of_what_was_accepted(
    poster: Poster, environment: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster.post(*map(indicator, range(901, 906)))
    events = poster.take_events()
    handler = BatchHandler(poster.world.feeds, environment, Subscription(POSTED, handle_posted))

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "fsync", refuse)
        with (
            pytest.raises(Unavailable, match="No space left"),
            poster.world.feeds.transaction(PLATFORM) as session,
        ):
            handler._attempt(session, events, TENANT, DlqLimit([], 0))


def test_two_posts_add_up(poster: Poster) -> None:
    """A second document takes nothing of the first away, and each run counts its own."""
    poster.post(*map(indicator, range(1, 101)))
    poster.post(*map(indicator, range(51, 151)))
    poster.carry()
    assert poster.world.asserted() == set(range(1, 151))
    runs = poster.runs()
    assert [run.state for run in runs] == ["succeeded", "succeeded"]
    assert [run.report["seen"] for run in runs] == [100, 50]


def test_objects_that_are_no_indicators_are_counted_by_their_run(poster: Poster) -> None:
    identity = {
        "type": "identity",
        "spec_version": "2.1",
        "id": f"identity--{uuid4()}",
        "created": "2026-11-30T08:00:00.000Z",
        "modified": "2026-11-30T08:00:00.000Z",
        "name": "CERT",
    }
    poster.post(indicator(1), identity)
    poster.carry()
    ((state, report),) = poster.runs()
    assert (state, report["seen"]) == ("succeeded", 1)
    assert report["dropped"] == {"not an indicator": 1}


def test_a_feed_that_was_deleted_is_made_again(poster: Poster) -> None:
    poster.post(indicator(1))
    poster.carry()
    poster.world.change("DELETE FROM feed")
    poster.post(indicator(2))
    poster.carry()
    assert poster.world.asserted() >= {2}
    assert [run.state for run in poster.runs()][-1] == "succeeded"


def test_a_name_that_is_taken_is_no_obstacle(poster: Poster) -> None:
    poster.world.change("UPDATE feed SET name = 'TAXII reports of the CERT'")
    poster.post(indicator(1))
    poster.carry()
    assert poster.world.asserted() == {1}
    (source,) = poster.rows("SELECT name FROM source WHERE id = :feed")
    assert source.name == f"TAXII {poster.collection}"


def test_events_fit_and_say_the_same_when_they_are_made_again(poster: Poster) -> None:
    row = collections.get(poster.world.observables, TENANT, TENANT, poster.collection)
    origin = PostOrigin(row, UUID(int=5), 500, ACTOR)
    payloads = [msgspec.json.encode({"id": str(n), "x": "y" * 200_000}) for n in range(7)]
    first = list(posted_events(origin, payloads))
    again = list(posted_events(origin, payloads))
    assert [event.id for event in first] == [event.id for event in again]
    assert len({event.id for event in first}) == len(first) == 7
    assert all(len(event.payload()) < MAX_BYTES + 2_000 for event in first)
    sent = [bytes(raw) for event in first for raw in event.data.objects]
    assert sent == payloads


def test_a_document_is_stored_once(environment: Settings) -> None:
    store = PayloadStore(environment.data_dir)
    content = b'{"objects":[]}' + uuid4().bytes
    digest = store.add_content(content)
    assert store.add_content(content) == digest
    with store.open(digest) as stream:
        assert stream.read() == content
