"""From values to answers: what is known about each, and what lies around and within it."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec

from services.observables.lookup import read_models, repository
from services.observables.lookup.read_models import View
from services.observables.lookup.repository import Gathered
from services.observables.reference import context
from services.observables.store.references import Reference
from services.observables.store.search_keys import host_of, under
from shared.database import Database
from shared.stix import NotAnObservable, ObservableType, detect, normalise
from shared.stix.addresses import ipv4, ipv6
from shared.stix.ids import observable_id

INSIDE: Final = 100
"""Of what lies within a network that is asked for, so much is told with the answer; a search tells the rest."""

TOGETHER: Final = 5_000
"""Values of one transaction; more are cut, so that one part is read while another one is put together."""

_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
_NAMED: Final = frozenset({"domain-name", "email-addr", "url"})
_PLACED: Final = _ADDRESSES | {"url"}
"""What may lie within a network."""

_ALIKE: Final = {
    32: (ObservableType.MD5, (ObservableType.IMPHASH, ObservableType.JA3)),
    40: (ObservableType.SHA1, (ObservableType.X509_SHA1,)),
    64: (ObservableType.SHA256, (ObservableType.X509_SHA256,)),
}
"""By length, what a hash is taken for, and what else may look like it."""

_SHAPELESS: Final = (
    ObservableType.FILE_NAME,
    ObservableType.FILE_PATH,
    ObservableType.MUTEX,
    ObservableType.USER_AGENT,
)

_NETWORK: Final = re.compile(r"/[0-9]{1,3}\s*$")
"""How networks end; of each, so much may be told that it counts for many values."""

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that pauses while PostgreSQL does its part, for whoever has something else to do."""


