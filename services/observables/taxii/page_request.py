"""Which objects of a collection a request asks for: TAXII 2.1 §3.4 and §3.5."""

import re
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

import msgspec

from services.observables.taxii.moments import parse_moment
from shared.errors import InvalidInput

Value = TypeVar("Value")

DEFAULT_LIMIT: Final = 1_000
MAX_LIMIT: Final = 10_000
MAX_VALUES: Final = 1_000
"""Values of one filter."""
MAX_TEXT: Final = 60_000

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,249}", re.ASCII)
_OBJECT_ID: Final = re.compile(
    r"[a-z0-9][a-z0-9-]{0,249}--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII
)
_SPEC_VERSION: Final = re.compile(r"\d{1,2}\.\d{1,2}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


class Place(NamedTuple):
    """The place of an object in its collection."""

    date_added: datetime
    number: int


class PageRequest(msgspec.Struct, frozen=True, array_like=True):
    """A request for objects, without the collection.

    Attributes:
        limit: the most objects of a page.
        added_after: only what was added later.
        place: only what stands behind it.
        ids: only these objects, if there are any; the same holds for the other filters.
        versions: of each object the versions with these dates.
        has_first: also the first version of each.
        has_last: also the last one.
        has_all: all versions.
    """

    limit: int = DEFAULT_LIMIT
    added_after: datetime | None = None
    place: Place | None = None
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    spec_versions: tuple[str, ...] = ()
    versions: tuple[datetime, ...] = ()
    has_first: bool = False
    has_last: bool = True
    has_all: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it asks for the last versions and has no filter but a time."""
        filters = (self.ids, self.types, self.spec_versions, self.versions)
        return not any(filters) and self.has_last and not (self.has_first or self.has_all)


def read_parameters(pairs: Iterable[tuple[str, str]], allowed: Collection[str]) -> dict[str, str]:
    """The parameters of a request, each at most once.

    Raises:
        InvalidInput: one is repeated, empty, too long, or none that the resource has.
    """
    parameters: dict[str, str] = {}
    for name, text in pairs:
        if name not in allowed:
            raise InvalidInput(
                f"This resource has no parameter {name[:80]!r}; it has {', '.join(allowed)}.",
                field=name[:80],
            )
        if name in parameters:
            raise InvalidInput(f"{name} stands in the request twice.", field=name)
        if not text or len(text) > MAX_TEXT:
            raise InvalidInput(f"{name} is empty, or longer than {MAX_TEXT:,}.", field=name)
        parameters[name] = text
    return parameters


def read_limit(text: str | None) -> int | None:
    """The most objects of a page; None if the request leaves it open.

    Raises:
        InvalidInput: it is no number above 0.
    """
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise InvalidInput("limit is a number from 1.", field="limit")
    return min(int(text), MAX_LIMIT)


def read_request(parameters: dict[str, str]) -> PageRequest:
    """The request that parameters describe.

    Raises:
        InvalidInput: a value is not what its parameter takes.
    """
    after = parameters.get("added_after")
    words = _values(parameters, "match[version]", _version_word) or ("last",)
    if "all" in words and len(words) > 1:
        raise InvalidInput("match[version]: all stands by itself.", field="match[version]")
    return PageRequest(
        limit=read_limit(parameters.get("limit")) or DEFAULT_LIMIT,
        added_after=None if after is None else _moment("added_after", after),
        ids=_values(parameters, "match[id]", _matching(_OBJECT_ID)),
        types=_values(parameters, "match[type]", _matching(_TYPE)),
        spec_versions=_values(parameters, "match[spec_version]", _matching(_SPEC_VERSION)),
        versions=tuple(word for word in words if isinstance(word, datetime)),
        has_first="first" in words,
        has_last="last" in words,
        has_all="all" in words,
    )


def is_object_id(text: str) -> bool:
    """Whether a text has the form of an id of STIX."""
    return _OBJECT_ID.fullmatch(text) is not None


def _values(
    parameters: dict[str, str], name: str, read: Callable[[str], Value]
) -> tuple[Value, ...]:
    """The values of a filter, which commas separate.

    Raises:
        InvalidInput: there are too many, or one is none.
    """
    if name not in parameters:
        return ()
    texts = parameters[name].split(",")
    if len(texts) > MAX_VALUES:
        raise InvalidInput(f"{name} takes {MAX_VALUES:,} values.", field=name)
    try:
        return tuple(dict.fromkeys(map(read, texts)))
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}.", field=name) from None


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text[:80]!r} is no such value")
        return text

    return read


def _version_word(text: str) -> str | datetime:
    return text if text in {"first", "last", "all"} else parse_moment(text)


def _moment(name: str, text: str) -> datetime:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}.", field=name) from None
