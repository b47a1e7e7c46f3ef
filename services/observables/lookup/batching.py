"""Many lookups of one moment in one transaction.

While a transaction is under way, the lookups that arrive wait and go together with the next one. A
single lookup waits for nothing, and at many a second they share the cost of a transaction with its
tenant.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from services.observables.lookup.assembly import (
    MAX_TOGETHER,
    Steps,
    ValueQuery,
    answer_in_steps,
    cut,
    describe,
    parse_query,
)
from services.observables.reference.data_dates import DatasetDates
from shared.database import Database
from shared.postgres.reader_pool import ReaderPoolTimeout
from shared.stix import ObservableType

_AT_ONCE: Final = 2
"""Batches under way: one with PostgreSQL, one being prepared or assembled."""

_encode: Final = msgspec.json.Encoder().encode


class _Lookup(NamedTuple):
    """A part of a request, small enough to be answered together with others.

    Attributes:
        type: of the values; None when each is of the type it looks like.
        describe: whether answers have the facts of offline enrichers about unknown values.
        weight: its share of a transaction.
        answers: in the order of the values, as the items of a JSON array.
    """

    tenant: str
    type: ObservableType | None
    describe: bool
    values: Sequence[str]
    weight: int
    answers: asyncio.Future[bytes]


class Lookups:
    """Answers the lookups of one process, as JSON.

    One thread answers them all: while PostgreSQL works on one batch it prepares another or
    assembles one. More threads would take the interpreter from each other, and each other's objects
    out of the processor's caches.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.data_dates = DatasetDates(database)
        self._arrived: deque[_Lookup] = deque()
        self._thread = ThreadPoolExecutor(1, "lookups")
        self._loop: asyncio.AbstractEventLoop | None = None

    async def look_up(self, tenant: str, value: str, type_: ObservableType | None = None) -> bytes:
        """The answer about one value, with the dates of the reference data behind it."""
        (answer,) = await self._answer(tenant, [value], type_, describe=True)
        return b'%b,"reference":%b}' % (answer[:-1], bytes(await self.data_dates.get_async()))

    async def look_up_many(
        self,
        tenant: str,
        values: Sequence[str],
        type_: ObservableType | None = None,
        *,
        describe: bool = False,
    ) -> bytes:
        """The answers about values, in their order, with the dates of the reference data once."""
        items = b",".join(await self._answer(tenant, values, type_, describe=describe))
        return b'{"items":[%b],"reference":%b}' % (items, bytes(await self.data_dates.get_async()))

    async def _answer(
        self, tenant: str, values: Sequence[str], type_: ObservableType | None, *, describe: bool
    ) -> list[bytes]:
        loop = asyncio.get_running_loop()
        lookups = [
            _Lookup(tenant, type_, describe, part, weight, loop.create_future())
            for part, weight in cut(values)
        ]
        self._arrived.extend(lookups)
        self._wake(loop)
        return await asyncio.gather(*(lookup.answers for lookup in lookups))

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread, unless it works."""

        def stop(_done: asyncio.Future[None]) -> None:
            self._loop = None
            if self._arrived:  # since the thread looked for the last time
                self._wake(loop)

        if self._loop is not loop:
            self._loop = loop
            loop.run_in_executor(self._thread, self._work).add_done_callback(stop)

    def _work(self) -> None:
        """Answer until no lookup is left; tenants take turns."""
        waiting: dict[str, deque[_Lookup]] = {}
        under_way: deque[tuple[Steps[list[bytes]], list[_Lookup]]] = deque()
        while self._arrived or waiting or under_way:
            while self._arrived:
                lookup = self._arrived.popleft()
                waiting.setdefault(lookup.tenant, deque()).append(lookup)
            # Start another batch, or continue the one that waits for PostgreSQL the longest.
            if waiting and len(under_way) < _AT_ONCE:
                batch = _next_batch(waiting)
                steps = _answer_batch(self._database, batch[0].tenant, batch)
            else:
                steps, batch = under_way.popleft()
            try:
                next(steps)
            except StopIteration as end:
                _deliver(batch, end.value)
            except Exception as error:  # noqa: BLE001  # each caller receives it
                # Without a connection every other lookup would wait as long, and fail.
                if isinstance(error.__cause__, ReaderPoolTimeout):
                    for lookups in waiting.values():
                        batch += lookups
                    waiting.clear()
                _deliver(batch, [error] * len(batch))
            else:
                under_way.append((steps, batch))


def _next_batch(waiting: dict[str, deque[_Lookup]]) -> list[_Lookup]:
    """As many lookups as fit of the tenant whose turn it is; it then waits for its next turn."""
    tenant = next(iter(waiting))
    lookups = waiting.pop(tenant)
    batch = [lookups.popleft()]
    weight = batch[0].weight
    while lookups and weight + lookups[0].weight <= MAX_TOGETHER:
        weight += lookups[0].weight
        batch.append(lookups.popleft())
    if lookups:
        waiting[tenant] = lookups
    return batch


def _deliver(batch: Sequence[_Lookup], outcomes: Sequence[bytes | Exception]) -> None:
    """Hand outcomes over to the event loops on which callers wait for them."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Lookup, bytes | Exception]]] = {}
    for lookup, outcome in zip(batch, outcomes, strict=True):
        by_loop.setdefault(lookup.answers.get_loop(), []).append((lookup, outcome))
    for loop, delivered in by_loop.items():
        with suppress(RuntimeError):  # the loop has ended, and its callers with it
            loop.call_soon_threadsafe(_set_results, delivered)


def _set_results(delivered: Sequence[tuple[_Lookup, bytes | Exception]]) -> None:
    for lookup, outcome in delivered:
        if lookup.answers.done():  # the caller has gone
            continue
        if isinstance(outcome, bytes):
            lookup.answers.set_result(outcome)
        else:
            lookup.answers.set_exception(outcome)


def _answer_batch(
    database: Database, tenant: str, lookups: Sequence[_Lookup]
) -> Steps[list[bytes]]:
    """The answers of each lookup, as the items of a JSON array.

    They are encoded here, in the thread that made their objects and frees them.
    """
    queries: list[ValueQuery] = []
    for lookup in lookups:
        if lookup.type is None and not lookup.describe:
            queries += map(parse_query, lookup.values)
        else:
            queries += [
                parse_query(value, lookup.type, describe=lookup.describe) for value in lookup.values
            ]
    answers = yield from answer_in_steps(database, tenant, queries)
    if any(lookup.describe for lookup in lookups):
        describe(database, queries, answers)
    remaining = iter(answers)
    return [_encode(list(islice(remaining, len(lookup.values))))[1:-1] for lookup in lookups]
