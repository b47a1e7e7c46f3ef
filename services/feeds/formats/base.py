"""The protocol that every feed format implements.

A format is a stateless class with `name`, `media`, `incremental` and `parse`: it turns the bytes of
a document into `ParsedBatch`es. To write one, copy `text.py` (a list of lines) or `misp.py` (a JSON
document), name the class in `registry.py` or in an entry point of the group `sentineliq.formats`,
and test it with a class that inherits `FormatContract` (`tests/feeds/formats/contract.py`).

    options -> read_options -> parse(stream) -> ParsedIndicator | DroppedItem | Note -> batched

A piece that cannot be read costs only itself: it becomes a `DroppedItem`. A document that is not
of the format at all raises `MalformedDocument`. Nothing passes in silence: a format counts the
units of its documents in a `UnitAccount`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any, BinaryIO, ClassVar, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from services.feeds.formats.unit_account import UnitAccount
from shared.errors import InvalidInput
from shared.events.feeds import IndicatorRelation
from shared.stix import NotAnObservable, detect, normalise
from shared.stix.observable import as_meant
from shared.stix.vocabulary import ObservableType

BATCH_SIZE = 1000
"""Items of a batch; an event carries as many."""

_EXCERPT_LENGTH = 200
_TYPES_OF_HOSTS = frozenset({ObservableType.IPV4, ObservableType.IPV6, ObservableType.DOMAIN})
_WITH_PORT = re.compile(r"([^:/\s]+|\[[^\]\s]+\]):[0-9]{1,5}", re.ASCII)
_Options = TypeVar("_Options", bound=msgspec.Struct)


class ParsedIndicator(msgspec.Struct, omit_defaults=True, gc=False):
    """What a source states about one observable.

    Attributes:
        type: observable type, a `shared.stix.ObservableType`.
        value: canonical value.
        confidence: 0 to 100, if the source gives one.
        tags: labels that the source gives this observable.
        malware: malware family that the source names.
        first_seen: RFC 3339, when the source saw it first.
        last_seen: RFC 3339, when the source saw it last.
        valid_until: RFC 3339, when the source's statement expires.
        description: the source's own text about it.
        ref: the source's own id or address of the entry.
        retracted: the source withdraws its statement about this observable.
        relations: to the other observables of the entry, see `entry_relations.relate`.
    """

    type: str
    value: str
    confidence: int | None = None
    tags: tuple[str, ...] = ()
    malware: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    valid_until: str | None = None
    description: str | None = None
    ref: str | None = None
    retracted: bool = False
    relations: tuple[IndicatorRelation, ...] = ()


class DroppedItem(msgspec.Struct, omit_defaults=True, gc=False):
    """A piece of a document that gives no indicator.

    Attributes:
        where: its place, such as "line 17", "objects[3].pattern" or "Object[2].Attribute[0]".
        raw: the piece, cut to 200 characters.
        reason: a short stable code; runs count by it.
        detail: a sentence for people.
    """

    where: str
    raw: str
    reason: str
    detail: str = ""


class Note(msgspec.Struct, frozen=True):
    """A decision of the format that the reader of a run should know, such as a guessed column."""

    text: str


class ParsedBatch(msgspec.Struct):
    """Up to `BATCH_SIZE` items of a document, in its order.

    Attributes:
        indicators, dropped, notes: the items.
        account: the units that are accounted for by now and were not in an earlier batch; those of
            all batches make the account of the document.
    """

    indicators: list[ParsedIndicator] = msgspec.field(default_factory=list)
    dropped: list[DroppedItem] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    account: UnitAccount | None = None


class MalformedDocument(InvalidInput):
    """The document as a whole is not of the format; `where` names the place that shows it."""

    code = "malformed-document"

    def __init__(self, message: str, where: str = "document", **details: Any) -> None:
        super().__init__(f"{where}: {message}", where=where, **details)

    @property
    def where(self) -> str:
        """The place that shows it."""
        return str(self.details["where"])


class AmbiguousDocument(MalformedDocument):
    """Several ways to read the document are as good, and a guess must not choose.

    Args:
        message: what is in doubt.
        where: its place.
        alternatives: the choices, each with a `format` and its `options`.
    """

    code = "ambiguous-document"

    def __init__(self, message: str, where: str, alternatives: list[dict[str, Any]]) -> None:
        super().__init__(message, where, alternatives=alternatives)

    @property
    def alternatives(self) -> list[dict[str, Any]]:
        """The choices."""
        return list(self.details["alternatives"])


@contextmanager
def keep_options(options: msgspec.Struct) -> Iterator[None]:
    """Let the alternatives of a doubt carry the options that are given, so that they can be used.

    Args:
        options: the format's; those that are as they are without being given do not count.
    """
    try:
        yield
    except AmbiguousDocument as doubt:
        usual = msgspec.to_builtins(type(options)())
        every = msgspec.to_builtins(options)
        options_set = {name: value for name, value in every.items() if value != usual[name]}
        alternatives = [
            {**choice, "options": {**options_set, **choice["options"]}}
            for choice in doubt.alternatives
        ]
        message = doubt.message.removeprefix(f"{doubt.where}: ")
        raise AmbiguousDocument(message, doubt.where, alternatives) from None


class Format(Protocol):
    """A feed format. Stateless: one instance parses any number of documents, also in parallel.

    Attributes:
        name: its name in catalogs, in the API and on the command line.
        media: its media types and file endings (".csv").
        incremental: whether `parse` raises `MalformedDocument` only before its first batch. If so,
            batches are used as they come, otherwise only when the document has ended.
    """

    name: ClassVar[str]
    media: ClassVar[tuple[str, ...]]
    incremental: ClassVar[bool]

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """The document's indicators, in batches.

        The same bytes and options give the same batches. An observable that the document names
        twice comes twice.

        Args:
            stream: the document; only `stream.read(n)` is called, and it is not closed.
            options: the format's options, as the feed's settings give them.

        Raises:
            MalformedDocument: the document is not of this format. A format that is not
                `incremental` may raise it after some batches, which must not be used then.
            InvalidInput: an option is wrong; `field` names it.
        """
        ...


class ReadLines(NamedTuple):
    """The content of some lines.

    Attributes:
        indicators: in the order of the lines.
        lines: for each indicator, the index of its line in the argument of `LineReader.read`.
        dropped: the pieces that give no indicator.
        account: what became of the lines; None if the format does not count them.
        dropped_lines: for each dropped item, the index of its line.
    """

    indicators: list[ParsedIndicator]
    lines: list[int]
    dropped: list[DroppedItem]
    account: UnitAccount | None = None
    dropped_lines: Sequence[int] = ()


class LinesNotIndependent(Exception):  # it tells how to go on, and is no error of the user
    """A line belongs together with its neighbours: parse the document as a whole instead."""


class LineReader(Protocol):
    """Reads lines of one document independently, so that known lines need not be read again.

    Attributes:
        layout: all that decides, beside the line itself, how it is read: delimiter, columns, types.
        notes: decisions of the format, see `Note`.
    """

    layout: str
    notes: Sequence[str]

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        """The indicators of some lines, which need not be neighbours.

        Args:
            lines: the lines, without their ends.
            numbers: the number of each line in the document, from 1; headers are left out by it.

        Raises:
            LinesNotIndependent: a line begins or ends within a longer piece.
        """
        ...


@runtime_checkable
class LineFormat(Format, Protocol):
    """A format whose documents consist of lines that mean the same in any place."""

    def reader(self, head: Sequence[str], options: Mapping[str, Any]) -> LineReader | None:
        """The reader for a document that begins with the lines `head`.

        It is None if the lines of this document are not independent.

        Raises:
            MalformedDocument, InvalidInput: see `Format.parse`.
        """
        ...


def read_options(
    kind: type[_Options], options: Mapping[str, Any], field: str = "options"
) -> _Options:
    """The options of a format or collector as its own structure.

    A number is taken as its digits where text is needed: `sheet: 2026` names a sheet.

    Raises:
        InvalidInput: an option is unknown or has the wrong type; `field` is the given one.
    """
    types = {option.name: option.type for option in msgspec.structs.fields(kind)}
    for name in options:
        if name not in types:
            available = ", ".join(sorted(types)) or "none"
            raise InvalidInput(f"There is no option `{name}`; there are: {available}.", field=field)
    values = {name: _in_kind(value, types[name]) for name, value in options.items()}
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as problem:
        raise InvalidInput(_option_problem(field, str(problem)), field=field) from None


def _option_problem(field: str, problem: str) -> str:
    """What is wrong with an option, in words that name it."""
    words, _, place = problem.partition(" - at `$")
    option = place.rstrip("`").lstrip(".")
    name = f"The option `{option}`" if option else field
    if missing := _MISSING.fullmatch(words):
        return f"{name} needs `{missing[1]}` as well, such as `--option {option}.{missing[1]}=…`."
    if unknown := _UNKNOWN.fullmatch(words):
        return f"{name} has no part `{unknown[1]}`."
    return f"{name} is not of its type: {words[:1].lower()}{words[1:]}."


_MISSING: Final = re.compile("Object missing required field `(.+)`")
_UNKNOWN: Final = re.compile("Object contains unknown field `(.+)`")


def _in_kind(value: Any, kind: Any) -> Any:
    """A value as text if it is a number and an option wants nothing but text."""
    if isinstance(value, dict) and kind == dict[str, str]:
        return {key: _in_kind(item, str) for key, item in value.items()}
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number and kind in (str, str | None) else value


def refused_item(where: str, raw: object, refusal: NotAnObservable) -> DroppedItem:
    """The item for a value that is no observable."""
    return DroppedItem(where, excerpt(raw), refusal.reason, refusal.detail)


def excerpt(raw: object) -> str:
    """At most 200 characters of a piece, as text that PostgreSQL can store."""
    if raw is None:
        return ""
    text = raw if isinstance(raw, str) else repr(raw)
    text = text[:_EXCERPT_LENGTH]
    if text.isascii() and text.isprintable():
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def typed_value(kind: ObservableType | None, raw: str) -> tuple[str, str]:
    """Type and canonical value of `raw`; the type is detected if `kind` is None.

    Of `address:port` and `name:port` the port is dropped, whether the type is given or detected.

    Raises:
        NotAnObservable: `raw` is no observable of that type.
    """
    if kind is not None:
        try:
            return _as_meant(kind, normalise(kind, raw))
        except NotAnObservable:
            host = _WITH_PORT.fullmatch(raw.strip()) if kind in _TYPES_OF_HOSTS else None
            if host is None:
                raise
            return _as_meant(kind, normalise(kind, host[1]))
    observable = detect(raw)
    return observable.type, observable.value


def _as_meant(kind: ObservableType, value: str) -> tuple[str, str]:
    if kind is not ObservableType.IPV6:
        return kind, value
    observable = as_meant(kind, value)
    return observable.type, observable.value


def count_unit(items: Sequence[ParsedIndicator | DroppedItem], account: UnitAccount) -> None:
    """Count a unit by its items: as read, or by the reason of the first one."""
    reason: str | None = None
    for item in items:
        if isinstance(item, ParsedIndicator):
            account.read += 1
            return
        reason = reason or item.reason
    account.count(reason)


def counted(
    items: Iterable[ParsedIndicator | DroppedItem], account: UnitAccount, units: int = 1
) -> Iterator[ParsedIndicator | DroppedItem]:
    """The items of a unit, or of several that belong together; then the account has them."""
    is_read = False
    reason: str | None = None
    for item in items:
        if isinstance(item, ParsedIndicator):
            is_read = True
        elif reason is None:
            reason = item.reason
        yield item
    if is_read:
        account.read += units
    else:
        account.count(reason, units)


def refuse_wide_network(kind: str, value: str, option: str) -> None:
    """Refuse networks so wide that a mistake blocks a part of the Internet.

    Args:
        kind: type of the value.
        value: the value.
        option: the option of the format that takes such networks.

    Raises:
        NotAnObservable: it is wider than /16 or, of IPv6, /32.
    """
    limit = _WIDEST.get(kind)
    prefix = value.rpartition("/")[2] if "/" in value else ""
    if limit is None or not prefix or int(prefix) >= limit:
        return
    raise NotAnObservable(
        "network too wide", f"{value} is wider than /{limit}; the option `{option}` takes it"
    )


def refuse_wide_range(networks: Sequence[tuple[str, str]], option: str) -> None:
    """Refuse the networks of a range if they are as a whole so wide, whatever their parts are.

    Args:
        networks: type and value of each.
        option: the option of the format that takes such ranges.

    Raises:
        NotAnObservable: they are wider than /16 or, of IPv6, /32.
    """
    for kind, value in networks:
        refuse_wide_network(kind, value, option)
    if len(networks) < 2 or networks[0][0] not in _WIDEST:
        return
    limit = _WIDEST[networks[0][0]]
    size = sum(ip_network(value).num_addresses for _, value in networks)
    widest = 1 << (ip_network(networks[0][1]).max_prefixlen - limit)
    if size > widest:
        ends = f"the range from {networks[0][1]} to {networks[-1][1]}"
        raise NotAnObservable(
            "network too wide", f"{ends} is wider than /{limit}; the option `{option}` takes it"
        )


_WIDEST: dict[str, int] = {ObservableType.IPV4: 16, ObservableType.IPV6: 32}


def batched(
    items: Iterable[ParsedIndicator | DroppedItem | Note | UnitAccount],
) -> Iterator[ParsedBatch]:
    """Items in batches of at most `BATCH_SIZE`. The last item may be the document's account."""
    batch = ParsedBatch()
    count = 0
    for item in items:
        if isinstance(item, ParsedIndicator):
            batch.indicators.append(item)
        elif isinstance(item, DroppedItem):
            batch.dropped.append(item)
        elif isinstance(item, UnitAccount):
            batch.account = item
        else:
            batch.notes.append(item.text)
        count += 1
        if count == BATCH_SIZE:
            yield batch
            batch = ParsedBatch()
            count = 0
    if count:
        yield batch
