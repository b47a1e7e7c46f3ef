"""Looking values up: many questions of the same moment are one transaction.

While a transaction is under way, the questions that arrive wait together and go with the next one. A lonely question
waits for nothing, and at many a second the cost of a transaction with its tenant is shared by all of them.
"""

import asyncio
import re
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple, TypeVar

import msgspec
from psycopg_pool import PoolTimeout

from services.observables import reads, views
from services.observables.dates import Dates
from services.observables.reads import Gathered
from services.observables.search import host_of, under
from services.observables.views import Reference, View
from shared.database import Database
from shared.stix import NotAnObservable, detect
from shared.stix.addresses import ipv4, ipv6
from shared.stix.ids import observable_id

INSIDE: Final = 100
"""Of what lies within a network that is asked for, so much is told with the answer; a search tells the rest."""

TOGETHER: Final = 5_000
"""Values of one transaction; more are cut, so that one part is read while another one is put together."""

_AT_ONCE: Final = 2
"""Parts under way: one with PostgreSQL, one being prepared or put together."""

_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
_NAMED: Final = frozenset({"domain-name", "email-addr", "url"})
_PLACED: Final = _ADDRESSES | {"url"}
"""What may lie within a network."""

_NETWORK: Final = re.compile(r"/[0-9]{1,3}\s*$")
"""How networks end; of each, so much may be told that it counts for many values."""

_encode: Final = msgspec.json.Encoder().encode

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that pauses while PostgreSQL does its part, for whoever has something else to do."""


class Answer(msgspec.Struct, omit_defaults=True):
    """What is known about one value.

    Attributes:
        value: as it was asked for.
        observable: None when nobody has said anything about it.
        problem: why the value is no observable.
        within: known networks and domains that it belongs to, and the host of a URL; the nearest first.
        inside: known observables within a network that was asked for, at most 100.
    """

    value: str
    observable: View | None
    problem: str | None
    within: Sequence[Reference] = ()
    inside: Sequence[Reference] = ()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One value of a question, as it was asked for: the observable it is, or why it is none (type, text, id empty)."""

    value: str
    type: str = ""
    text: str = ""
    id: str = ""
    problem: str | None = None


def ask(value: str) -> Asked:
    """What a text asks for; defanged forms are understood."""
    try:
        found = detect(value)
    except NotAnObservable as error:
        return Asked(value, problem=str(error))
    return Asked(value, found.type, found.value, observable_id(found.type, found.value))


class _Question(NamedTuple):
    """A part of what somebody asks, small enough to be answered together with others.

    Attributes:
        weight: what it counts for in a transaction.
        answers: in the order of the values, as the items of a JSON array.
    """

    tenant: str
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
        self.dates = Dates(database)
        self._arrived: deque[_Question] = deque()
        self._thread = ThreadPoolExecutor(1, "lookups")
        self._working: asyncio.AbstractEventLoop | None = None

    async def one(self, tenant: str, value: str) -> bytes:
        """What is known about one value, with the dates of the data behind it."""
        (answer,) = await self._ask(tenant, [value])
        return b'%b,"reference":%b}' % (answer[:-1], bytes(await self.dates.soon()))

    async def many(self, tenant: str, values: Sequence[str]) -> bytes:
        """What is known about values, in their order, with the dates of the data behind it told once."""
        items = b",".join(await self._ask(tenant, values))
        return b'{"items":[%b],"reference":%b}' % (items, bytes(await self.dates.soon()))

    async def _ask(self, tenant: str, values: Sequence[str]) -> list[bytes]:
        loop = asyncio.get_running_loop()
        parts = [_Question(tenant, part, weight, loop.create_future()) for part, weight in _parts(values)]
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
                steps = _find(self._database, together[0].tenant, [one.values for one in together])
            else:
                steps, together = under_way.popleft()
            try:
                next(steps)
            except StopIteration as end:
                _tell(together, end.value)
            except Exception as error:  # noqa: BLE001  # each of those who asked is told
                if isinstance(error.__cause__, PoolTimeout):  # nobody else has to wait until it is known again
                    together += [one for questions in waiting.values() for one in questions]
                    waiting.clear()
                _tell(together, [error] * len(together))
            else:
                under_way.append((steps, together))


def _parts(values: Sequence[str]) -> Iterator[tuple[Sequence[str], int]]:
    """Cut values into parts that are good for one transaction, each with its weight."""
    start = weight = 0
    for place, value in enumerate(values):
        more = INSIDE if "/" in value and "://" not in value and _NETWORK.search(value) else 1
        if weight + more > TOGETHER:
            yield values[start:place], weight
            start, weight = place, 0
        weight += more
    yield values[start:], weight


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


