"""Looking values up: many questions of the same moment are one transaction.

While a transaction is under way, the questions that arrive wait together and go with the next one. A lonely question
waits for nothing, and at many a second the cost of a transaction with its tenant is shared by all of them.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from services.observables import reads, views
from services.observables.dates import UNKNOWN, Dates
from services.observables.search import host_of, under
from services.observables.views import Reference, View
from shared.database import Database
from shared.stix import NotAnObservable, Observable, detect
from shared.stix.addresses import ipv4, ipv6
from shared.stix.ids import observable_id

INSIDE: Final = 100
"""Of what lies within a network that is asked for, so much is told with the answer; a search tells the rest."""

_TOGETHER: Final = 500
"""Values of one transaction; more are cut, so that one part is read while another one is put together."""

_AT_ONCE: Final = 3
_MANY: Final = 200
"""Values that are worth a transaction beside the one under way; fewer wait for it and share the next."""

_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})


class Answer(msgspec.Struct, omit_defaults=True):
    """What is known about one value.

    Attributes:
        value: as it was asked for.
        observable: None when nobody has said anything about it.
        problem: why the value is no observable.
        within: known networks and domains that it belongs to, and the host of a URL; the nearest first.
        inside: known observables within a network that was asked for, at most 100.
        reference: dates of the reference data behind it, as JSON; of many answers they are told once, beside them.
    """

    value: str
    observable: View | None
    problem: str | None
    within: Sequence[Reference] = ()
    inside: Sequence[Reference] = ()
    reference: msgspec.Raw = UNKNOWN


class Asked(NamedTuple):
    """One value of a question: the observable it is, or why it is none."""

    value: str
    found: Observable | None
    problem: str | None


def ask(value: str) -> Asked:
    """What a text asks for; defanged forms are understood."""
    try:
        return Asked(value, detect(value), None)
    except NotAnObservable as error:
        return Asked(value, None, str(error))


class _Question(NamedTuple):
    """A part of what somebody asks, small enough to be answered together with others."""

    values: Sequence[str]
    answers: asyncio.Future[list[Answer]]


class Lookups:
    """Answers the questions of one process.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dates = Dates(database)
        self._waiting: dict[str, deque[_Question]] = {}
        self._answering: dict[str, set[asyncio.Task[None]]] = {}

    async def one(self, tenant: str, value: str) -> Answer:
        """The answer about one value, with the dates of the data behind it."""
        (answer,) = await self.find(tenant, [value])
        answer.reference = await self.dates.soon()
        return answer

    async def find(self, tenant: str, values: Sequence[str]) -> list[Answer]:
        """Answers in the order of the values."""
        loop, waiting = asyncio.get_running_loop(), self._waiting.setdefault(tenant, deque())
        parts = [
            _Question(values[start : start + _TOGETHER], loop.create_future())
            for start in range(0, len(values), _TOGETHER)
        ]
        waiting.extend(parts)
        tasks = self._answering.setdefault(tenant, set())
        many = sum(len(part.values) for part in waiting) >= _MANY
        for _ in range(min(len(waiting), (_AT_ONCE if many else 1) - len(tasks))):
            task = asyncio.create_task(self._answer(tenant))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return [answer for part in parts for answer in await part.answers]

    async def _answer(self, tenant: str) -> None:
        waiting = self._waiting[tenant]
        while waiting:
            together = [waiting.popleft()]
            size = len(together[0].values)
            while waiting and size + len(waiting[0].values) <= _TOGETHER:
                size += len(waiting[0].values)
                together.append(waiting.popleft())
            values = [value for question in together for value in question.values]
            try:
                found = await asyncio.to_thread(_find, self._database, tenant, values)
            except Exception as error:  # noqa: BLE001  # each of those who asked is told
                for question in together:
                    if not question.answers.done():
                        question.answers.set_exception(error)
                continue
            start = 0
            for question in together:
                if not question.answers.done():  # whoever asked may have gone
                    question.answers.set_result(found[start : start + len(question.values)])
                start += len(question.values)


def _find(database: Database, tenant: str, values: Sequence[str]) -> list[Answer]:
    return answer(database, tenant, [ask(value) for value in values])


def answer(database: Database, tenant: str, asked: Sequence[Asked], as_of: datetime | None = None) -> list[Answer]:
    """Answers from one transaction, by what is recorded now or was at the moment `as_of`."""
    with database.reading(tenant) as connection:
        prefixes = reads.ask_prefixes(connection, tenant)
        ids = [_id(one.found) if one.found else "" for one in asked]
        networks = [place for place, one in enumerate(asked) if _is_network(one.found)]
        inside = reads.inside(connection, tenant, [under(_value(asked[place]))[0] for place in networks], INSIDE + 1)
        names = [_above(one.found, {}) for one in asked]
        first = {*ids, *chain.from_iterable(names), *chain.from_iterable(inside)} - {""}
        gathered = [reads.gather(connection, tenant, first, as_of)]
        lengths = reads.prefixes(prefixes)
        above = [_above(one.found, lengths) for one in asked] if lengths else names
        if rest := {*chain.from_iterable(above)} - first:
            gathered.append(reads.gather(connection, tenant, rest, as_of))
    now = as_of or datetime.now(UTC)
    known = {identity: view for each in gathered for identity, view in views.views(each, now).items()}
    answers = [Answer(one.value, known.get(identity), one.problem) for one, identity in zip(asked, ids, strict=True)]
    for place, around in enumerate(above):
        if found := _references(around, known):
            answers[place].within = found
    for place, held in zip(networks, inside, strict=True):
        if found := _references([one for one in held if one != ids[place]][:INSIDE], known):
            answers[place].inside = found
    return answers


def _value(asked: Asked) -> str:
    return asked.found.value if asked.found else asked.value


def _references(ids: Sequence[str], known: dict[str, View]) -> list[Reference]:
    return [views.reference(known[identity]) for identity in ids if identity in known]


def _id(found: Observable) -> str:
    return observable_id(found.type, found.value)


def _is_network(found: Observable | None) -> bool:
    return found is not None and found.type in _ADDRESSES and "/" in found.value


def _above(found: Observable | None, lengths: dict[str, list[int]]) -> list[str]:
    """Ids of what an observable lies within, were it known: hosts, domains above, networks around."""
    if found is None or (not lengths and found.type in _ADDRESSES):
        return []
    match found.type:
        case "domain-name":
            return [observable_id("domain-name", name) for name in parents(found.value)]
        case "email-addr":
            domain = found.value.rpartition("@")[2]
            return [observable_id("domain-name", name) for name in (domain, *parents(domain))]
        case "url":
            return _above_host(host_of(found.value), lengths)
        case "ipv4-addr" | "ipv6-addr":
            return [observable_id(found.type, network) for network in _around(found, lengths)]
    return []


def _above_host(host: str, lengths: dict[str, list[int]]) -> list[str]:
    try:
        found = detect(host)
    except NotAnObservable:
        return []
    return [_id(found), *_above(found, lengths)]


def parents(name: str) -> list[str]:
    """The domains above a domain, the nearest first, without the top-level one."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels) - 1)][:8]


def _around(found: Observable, lengths: dict[str, list[int]]) -> list[str]:
    address, _, own = found.value.partition("/")
    shorter = [length for length in lengths.get(found.type, ()) if not own or length < int(own)]
    network = ipv6 if ":" in address else ipv4
    around = []
    for length in sorted(shorter, reverse=True):
        try:
            around.append(network(f"{address}/{length}"))
        except NotAnObservable:  # the network that starts at zero is none
            continue
    return around
