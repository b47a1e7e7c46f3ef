"""From values to answers: what is stored about each, and what lies around and within it."""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from services.observables.lookup import read_models
from services.observables.lookup.read_models import DataDates, ObservableView
from services.observables.reference import context
from services.observables.scoring.inheritance import Inheritance, inherited
from services.observables.store.references import ObservableReference
from services.observables.store.repository import networks, read
from services.observables.store.repository.read import StoredRows
from services.observables.store.search_keys import host_of, under
from shared.database import Database
from shared.stix import NotAnObservable, ObservableType, detect, normalise
from shared.stix.addresses import ipv4, ipv6
from shared.stix.attack_ids import attack_ids
from shared.stix.ids import observable_id

MAX_INSIDE: Final = 100
"""Observables within a network that come with its answer; a search gives all of them."""

MAX_TOGETHER: Final = 5_000
"""Values of one transaction. More are cut, so that one part is read while another is assembled."""

_ADDRESSES: Final = frozenset({"ipv4-addr", "ipv6-addr"})
_WITH_DOMAINS: Final = frozenset({"domain-name", "email-addr", "url"})
_WITH_NETWORKS: Final = _ADDRESSES | {"url"}

_HASHES: Final = {
    32: (ObservableType.MD5, (ObservableType.IMPHASH, ObservableType.JA3)),
    40: (ObservableType.SHA1, (ObservableType.X509_SHA1,)),
    64: (ObservableType.SHA256, (ObservableType.X509_SHA256,)),
}
"""By length, the type that a hash is detected as, and the types that look like it."""

_SHAPELESS: Final = (
    ObservableType.FILE_NAME,
    ObservableType.FILE_PATH,
    ObservableType.MUTEX,
    ObservableType.USER_AGENT,
)
"""The types of values that look like nothing."""

