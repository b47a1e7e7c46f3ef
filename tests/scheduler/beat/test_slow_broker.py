"""A broker that is slow, and not away, gets each message once."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from services.scheduler.beat.repository import PendingFiring
from services.scheduler.beat.rounds import claim_due, send_pending
from services.scheduler.beat.scheduler import PostgresScheduler

Add = Callable[..., list[UUID]]
Query = Callable[..., list[sa.Row[Any]]]
Messages = Callable[[str], list[dict[str, Any]]]
NewBeat = Callable[[], PostgresScheduler]


def test_a_slow_broker_gets_each_message_once(
    add: Add, query: Query, messages: Messages, new_beat: NewBeat
):
    add(count=120, every=3600, late=1)
    beat = new_beat()
    claim_due(beat._database)

    def send_slowly(fire: PendingFiring) -> None:
        time.sleep(0.06)  # all of them take longer than PostgreSQL lets a transaction be silent
        beat._send(fire)

    rounds = 0
    while send_pending(beat._database, send_slowly):
        rounds += 1
        assert rounds < 60
    sent = [message["id"] for message in messages("feeds")]
    assert len(sent) == len(set(sent)) == 120
    assert {fire.state for fire in query("SELECT state FROM fire")} == {"sent"}