def _find(database: Database, tenant: str, parts: Sequence[Sequence[str]]) -> Steps[list[bytes]]:
    """The answers to several questions, each as the items of a JSON array: made where the objects were, and die."""
    found = yield from _answer(database, tenant, [ask(value) for part in parts for value in part])
    answers = iter(found)
    return [_encode(list(islice(answers, len(part))))[1:-1] for part in parts]


def answer(database: Database, tenant: str, values: Sequence[str], as_of: datetime | None = None) -> list[Answer]:
    """Answers by what is recorded now or was at the moment `as_of`."""
    answers: list[Answer] = []
    for part, _ in _parts(values):
        steps = _answer(database, tenant, [ask(value) for value in part], as_of)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                answers += end.value
                break
    return answers


def _answer(
    database: Database, tenant: str, asked: Sequence[Asked], as_of: datetime | None = None
) -> Steps[list[Answer]]:
    networks = [place for place, one in enumerate(asked) if one.type in _ADDRESSES and "/" in one.text]
    above = {place: _above(one.type, one.text, {}) for place, one in enumerate(asked) if one.type in _NAMED}
    inside: list[list[str]] = []
    with database.reading(tenant) as connection:
        prefixes = reads.ask_prefixes(connection, tenant)
        if networks:
            ranges = [under(asked[place].text)[0] for place in networks]
            held = reads.ask_inside(connection, tenant, ranges, INSIDE + 1)
            yield
            inside = reads.inside(held, len(ranges))
        first = {one.id for one in asked}.union(*above.values(), *inside) - {""}
        asking = reads.ask(connection, tenant, first, as_of)
        yield
    gathered = [reads.answered(asking)]
    if lengths := reads.prefixes(prefixes):
        around = {place: _above(one.type, one.text, lengths) for place, one in enumerate(asked) if one.type in _PLACED}
        above |= around
        if rest := set[str]().union(*around.values()) - first:
            with database.reading(tenant) as connection:
                asking = reads.ask(connection, tenant, rest, as_of)
                yield
            gathered.append(reads.answered(asking))
    return _put_together(asked, gathered, above, dict(zip(networks, inside, strict=True)), as_of or datetime.now(UTC))


def _put_together(
    asked: Sequence[Asked],
    gathered: Sequence[Gathered],
    above: dict[int, list[str]],
    inside: dict[int, list[str]],
    now: datetime,
) -> list[Answer]:
    """Answers from what was gathered and, by the place of a question, ids of what lies around and inside."""
    known = {identity: view for each in gathered for identity, view in views.views(each, now).items()}
    answers = [Answer(one.value, known.get(one.id), one.problem) for one in asked]
    for place, around in above.items():
        if found := _references(around, known):
            answers[place].within = found
    for place, held in inside.items():
        if found := _references([one for one in held if one != asked[place].id][:INSIDE], known):
            answers[place].inside = found
    return answers


def _references(ids: Sequence[str], known: dict[str, View]) -> list[Reference]:
    return [views.reference(known[identity]) for identity in ids if identity in known]


def _above(type_: str, value: str, lengths: dict[str, list[int]]) -> list[str]:
    """Ids of what an observable lies within, were it known: hosts, domains above, networks around."""
    match type_:
        case "domain-name":
            return [observable_id("domain-name", name) for name in parents(value)]
        case "email-addr":
            domain = value.rpartition("@")[2]
            return [observable_id("domain-name", name) for name in (domain, *parents(domain))]
        case "url":
            return _above_host(host_of(value), lengths)
        case "ipv4-addr" | "ipv6-addr":
            return [observable_id(type_, network) for network in _around(type_, value, lengths)]
    return []


def _above_host(host: str, lengths: dict[str, list[int]]) -> list[str]:
    found = ask(host)
    return [found.id, *_above(found.type, found.text, lengths)] if found.id else []


def parents(name: str) -> list[str]:
    """The domains above a domain, the nearest first, without the top-level one."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels) - 1)][:8]


def _around(type_: str, value: str, lengths: dict[str, list[int]]) -> list[str]:
    address, _, own = value.partition("/")
    shorter = [length for length in lengths.get(type_, ()) if not own or length < int(own)]
    network = ipv6 if ":" in address else ipv4
    around = []
    for length in sorted(shorter, reverse=True):
        try:
            around.append(network(f"{address}/{length}"))
        except NotAnObservable:  # the network that starts at zero is none
            continue
    return around
