"""Sends what a collection got since the last push, batch by batch, under a lease.

A batch counts as sent when its target has it and that is noted, in this order: a worker that dies
between the two is followed by one that sends the batch again.
"""

import asyncio
import time
from functools import partial
from typing import Any, Final
from uuid import UUID

from services.observables.pushes import repository
from services.observables.pushes.models import PushBatch, PushRow
from services.observables.pushes.secrets import unseal
from services.observables.pushes.targets.base import SendOutcome
from services.observables.pushes.targets.registry import push_target_named
from services.observables.pushes.validation import validated
from shared.crypto import UnsealError
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, UpstreamError
from shared.http.client import GuardedClient
from shared.http.outbound import outbound_of
from shared.keys import keys_of
from shared.leases import LeaseKeeper, LeaseLost, ShutdownRequested
from shared.runtime.celery import retry_delay
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

SECONDS: Final = 30.0
"""Seconds after which a push lets others have the worker; what is left goes on with the next."""
SEND_SECONDS: Final = 120.0
"""Seconds that a target has for a batch, with all parts of it and their status."""
MAX_PAUSE: Final = 900.0
"""The longest pause between two attempts."""
_RENEWAL_SECONDS: Final = repository.LEASES.lease.total_seconds() / 3


def push_collection(database: Database, settings: Settings, push_id: UUID) -> dict[str, Any]:
    """Send what a push's target does not have; one without work or with a worker is skipped.

    Returns:
        What became of it, as the task returns it: `status`, and how many objects were sent.
    """
    with database.transaction(PLATFORM) as session:
        row = repository.claim_push(session, push_id)
    if row is None:
        return {"status": "skipped", "sent": 0}
    renew = partial(repository.renew_push, row=row)
    keeper = LeaseKeeper(database, row.tenant, renew, _RENEWAL_SECONDS)
    worker = _Pusher(database, settings, row)
    try:
        with keeper:
            worker.run(keeper)
    except LeaseLost:
        return {"status": "superseded", "sent": worker.sent}
    except ShutdownRequested:
        status = "handed-back"
    except (UpstreamError, InvalidInput, UnsealError) as error:
        _note_failure(database, row, error)
        return {"status": "failed", "sent": worker.sent}
    else:
        status = "ok"
    return {"status": status, "sent": worker.sent}


class _Pusher:
    """Sends for one push.

    Args:
        database: the service's.
        settings: of the process.
        row: the push, which is claimed.

    Attributes:
        sent: how many objects the target has got.
    """

    def __init__(self, database: Database, settings: Settings, row: PushRow) -> None:
        self._database = database
        self._settings = settings
        self._row = row
        self.sent = 0

    def run(self, keeper: LeaseKeeper) -> None:
        """Send batches until nothing is left, or the time is over; give the push back.

        Raises:
            LeaseLost: another worker has the push.
            ShutdownRequested: the worker stops; the push was given back.
            UpstreamError: the target has not taken a batch.
            InvalidInput, UnsealError: the push cannot work as it is configured.
        """
        target = push_target_named(self._row.kind)
        config = validated(target.config, self._row.config, "config")
        keys = keys_of(self._settings)
        secrets = unseal(keys, self._row.id, target, config, self._row.credentials)
        send = partial(target.send, config=config, secrets=secrets)
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                keeper.check()
                if self._send_batch(send):
                    break
        except ShutdownRequested:
            self._release()
            raise
        self._release()

    def _send_batch(self, send: Any) -> bool:
        """Send a batch, and note it; whether it was the last."""
        tenant = self._row.tenant
        with self._database.transaction(tenant) as session:
            batch = repository.read_batch(session, self._row)
        outcome = SendOutcome()
        if batch.objects:
            outcome = asyncio.run(self._send(send, batch))
        with self._database.transaction(tenant) as session:
            self._row = repository.note_progress(
                session, self._row, batch, outcome.refused, outcome.refusal
            )
        self.sent += len(batch.objects) - outcome.refused
        return batch.is_last

    async def _send(self, send: Any, batch: PushBatch) -> SendOutcome:
        allow = outbound_of(self._settings, self._row.tenant)
        try:
            async with asyncio.timeout(SEND_SECONDS), GuardedClient(allow) as client:
                outcome: SendOutcome = await send(batch.objects, client=client)
                return outcome
        except TimeoutError:
            message = f"The target did not take a batch within {SEND_SECONDS:g} seconds."
            raise UpstreamError(message) from None

    def _release(self) -> None:
        with self._database.transaction(self._row.tenant) as session:
            repository.release_push(session, self._row)


def _note_failure(
    database: Database, row: PushRow, error: UpstreamError | InvalidInput | UnsealError
) -> None:
    """Let a push wait, the longer the more often it has failed; who edits it ends the pause."""
    seconds = MAX_PAUSE
    if isinstance(error, UpstreamError) and error.retryable:
        seconds = retry_delay(error, row.attempts, cap=MAX_PAUSE)
    log.warning("push.failed", push=str(row.id), kind=row.kind, reason=error.message)
    try:
        with database.transaction(row.tenant) as session:
            repository.retry_push(session, row, seconds=seconds, error=error.as_dict())
    except LeaseLost:
        log.info("push.superseded", push=str(row.id))
