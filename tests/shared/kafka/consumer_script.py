"""A consumer that freezes inside its transaction.

It freezes at the first record whose target ends with `-freeze`, and only once.
"""

import asyncio
import signal
import threading
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import database
from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.kafka.consumer import Consumer, Subscription
from shared.settings import load_settings

has_frozen = threading.Event()


def store(session: Session, events: Sequence[Event[Recorded]]) -> None:
    """Store the events' targets."""
    for event in events:
        session.execute(
            sa.text("INSERT INTO effect VALUES (:tenant, :target)"),
            {"tenant": event.tenant, "target": event.data.target},
        )
    if any(event.data.target.endswith("-freeze") for event in events) and not has_frozen.is_set():
        has_frozen.set()
        # To this thread: of a signal to the process, another thread is told, and until that one
        # runs, which takes a while on a busy machine, this one would go on and commit.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


if __name__ == "__main__":
    consumer = Consumer(database("observables"), load_settings(), [Subscription(RECORDED, store)])
    asyncio.run(consumer.run())
