"""Looking values up: many questions of the same moment are one transaction.

While a transaction is under way, the questions that arrive wait together and go with the next one. A lonely question
waits for nothing, and at many a second the cost of a transaction with its tenant is shared by all of them.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from services.observables import reads, views
from services.observables.reading import dashed
from services.observables.search import host_of, under
from services.observables.views import Reference, View
from shared.database import Database
from shared.stix import NotAnObservable, Observable, detect
from shared.stix.addresses import ipv4, ipv6
from shared.stix.ids import observable_uuid

INSIDE: Final = 100
"""Of what lies within a network that is asked for, so much is told with the answer; a search tells the rest."""

_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
_HOSTED: Final = _ADDRESSES | {"url"}


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
    within: list[Reference] = []
    inside: list[Reference] = []


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


class Lookups:
    """Answers the questions of one process.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[str, list[tuple[list[Asked], asyncio.Future[list[Answer]]]]] = {}
        self._answering: dict[str, asyncio.Task[None]] = {}

    async def find(self, tenant: str, values: Sequence[str]) -> list[Answer]:
        """Answers in the order of the values."""
        answers: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, []).append(([ask(value) for value in values], answers))
        if tenant not in self._answering:
            self._answering[tenant] = asyncio.create_task(self._answer(tenant))
        return await answers

    async def _answer(self, tenant: str) -> None:
        try:
            while together := self._waiting.pop(tenant, None):
                asked = [one for questions, _ in together for one in questions]
                try:
                    found = await asyncio.to_thread(answer, self._database, tenant, asked)
                except Exception as error:  # noqa: BLE001  # each of those who asked is told
                    for _, waiting in together:
                        if not waiting.done():
                            waiting.set_exception(error)
                    continue
                start = 0
                for questions, waiting in together:
                    if not waiting.done():  # whoever asked may have gone
                        waiting.set_result(found[start : start + len(questions)])
                    start += len(questions)
        finally:
            del self._answering[tenant]


def answer(database: Database, tenant: str, asked: Sequence[Asked], as_of: datetime | None = None) -> list[Answer]:
    """Answers from one transaction, by what is recorded now or was at the moment `as_of`."""
    with database.transaction(tenant) as session:
        hosted = any(one.found is not None and one.found.type in _HOSTED for one in asked)
        lengths = reads.prefixes(session, tenant) if hosted else {}
        above = [_above(one.found, lengths) for one in asked]
        networks = [place for place, one in enumerate(asked) if _is_network(one.found)]
        inside = reads.inside(session, tenant, [under(_value(asked[place]))[0] for place in networks], INSIDE + 1)
        ids = [_id(one.found) if one.found else "" for one in asked]
        wanted = {*ids, *(identity for each in above for identity in each), *(i for each in inside for i in each)}
        gathered = reads.gather(session, tenant, wanted - {""}, as_of)
    known = views.views(gathered, as_of or datetime.now(UTC))
    held = dict(zip(networks, inside, strict=True))
    return [
        Answer(
            one.value,
            known.get(ids[place]),
            one.problem,
            _references(above[place], known),
            _references([found for found in held.get(place, ()) if found != ids[place]][:INSIDE], known),
        )
        for place, one in enumerate(asked)
    ]


def _value(asked: Asked) -> str:
    return asked.found.value if asked.found else asked.value


def _references(ids: Iterable[str], known: dict[str, View]) -> list[Reference]:
    return [views.reference(known[identity]) for identity in ids if identity in known]


def _id(found: Observable) -> str:
    return dashed(observable_uuid(found.type, found.value))


def _is_network(found: Observable | None) -> bool:
    return found is not None and found.type in _ADDRESSES and "/" in found.value


def _above(found: Observable | None, lengths: dict[str, list[int]]) -> list[str]:
    """Ids of what an observable lies within, were it known: hosts, domains above, networks around."""
    if found is None:
        return []
    match found.type:
        case "domain-name":
            return [dashed(observable_uuid("domain-name", name)) for name in parents(found.value)]
        case "email-addr":
            domain = found.value.rpartition("@")[2]
            return [dashed(observable_uuid("domain-name", name)) for name in (domain, *parents(domain))]
        case "url":
            return _above_host(host_of(found.value), lengths)
        case "ipv4-addr" | "ipv6-addr":
            return [dashed(observable_uuid(found.type, network)) for network in _around(found, lengths)]
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
