"""A firing whose message gets lost is sent again, or noted as missed; the row is the truth."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import redis
import sqlalchemy as sa
from celery import Celery
from celery.app.trace import trace_task

from services.scheduler.beat.scheduler import PostgresScheduler
from services.scheduler.beat.service import return_lost_firings
from shared.database import Database
from shared.errors import InvalidInput, Unavailable
from shared.runtime import firings
from shared.runtime.celery import ServiceTask, make_celery
from shared.runtime.firings import TaskOutcome

Add = Callable[..., list[UUID]]
Query = Callable[..., list[sa.Row[Any]]]
Messages = Callable[[str], list[dict[str, Any]]]
NewBeat = Callable[[], PostgresScheduler]


@pytest.fixture
def let_wait(query: Query) -> Callable[..., None]:
    """Lets minutes pass since the firings were sent."""

    def wait(minutes: int = 3) -> None:
        query(
            "UPDATE fire SET fired_at = fired_at - make_interval(mins => :minutes),"
            " sent_at = sent_at - make_interval(mins => :minutes),"
            " confirm_by = confirm_by - make_interval(mins => :minutes)",
            minutes=minutes,
        )

    return wait


def ids_of(messages: Messages) -> list[str]:
    return sorted(message["id"] for message in messages("feeds"))


def test_a_flushed_broker_loses_no_firing_of_a_tenant(
    add: Add,
    own: Database,
    messages: Messages,
    new_beat: NewBeat,
    broker: redis.Redis,
    let_wait: Callable[..., None],
):
    add(count=3, every=86_400, catch_up="once")
    beat = new_beat()
    beat.tick()
    sent = ids_of(messages)
    assert len(sent) == 3
    broker.flushdb()
    assert return_lost_firings(own) == 0, "a worker may have taken them just now"
    let_wait()
    assert return_lost_firings(own) == 3
    beat.tick()
    assert ids_of(messages) == sent, "the same messages"
    assert return_lost_firings(own) == 0


def test_a_lost_firing_that_is_not_to_be_made_up_for_is_missed(
    add: Add,
    own: Database,
    query: Query,
    messages: Messages,
    new_beat: NewBeat,
    broker: redis.Redis,
    let_wait: Callable[..., None],
):
    add(every=86_400, catch_up="skip")
    beat = new_beat()
    beat.tick()
    broker.flushdb()
    let_wait()
    assert return_lost_firings(own) == 1
    beat.tick()
    assert messages("feeds") == []
    assert [row.state for row in query("SELECT state FROM fire")] == ["missed"]
    events = query("SELECT convert_from(payload, 'UTF8')::jsonb AS data FROM outbox ORDER BY id")
    assert [event.data.get("state", "fired") for event in events] == ["fired", "missed"]


def test_what_waits_runs_or_has_run_is_not_sent_again(
    add: Add,
    own: Database,
    query: Query,
    messages: Messages,
    new_beat: NewBeat,
    broker: redis.Redis,
    let_wait: Callable[..., None],
):
    add(count=3, every=86_400, catch_up="once")
    new_beat().tick()
    let_wait()
    assert return_lost_firings(own) == 0, "they wait in their queue"
    begun, ended, lost = ids_of(messages)
    broker.delete("feeds")
    firings.note_begin(begun, 60)
    firings.note_end(ended)
    let_wait()
    assert return_lost_firings(own) == 1
    rows = query("SELECT message_id, state, confirm_by IS NULL AS settled FROM fire")
    assert {(str(row.message_id), row.state, row.settled) for row in rows} == {
        (begun, "sent", False),
        (ended, "sent", True),
        (lost, "pending", True),
    }


def test_a_message_that_no_worker_takes_any_more_is_lost_although_its_queue_is_long(
    add: Add, own: Database, new_beat: NewBeat, let_wait: Callable[..., None]
):
    add(every=86_400)
    new_beat().tick()
    let_wait(70)
    assert return_lost_firings(own) == 1


def test_the_platforms_own_firings_need_no_confirmation(
    add: Add,
    own: Database,
    query: Query,
    new_beat: NewBeat,
    broker: redis.Redis,
    let_wait: Callable[..., None],
):
    add(tenant="*", name="core", every=86_400)
    new_beat().tick()
    broker.flushdb()
    let_wait()
    assert return_lost_firings(own) == 0
    assert [row.confirm_by for row in query("SELECT confirm_by FROM fire")] == [None]


@pytest.fixture
def app(broker: redis.Redis) -> Celery:
    """An app whose task succeeds, is refused, or finds its database away."""
    broker.flushdb()
    celery = make_celery("feeds")

    @celery.task(name="feeds.tasks.start_feed", bind=True, max_retries=0)
    def start_feed(_self: ServiceTask, outcome: str) -> dict[str, str]:
        if outcome == "refused":
            raise InvalidInput("There is no such feed.", field="feed")
        if outcome == "away":
            raise Unavailable("The database does not answer.")
        if outcome == "broken":
            raise ZeroDivisionError("the parts of a failure that tell of our code")
        return {"status": "ok"} | ({"run": str(UUID(int=9))} if outcome == "run" else {})

    return celery


def run_task(app: Celery, identity: str, outcome: str, headers: dict[str, Any]) -> None:
    """Run a task as a worker does with a message that has these headers."""
    task = app.tasks["feeds.tasks.start_feed"]
    trace_task(task, identity, [outcome], {}, {"id": identity, **headers}, app=app)


@pytest.mark.parametrize(
    ("outcome", "progress"), [("ok", "ended"), ("refused", "ended"), ("away", None)]
)
def test_a_worker_notes_what_became_of_a_firing(app: Celery, outcome: str, progress: str | None):
    identity = UUID(int=7)
    run_task(app, str(identity), outcome, {"tenant": "acme", firings.HEADER: True})
    assert firings.read_progress([identity]).get(identity) == progress


def test_of_other_messages_nothing_is_noted(app: Celery, broker: redis.Redis):
    run_task(app, str(UUID(int=8)), "ok", {"tenant": "acme"})
    assert not list(broker.scan_iter("sentineliq.firing.*"))


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("ok", TaskOutcome("succeeded")),
        ("run", TaskOutcome("succeeded", run=UUID(int=9))),
        ("refused", TaskOutcome("failed", "There is no such feed.")),
        ("away", TaskOutcome("failed", "The database does not answer.")),
        ("broken", TaskOutcome("failed", "ZeroDivisionError")),
    ],
    ids=["succeeded", "started", "refused", "away", "broken"],
)
def test_a_worker_notes_the_outcome_for_the_history(app: Celery, result: str, outcome: TaskOutcome):
    identity = UUID(int=11)
    run_task(app, str(identity), result, {"tenant": "acme", firings.REPORTED_HEADER: True})
    assert firings.read_outcomes([identity]) == {identity: outcome}


def test_the_outcome_is_read_at_once_and_stored_with_the_confirmation(
    add: Add,
    own: Database,
    query: Query,
    messages: Messages,
    new_beat: NewBeat,
    broker: redis.Redis,
    let_wait: Callable[..., None],
    client_for: Callable[..., Any],
):
    broker.flushdb()
    add(count=2, every=86_400)
    new_beat().tick()
    bad, good = query("SELECT schedule_id, message_id FROM fire ORDER BY schedule_id")
    firings.note_outcome(str(good.message_id), TaskOutcome("running"))
    firings.note_outcome(str(bad.message_id), TaskOutcome("failed", "x" * 10_000))
    client = client_for("scheduler", tenant="acme", role="viewer")

    def shown(schedule: UUID) -> tuple[Any, ...]:
        (item,) = client.get(f"/v1/schedules/{schedule}/fires").json()["items"]
        return item["outcome"], item["reason"], item["run_id"]

    assert shown(good.schedule_id) == ("running", None, None)
    assert shown(bad.schedule_id) == ("failed", "x" * 500, None)
    run = UUID(int=12)
    firings.note_outcome(str(good.message_id), TaskOutcome("succeeded", run=run))
    for fire in (good, bad):
        firings.note_end(str(fire.message_id))
    let_wait()
    assert return_lost_firings(own) == 0
    broker.flushdb()
    assert shown(good.schedule_id) == ("succeeded", None, str(run))
    assert shown(bad.schedule_id) == ("failed", "x" * 500, None)
