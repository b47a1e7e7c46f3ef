"""Looking values up: many questions of the same moment are one transaction.

While a transaction is under way, the questions that arrive wait together and go with the next one. A lonely question
waits for nothing, and at many a second the cost of a transaction with its tenant is shared by all of them.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

import msgspec
from psycopg_pool import PoolTimeout

from services.observables.lookup.assembly import (
    TOGETHER,
    Asked,
    Steps,
    answers_to,
    ask,
    describe,
    parts_of,
)
from services.observables.reference.data_dates import DatasetDates
from shared.database import Database
from shared.stix import ObservableType

_AT_ONCE: Final = 2
"""Parts under way: one with PostgreSQL, one being prepared or put together."""

_encode: Final = msgspec.json.Encoder().encode


class _Question(NamedTuple):
    """A part of what somebody asks, small enough to be answered together with others.

    Attributes:
        type: of the values; None where they are what they look like.
        describe: whether to tell what lies here about a value nobody has spoken of.
        weight: what it counts for in a transaction.
        answers: in the order of the values, as the items of a JSON array.
    """

    tenant: str
    type: ObservableType | None
    describe: bool
    values: Sequence[str]
    weight: int
    answers: asyncio.Future[bytes]


class Lookups:
    """Answers the questions of one process, as JSON.

    One thread answers them all: while PostgreSQL works on one part it prepares another or puts one together. More
    threads would take the interpreter from each other, and each other's objects out of the processor's caches.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.data_dates = DatasetDates(database)
        self._arrived: deque[_Question] = deque()
        self._thread = ThreadPoolExecutor(1, "lookups")
        self._working: asyncio.AbstractEventLoop | None = None

    async def one(self, tenant: str, value: str, type_: ObservableType | None = None) -> bytes:
        """What is known about one value, with the dates of the data behind it."""
        (answer,) = await self._ask(tenant, [value], type_, describe=True)
        return b'%b,"reference":%b}' % (answer[:-1], bytes(await self.data_dates.get_async()))

    async def many(
        self,
        tenant: str,
        values: Sequence[str],
        type_: ObservableType | None = None,
        *,
        describe: bool = False,
    ) -> bytes:
        """What is known about values, in their order, with the dates of the data behind it told once."""
        items = b",".join(await self._ask(tenant, values, type_, describe=describe))
        return b'{"items":[%b],"reference":%b}' % (items, bytes(await self.data_dates.get_async()))

    async def _ask(
        self, tenant: str, values: Sequence[str], type_: ObservableType | None, *, describe: bool
    ) -> list[bytes]:
        loop = asyncio.get_running_loop()
        parts = [
            _Question(tenant, type_, describe, part, weight, loop.create_future())
            for part, weight in parts_of(values)
        ]
        self._arrived.extend(parts)
        self._wake(loop)
        return await asyncio.gather(*(part.answers for part in parts))

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        def rest(_done: asyncio.Future[None]) -> None:
            self._working = None
            if self._arrived:  # just when it went to rest
                self._wake(loop)

        if self._working is not loop:
            self._working = loop
            loop.run_in_executor(self._thread, self._work).add_done_callback(rest)

    def _work(self) -> None:
        """Answer until no question is left; tenants take turns."""
        waiting: dict[str, deque[_Question]] = {}
        under_way: deque[tuple[Steps[list[bytes]], list[_Question]]] = deque()
        while self._arrived or waiting or under_way:
            while self._arrived:
                question = self._arrived.popleft()
                waiting.setdefault(question.tenant, deque()).append(question)
            if waiting and len(under_way) < _AT_ONCE:
                together = _next_of(waiting)
                steps = _find(self._database, together[0].tenant, together)
            else:
                steps, together = under_way.popleft()
            try:
                next(steps)
            except StopIteration as end:
                _tell(together, end.value)
            except Exception as error:  # noqa: BLE001  # each of those who asked is told
                if isinstance(
                    error.__cause__, PoolTimeout
                ):  # nobody else has to wait until it is known again
                    together += [one for questions in waiting.values() for one in questions]
                    waiting.clear()
                _tell(together, [error] * len(together))
            else:
                under_way.append((steps, together))


def _next_of(waiting: dict[str, deque[_Question]]) -> list[_Question]:
    """Questions of the tenant whose turn it is, as many as go together; it then waits for its next turn."""
    tenant = next(iter(waiting))
    questions = waiting.pop(tenant)
    together = [questions.popleft()]
    weight = together[0].weight
    while questions and weight + questions[0].weight <= TOGETHER:
        weight += questions[0].weight
        together.append(questions.popleft())
    if questions:
        waiting[tenant] = questions
    return together


def _tell(together: Sequence[_Question], outcomes: Sequence[bytes | Exception]) -> None:
    """Hand outcomes over to the loops on which somebody waits for them."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Question, bytes | Exception]]] = {}
    for question, outcome in zip(together, outcomes, strict=True):
        by_loop.setdefault(question.answers.get_loop(), []).append((question, outcome))
    for loop, told in by_loop.items():
        with suppress(RuntimeError):  # the loop has ended, and with it whoever asked
            loop.call_soon_threadsafe(_told, told)


def _told(told: Sequence[tuple[_Question, bytes | Exception]]) -> None:
    for question, outcome in told:
        if question.answers.done():  # whoever asked may have gone
            continue
        if isinstance(outcome, bytes):
            question.answers.set_result(outcome)
        else:
            question.answers.set_exception(outcome)


def _find(database: Database, tenant: str, questions: Sequence[_Question]) -> Steps[list[bytes]]:
    """The answers to several questions, each as the items of a JSON array: made where the objects were, and die."""
    asked: list[Asked] = []
    for one in questions:
        if one.type is None and not one.describe:
            asked += map(ask, one.values)
        else:
            asked += [ask(value, one.type, describe=one.describe) for value in one.values]
    found = yield from answers_to(database, tenant, asked)
    if any(one.describe for one in questions):
        describe(database, asked, found)
    answers = iter(found)
    return [_encode(list(islice(answers, len(one.values))))[1:-1] for one in questions]