_NETWORK: Final = re.compile(r"/[0-9]{1,3}\s*$")
"""How networks end. The answer about one may hold so much that it counts for many values."""

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that pauses while PostgreSQL does its part, so that its thread can do other work."""


class LookupAnswer(msgspec.Struct, omit_defaults=True):
    """The answer about one value: the observable, or the problem when the value is none."""

    value: Annotated[str, Meta(description="as it was sent")]
    observable: Annotated[
        ObservableView | None, Meta(description="null when nothing is stored about it")
    ]
    problem: Annotated[str | None, Meta(description="why the value is no observable")]
    others: Annotated[
        Sequence[ObservableReference],
        Meta(
            description="stored observables of other types that have this value: 32 digits may be "
            "a file's MD5, an imphash and a JA3"
        ),
    ] = ()
    context: Annotated[
        msgspec.Raw | msgspec.UnsetType,
        Meta(
            description="the facts of offline enrichers about a value that is not stored",
            extra_json_schema={"type": "object"},
        ),
    ] = msgspec.UNSET
    within: Annotated[
        Sequence[ObservableReference],
        Meta(
            description="stored networks and domains that it belongs to, and the host of a URL; "
            "the nearest first"
        ),
    ] = ()
    inherited: Annotated[
        Inheritance | None,
        Meta(
            description="what it inherits from what it lies `within`; no part of its own score, "
            "and also there for a value that is not stored"
        ),
    ] = None
    inside: Annotated[
        Sequence[ObservableReference],
        Meta(
            description="stored observables inside a network, at most 100: those with the highest "
            "scores, then in the order of their values"
        ),
    ] = ()
    type: Annotated[
        str, Meta(description="what a value that is not stored was read as, such as ipv4-addr")
    ] = ""
    canonical: Annotated[
        str, Meta(description="the canonical form of a value that is not stored")
    ] = ""


class DatedLookupAnswer(LookupAnswer, kw_only=True):
    """The answer about one value, with the dates of the reference data behind it."""

    reference: DataDates | msgspec.UnsetType = msgspec.UNSET


class LookupAnswers(msgspec.Struct):
    """The answers about many values, in their order."""

    items: list[LookupAnswer]
    reference: DataDates


class ValueQuery(msgspec.Struct, frozen=True, gc=False):
    """One value to look up.

    Attributes:
        value: as it was sent.
        type: of the observable that it is; empty, like `text` and `id`, when it is none.
        text: its canonical value.
        id: its UUID.
        problem: why it is no observable.
        others: ids of what it may be as well. A value that looks like nothing may be of a type
            without a shape.
        describe: whether the answer has the facts of offline enrichers when nothing is stored.
    """

    value: str
    type: str = ""
    text: str = ""
    id: str = ""
    problem: str | None = None
    others: tuple[str, ...] = ()
    describe: bool = False


def parse_query(
    value: str, type_: ObservableType | None = None, *, describe: bool = False
) -> ValueQuery:
    """Read a value as one of a type, or of the type it looks like; it may be defanged."""
    try:
        if type_ is not None:
            text = normalise(type_, value)
            return ValueQuery(value, type_, text, observable_id(type_, text), describe=describe)
        observable = detect(value)
    except NotAnObservable as error:
        others = () if type_ is not None else tuple(_ids(_SHAPELESS, value))
        return ValueQuery(value, problem=_problem(value, error), others=others)
    text = observable.value
    detected_as, alike = _HASHES.get(len(text), (None, ()))
    others = tuple(_ids(alike, text)) if observable.type is detected_as else ()
    identity = observable_id(observable.type, text)
    return ValueQuery(value, observable.type, text, identity, None, others, describe)


def _problem(value: str, error: NotAnObservable) -> str:
    """Why a value is no observable; ids of ATT&CK have a place of their own."""
    text = value.strip().upper()
    if any(match.value == text for match in attack_ids(text)):
        return f"{text} is an id of ATT&CK and no observable: ask the mitre service about it"
    return str(error)


def _ids(types: Sequence[ObservableType], value: str) -> Iterator[str]:
    for type_ in types:
        with suppress(NotAnObservable):
            yield observable_id(type_, normalise(type_, value))


def cut(values: Sequence[str]) -> Iterator[tuple[Sequence[str], int]]:
    """Cut values into parts of the size of one transaction, each with its weight."""
    start = 0
    weight = 0
    for index, value in enumerate(values):
        is_network = "/" in value and "://" not in value and _NETWORK.search(value)
        more = MAX_INSIDE if is_network else 1
        if weight + more > MAX_TOGETHER:
            yield values[start:index], weight
            start = index
            weight = 0
        weight += more
    yield values[start:], weight


def answer(
    database: Database,
    tenant: str,
    values: Sequence[str],
    type_: ObservableType | None = None,
    as_of: datetime | None = None,
) -> list[LookupAnswer]:
    """Answers from what is recorded now, or was at the moment `as_of`."""
    answers: list[LookupAnswer] = []
    for part, _ in cut(values):
        queries = [parse_query(value, type_) for value in part]
        steps = answer_in_steps(database, tenant, queries, as_of)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                answers += end.value
                break
    return answers


def answer_in_steps(
    database: Database, tenant: str, queries: Sequence[ValueQuery], as_of: datetime | None = None
) -> Steps[list[LookupAnswer]]:
    """Answer queries, and pause wherever PostgreSQL does its part.

    Two round trips: the values with the domains above them and what lies inside networks, then the
    networks around addresses, whose ids follow from the prefix lengths that the first one reads.
    """
    with_prefix: list[int] = []
    above: dict[int, list[str]] = {}
    for index, query in enumerate(queries):
        if query.type in _ADDRESSES and "/" in query.text:
            with_prefix.append(index)
        elif query.type in _WITH_DOMAINS:
            above[index] = _ids_above(query.type, query.text, {})
    inside: list[list[str]] = []
    with database.read_transaction(tenant) as connection:
        pending_prefixes = networks.send_prefixes(connection, tenant)
        if with_prefix:
            ranges = [under(queries[index].text)[0] for index in with_prefix]
            pending = networks.send_inside(connection, tenant, ranges, MAX_INSIDE + 1)
            yield
            inside = networks.fetch_inside(pending, len(ranges))
        others = (query.others for query in queries if query.others)
        ids = {query.id for query in queries}.union(*above.values(), *inside, *others) - {""}
        pending_rows = read.send_rows(connection, tenant, ids, as_of)
        yield
    parts = [read.fetch_rows(pending_rows)]
    if prefixes := networks.fetch_prefixes(pending_prefixes):
        around: dict[int, list[str]] = {}
        for index, query in enumerate(queries):
            if query.type in _WITH_NETWORKS:
                around[index] = _ids_above(query.type, query.text, prefixes)
        above |= around
        if rest := set[str]().union(*around.values()) - ids:
            with database.read_transaction(tenant) as connection:
                pending_rows = read.send_rows(connection, tenant, rest, as_of)
                yield
            parts.append(read.fetch_rows(pending_rows))
    by_network = dict(zip(with_prefix, inside, strict=True))
    return _assemble(queries, parts, above, by_network, as_of or datetime.now(UTC))


def _assemble(
    queries: Sequence[ValueQuery],
    parts: Sequence[StoredRows],
    above: dict[int, list[str]],
    inside: dict[int, list[str]],
    now: datetime,
) -> list[LookupAnswer]:
    """Answers from the rows that were read.

    Args:
        queries: the queries.
        parts: the rows, as they were read.
        above: by the index of a query, ids of what lies around its value.
        inside: by the index of a query, ids of what lies within its network.
        now: the moment of the scores.
    """
    views: dict[str, ObservableView] = {}
    for rows in parts:
        views |= read_models.views(rows, now)
    answers = [
        _answer_of_several(query, views)
        if query.others
        else LookupAnswer(query.value, views.get(query.id), query.problem)
        for query in queries
    ]
    for query, absent in zip(queries, answers, strict=True):
        if absent.observable is None:
            absent.type = query.type
            absent.canonical = query.text
    for index, ids in above.items():
        if references := _references(ids, views):
            answers[index].within = references
            answers[index].inherited = _inheritance(queries[index], answers[index])
    for index, ids in inside.items():
        network = queries[index].id
        listed = [identity for identity in ids if identity != network][:MAX_INSIDE]
        if references := _references(listed, views):
            # Time may have moved the scores since they were published.
            references.sort(key=lambda reference: (-reference.score, reference.value))
            answers[index].inside = references
    return answers


def _inheritance(query: ValueQuery, answer: LookupAnswer) -> Inheritance | None:
    """What a value inherits from what lies around it."""
    own_score = 0 if answer.observable is None else answer.observable.score
    enclosing = ((other.type, other.value, other.score) for other in answer.within)
    return inherited(query.type, query.text, own_score, enclosing)


def _answer_of_several(query: ValueQuery, views: dict[str, ObservableView]) -> LookupAnswer:
    """The answer about a value that may be several observables."""
    matches = [views[identity] for identity in (query.id, *query.others) if identity in views]
    if not matches:
        return LookupAnswer(query.value, None, query.problem)
    others = [read_models.reference_of(view) for view in matches[1:]]
    return LookupAnswer(query.value, matches[0], None, others)


def describe(
    database: Database, queries: Sequence[ValueQuery], answers: Sequence[LookupAnswer]
) -> None:
    """Add the facts of offline enrichers to answers about values that are not stored."""
    unknown = [
        (index, query)
        for index, query in enumerate(queries)
        if query.describe and query.id and answers[index].observable is None
    ]
    if not unknown:
        return
    context.reload_if_stale_from(database)
    contexts = context.describe_values(
        (str(index), query.type, query.text) for index, query in unknown
    )
    for index, text in contexts.items():
        answers[int(index)].context = msgspec.Raw(text.encode())


def _references(ids: Sequence[str], views: dict[str, ObservableView]) -> list[ObservableReference]:
    return [read_models.reference_of(views[identity]) for identity in ids if identity in views]


def _ids_above(type_: str, value: str, prefixes: dict[str, list[int]]) -> list[str]:
    """Ids of what lies around an observable, stored or not: hosts, domains above, networks."""
    match type_:
        case "domain-name":
            return [observable_id("domain-name", name) for name in parents(value)]
        case "email-addr":
            domain = value.rpartition("@")[2]
            return [observable_id("domain-name", name) for name in (domain, *parents(domain))]
        case "url":
            host = parse_query(host_of(value))
            return [host.id, *_ids_above(host.type, host.text, prefixes)] if host.id else []
        case "ipv4-addr" | "ipv6-addr":
            around = _networks_around(type_, value, prefixes)
            return [observable_id(type_, network) for network in around]
    return []


def parents(name: str) -> list[str]:
    """The domains above a domain, the nearest first, without the top-level one.

    A name with as many labels as tunnels through the DNS make has the nearest four, and the eight
    below the top, which carry no payload.
    """
    labels = name.split(".")
    starts = list(range(1, len(labels) - 1))
    if len(starts) > 12:
        starts = [*starts[:4], *starts[-8:]]
    return [".".join(labels[start:]) for start in starts]


def _networks_around(type_: str, value: str, prefixes: dict[str, list[int]]) -> list[str]:
    address, _, own = value.partition("/")
    shorter = [length for length in prefixes.get(type_, ()) if not own or length < int(own)]
    network = ipv6 if ":" in address else ipv4
    family = AF_INET6 if ":" in address else AF_INET
    packed = inet_pton(family, address)
    number = int.from_bytes(packed)
    around = []
    for length in sorted(shorter, reverse=True):
        # An address with the length of its network is the address: the other bits go first.
        free = 8 * len(packed) - length
        base = inet_ntop(family, (number >> free << free).to_bytes(len(packed)))
        try:
            around.append(network(f"{base}/{length}"))
        except NotAnObservable:  # the network that starts at zero is no observable
            continue
    return around
