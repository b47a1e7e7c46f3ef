"""Markings on statements: to whom they may be told (TLP), and what may be done with them (PAP).

A marking travels as a tag of the assertion that it binds: `tlp:amber`, `pap:red`. Sources:
https://www.first.org/tlp/ (TLP 1 and 2) and MISP's taxonomies `tlp` and `PAP`. What is marked by
a level that nobody knows is closed: it is told to nobody.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, get_args

TlpLevel = Literal["clear", "green", "amber", "amber+strict", "red"]
"""The levels of TLP 2.0, the most open first."""

Marking = Literal[TlpLevel, "closed"]
"""A level of TLP, or `closed`: an unknown marking, or one that forbids to ask others (PAP:RED)."""

CLOSED: Final = "closed"
UNKNOWN_MARKING: Final = "marking:unknown"
"""The tag of what is marked by a definition that is not there or says nothing we know."""

MARKINGS: Final[tuple[Marking, ...]] = (*get_args(TlpLevel), CLOSED)
"""All markings, the most open first."""

STRICTNESS: Final[dict[str, int]] = {marking: place for place, marking in enumerate(MARKINGS)}

NOT_FOR_ALL_TENANTS: Final = frozenset({"amber+strict", "red", "closed"})
"""Markings that must not pass from one organisation to another: the tenants are organisations.

TLP:AMBER goes to the clients of who runs the platform, which its tenants are.
"""

_TAG: Final = re.compile(r"(tlp|pap|marking)(?:\s*[:=]\s*|[\s_-]+)(.*)", re.IGNORECASE | re.DOTALL)
_LEVELS: Final[dict[str, Marking]] = {
    "white": "clear",  # TLP 1
    "clear": "clear",
    "green": "green",
    "amber": "amber",
    "amber+strict": "amber+strict",
    "amberstrict": "amber+strict",
    "red": "red",
}
_PAP_LEVELS: Final = frozenset({"white", "clear", "green", "amber"})
"""Levels at which services of others may be asked about a value."""

_ORDERED: Final[dict[str, Marking]] = {marking: marking for marking in MARKINGS}


def tlp_tag(level: str) -> str:
    """A level of TLP as a tag, in the words of TLP 2.0; an unknown one stays as it is written."""
    word = level.strip().lower()
    return f"tlp:{_LEVELS.get(_compact(word), word)}"


@lru_cache(maxsize=65_536)
def marking_of_tag(tag: str) -> Marking | None:
    """The marking that a tag states; None when it states none."""
    match = _TAG.fullmatch(tag.strip().strip("\"'"))
    if match is None:
        return None
    scheme = match[1].lower()
    level = _compact(match[2].strip("\"' "))
    if scheme == "tlp":
        return _LEVELS.get(level, CLOSED)
    if scheme == "pap":
        return None if level in _PAP_LEVELS else CLOSED
    return CLOSED if tag.strip().lower() == UNKNOWN_MARKING else None


def strictest(markings: Iterable[str | None]) -> Marking | None:
    """The strictest of some markings; None when there is none. An unknown one is closed."""
    places = [
        STRICTNESS.get(marking, STRICTNESS[CLOSED]) for marking in markings if marking is not None
    ]
    return MARKINGS[max(places)] if places else None


@lru_cache(maxsize=65_536)  # the assertions of a feed share a few combinations
def marking_of(tags: tuple[str, ...], marking: str | None = None) -> Marking | None:
    """The strictest of a source's marking and those that an assertion's tags state.

    Args:
        tags: the assertion's.
        marking: its source's; None or an empty text when there is none.
    """
    return strictest([marking or None, *map(marking_of_tag, tags)])


def marking_tags(tags: Iterable[str]) -> list[str]:
    """The tags among some that state a marking."""
    return [tag for tag in tags if marking_of_tag(tag) is not None]


def _compact(level: str) -> str:
    return re.sub(r"[\s_-]", "", level.lower())
