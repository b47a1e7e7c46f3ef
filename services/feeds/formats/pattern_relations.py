"""Relations between the observables that a STIX pattern joins by AND.

The value that alone satisfies the pattern is the indicator. What stands beside it is no claim: the
name of a file, the address of a domain. The indicator names these as its relations.

Source: STIX 2.1 §9.
"""

from collections.abc import Sequence
from typing import Final

from services.feeds.formats.base import typed_value
from services.feeds.formats.entry_relations import MAX_LENGTH, MAX_RELATIONS
from services.feeds.formats.stix_pattern import Comparison
from shared.events.feeds import IndicatorRelation
from shared.stix import NotAnObservable, ObservableType

_T = ObservableType
TYPES_OF_REFERENCES: Final = frozenset({_T.IPV4, _T.IPV6, _T.MAC, _T.DOMAIN})
"""What the value behind a reference of network traffic or of a domain may be."""

_RESOLUTION: Final = "domain-name:resolves_to_refs[*].value"


def pattern_relations(
    type_: str, value: str, parts: Sequence[Comparison]
) -> tuple[IndicatorRelation, ...]:
    """The relations of an indicator to the parts of its pattern that an AND joins to it.

    Args:
        type_: type of the indicator.
        value: its canonical value.
        parts: of the conjunction; those that are no observables, and the indicator itself, are
            passed over.

    Returns:
        At most `MAX_RELATIONS`, in the order of the pattern, each pair once.
    """
    relations: dict[tuple[str, str], IndicatorRelation] = {}
    length = 0
    for part in parts:
        other = _observable(part)
        if other is None or other == (type_, value) or other in relations:
            continue
        length += len(other[1])
        if length > MAX_LENGTH or len(relations) == MAX_RELATIONS:
            break
        relations[other] = IndicatorRelation(_kind(type_, part), *other)
    return tuple(relations.values())


def _observable(part: Comparison) -> tuple[str, str] | None:
    """The type and the canonical value of a part; None if it is no observable."""
    if not part.is_known:
        return None
    try:
        kind, value = typed_value(part.type, part.value)
    except NotAnObservable:
        return None
    if part.type is None and kind not in TYPES_OF_REFERENCES:
        return None
    return str(kind), value


def _kind(type_: str, part: Comparison) -> str:
    is_resolution = type_ == _T.DOMAIN and part.path == _RESOLUTION
    return "resolves-to" if is_resolution else "related-to"