class Answer(msgspec.Struct, omit_defaults=True):
    """What is known about one value.

    Attributes:
        value: as it was asked for.
        observable: None when nobody has said anything about it.
        problem: why the value is no observable.
        others: further observables that have this value: 32 digits may be a file's MD5, an imphash and a JA3.
        context: of a value nobody has spoken of, what offline enrichers know: its network, allow-lists it is on.
        within: known networks and domains that it belongs to, and the host of a URL; the nearest first.
        inside: known observables within a network that was asked for, at most 100.
    """

    value: str
    observable: View | None
    problem: str | None
    others: Sequence[Reference] = ()
    context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    within: Sequence[Reference] = ()
    inside: Sequence[Reference] = ()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One value of a question, as it was asked for: the observable it is, or why it is none (type, text, id empty).

    `others` are the ids of what it may be as well; a value that looks like nothing may be of a type without a shape.
    `describe` asks for what lies here about a value that nobody has spoken of.
    """

    value: str
    type: str = ""
    text: str = ""
    id: str = ""
    problem: str | None = None
    others: tuple[str, ...] = ()
    describe: bool = False


def ask(value: str, type_: ObservableType | None = None, *, describe: bool = False) -> Asked:
    """What a text asks for, of a type or of whatever type it looks like; defanged forms are understood."""
    try:
        if type_ is not None:
            text = normalise(type_, value)
            return Asked(value, type_, text, observable_id(type_, text), describe=describe)
        found = detect(value)
    except NotAnObservable as error:
        return Asked(
            value,
            problem=str(error),
            others=() if type_ is not None else tuple(_ids(_SHAPELESS, value)),
        )
    taken_for, alike = _ALIKE.get(len(found.value), (None, ()))
    others = tuple(_ids(alike, found.value)) if found.type is taken_for else ()
    return Asked(
        value,
        found.type,
        found.value,
        observable_id(found.type, found.value),
        None,
        others,
        describe,
    )


def _ids(types: Sequence[ObservableType], value: str) -> Iterator[str]:
    for type_ in types:
        with suppress(NotAnObservable):
            yield observable_id(type_, normalise(type_, value))


def parts_of(values: Sequence[str]) -> Iterator[tuple[Sequence[str], int]]:
    """Cut values into parts that are good for one transaction, each with its weight."""
    start = weight = 0
    for place, value in enumerate(values):
        more = INSIDE if "/" in value and "://" not in value and _NETWORK.search(value) else 1
        if weight + more > TOGETHER:
            yield values[start:place], weight
            start, weight = place, 0
        weight += more
    yield values[start:], weight


def answer(
    database: Database,
    tenant: str,
    values: Sequence[str],
    type_: ObservableType | None = None,
    as_of: datetime | None = None,
) -> list[Answer]:
    """Answers by what is recorded now or was at the moment `as_of`."""
    answers: list[Answer] = []
    for part, _ in parts_of(values):
        steps = answers_to(database, tenant, [ask(value, type_) for value in part], as_of)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                answers += end.value
                break
    return answers


def answers_to(
    database: Database, tenant: str, asked: Sequence[Asked], as_of: datetime | None = None
) -> Steps[list[Answer]]:
    """The same in steps: it pauses where PostgreSQL does its part."""
    networks = [
        place for place, one in enumerate(asked) if one.type in _ADDRESSES and "/" in one.text
    ]
    above = {
        place: _above(one.type, one.text, {})
        for place, one in enumerate(asked)
        if one.type in _NAMED
    }
    inside: list[list[str]] = []
    with database.read_transaction(tenant) as connection:
        prefixes = repository.ask_prefixes(connection, tenant)
        if networks:
            ranges = [under(asked[place].text)[0] for place in networks]
            held = repository.ask_inside(connection, tenant, ranges, INSIDE + 1)
            yield
            inside = repository.inside(held, len(ranges))
        first = {one.id for one in asked}.union(
            *above.values(), *inside, *(one.others for one in asked if one.others)
        ) - {""}
        asking = repository.ask(connection, tenant, first, as_of)
        yield
    gathered = [repository.answered(asking)]
    if lengths := repository.prefixes(prefixes):
        around = {
            place: _above(one.type, one.text, lengths)
            for place, one in enumerate(asked)
            if one.type in _PLACED
        }
        above |= around
        if rest := set[str]().union(*around.values()) - first:
            with database.read_transaction(tenant) as connection:
                asking = repository.ask(connection, tenant, rest, as_of)
                yield
            gathered.append(repository.answered(asking))
    held_in = dict(zip(networks, inside, strict=True))
    return _put_together(asked, gathered, above, held_in, as_of or datetime.now(UTC))


def _put_together(
    asked: Sequence[Asked],
    gathered: Sequence[Gathered],
    above: dict[int, list[str]],
    inside: dict[int, list[str]],
    now: datetime,
) -> list[Answer]:
    """Answers from what was gathered and, by the place of a question, ids of what lies around and inside."""
    known = {
        identity: view
        for each in gathered
        for identity, view in read_models.views(each, now).items()
    }
    answers = [
        _of_several(one, known) if one.others else Answer(one.value, known.get(one.id), one.problem)
        for one in asked
    ]
    for place, around in above.items():
        if found := _references(around, known):
            answers[place].within = found
    for place, held in inside.items():
        if found := _references([one for one in held if one != asked[place].id][:INSIDE], known):
            answers[place].inside = found
    return answers


def _of_several(one: Asked, known: dict[str, View]) -> Answer:
    """Of all that a value may be, what is known."""
    found = [known[identity] for identity in (one.id, *one.others) if identity in known]
    if not found:
        return Answer(one.value, None, one.problem)
    return Answer(one.value, found[0], None, [read_models.reference(other) for other in found[1:]])


def describe(database: Database, asked: Sequence[Asked], answers: Sequence[Answer]) -> None:
    """Say of values that nobody has spoken of what offline enrichers know, where it is asked for."""
    unknown = [
        (place, one)
        for place, one in enumerate(asked)
        if one.describe and one.id and answers[place].observable is None
    ]
    if not unknown:
        return
    context.reload_if_stale_from(database)
    contexts = context.describe_values((str(place), one.type, one.text) for place, one in unknown)
    for place, text in contexts.items():
        answers[int(place)].context = msgspec.Raw(text.encode())


def _references(ids: Sequence[str], known: dict[str, View]) -> list[Reference]:
    return [read_models.reference(known[identity]) for identity in ids if identity in known]


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
    """The domains above a domain, the nearest first, without the top-level one.

    Of a name as long as tunnels through the DNS make them the nearest four, and the eight that are nobody's payload.
    """
    labels = name.split(".")
    starts = range(1, len(labels) - 1)
    return [
        ".".join(labels[start:])
        for start in (starts if len(starts) <= 12 else (*starts[:4], *starts[-8:]))
    ]


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
