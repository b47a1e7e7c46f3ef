"""Wake a worker for due deliveries.

The message is only a hint: if the queue does not accept it, a sweep sends another. A worker that is
awake already listens to the database, and no message is sent for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import psycopg
from redis.exceptions import RedisError
from sqlalchemy.orm import Session

from services.notifications.deliveries import repository
from services.notifications.worker import celery
from shared.database import PLATFORM, Database
from shared.errors import Unavailable
from shared.runtime import hints
from shared.runtime.celery import enqueue_after_commit, enqueue_best_effort
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

DELIVER_PENDING: Final = "notifications.tasks.deliver_pending"
HOLD_SECONDS: Final = 5
"""Seconds for which a worker is believed to be awake: one that is frozen keeps others asleep for no
longer."""

_RETRY_SECONDS: Final = 1.0


def wake_worker(actor: str = "system") -> None:
    """Ask for a worker that delivers what is due."""
    enqueue_best_effort(celery, DELIVER_PENDING, actor)


def wake_worker_after_commit(session: Session) -> None:
    """Ask for a worker once the current transaction is committed."""
    repository.announce(session)
    enqueue_after_commit(session, celery, DELIVER_PENDING)


class Vigil:
    """Says that a worker is awake, so that nobody sends a message to wake another.

    Whoever ends it looks for deliveries once more: those stored before have sent no message.
    """

    def __init__(self) -> None:
        self._holder = uuid4().hex

    def keep(self) -> bool:
        """Go on for `HOLD_SECONDS`; False if another worker is awake."""
        try:
            return hints.hold(DELIVER_PENDING, (), self._holder, HOLD_SECONDS)
        except RedisError as error:
            # Nobody is woken by a message now.
            log.info("vigil.not_kept", reason=str(error))
            return True

    def end(self) -> None:
        """Let messages be sent again."""
        try:
            hints.unmark(DELIVER_PENDING, ())
        except RedisError as error:
            log.info("vigil.not_ended", reason=str(error))


class VigilKeeper:
    """Keeps a vigil from a thread of its own: a broker that does not answer holds up no round.

    What is asked of it happens in its order.

    Attributes:
        is_another_awake: whether the newest answer said so.

    Args:
        vigil: the worker's.
    """

    def __init__(self, vigil: Vigil) -> None:
        self._vigil = vigil
        self._thread = ThreadPoolExecutor(1, "vigil")
        self._keeping: Future[None] | None = None
        self._ending: Future[None] | None = None
        self.is_another_awake = False

    def keep(self) -> None:
        """Say that the worker is awake, unless that is still being said."""
        if self._keeping is None or self._keeping.done():
            self._keeping = self._thread.submit(self._keep)

    def _keep(self) -> None:
        self.is_another_awake = not self._vigil.keep()

    def go_on(self) -> None:
        """Forget that it was ended: there was something to do once more."""
        self._ending = None

    def end(self) -> bool:
        """Let messages be sent again; whether they are by now. Ask again until then."""
        if self._ending is None:
            self._ending = self._thread.submit(self._vigil.end)
        return self._ending.done()

    def end_and(self, call: Callable[[], None] | None) -> None:
        """Let messages be sent again, and call something after that."""
        self._thread.submit(self._vigil.end)
        if call is not None:
            self._thread.submit(call)

    def close(self) -> None:
        """Wait until all of it has happened, or the broker has been given up."""
        self._thread.shutdown(wait=True)


@asynccontextmanager
async def listening(database: Database, news: asyncio.Event) -> AsyncIterator[None]:
    """Set an event whenever deliveries are stored.

    While the database does not answer nothing is heard: whoever waits looks by himself at times.
    """
    task = asyncio.create_task(_listen(database, news))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _listen(database: Database, news: asyncio.Event) -> None:
    while True:
        try:
            async with await database.connect_async(PLATFORM) as connection:
                await connection.execute(f"LISTEN {repository.CHANNEL}")
                news.set()
                async for _ in connection.notifies():
                    news.set()
        except (psycopg.Error, Unavailable) as error:
            log.info("vigil.not_listening", reason=str(error))
        await asyncio.sleep(_RETRY_SECONDS)
