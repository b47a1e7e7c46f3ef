"""Relations between the observables of one entry: of a row, an item, an attribute of two parts.

One of them names the others: the one that tells most. An address has many domains and a domain many
files, so that relations begin where few entries name the same observable.
"""

from collections.abc import Sequence
from typing import Final

from services.feeds.formats.base import DroppedItem, ParsedIndicator
from services.feeds.formats.fields import is_own_address
from shared.events.feeds import IndicatorRelation
from shared.stix import ObservableType

MAX_RELATIONS: Final = 16
"""Relations of an indicator; a cell may hold a list of any length."""

MAX_LENGTH: Final = 16_384
"""Characters of all values that an indicator names: an event takes 128 KiB of one."""

_T = ObservableType
_ADDRESSES: Final = frozenset({_T.IPV4, _T.IPV6})
_RANKS: Final = {
    kind: rank
    for rank, kind in enumerate(
        (
            *(_T.SHA256, _T.SHA512, _T.SHA1, _T.MD5, _T.TLSH, _T.SSDEEP),
            *(_T.URL, _T.DOMAIN, _T.EMAIL, _T.FILE_PATH, _T.FILE_NAME, _T.IMPHASH),
            *(_T.IPV6, _T.IPV4),
        )
    )
}
"""The types of observables from the most telling one; others come last."""


def relate(
    items: Sequence[ParsedIndicator | DroppedItem], kind: str = "related-to"
) -> Sequence[ParsedIndicator | DroppedItem]:
    """The items of one entry, of which the most telling indicator names the others.

    Args:
        items: what the entry gives.
        kind: kind of the relations.
    """
    indicators = [item for item in items if isinstance(item, ParsedIndicator)]
    if len(indicators) < 2:
        return items
    centre = min(indicators, key=_rank)
    if centre.retracted:
        return items
    others = {(item.type, item.value) for item in indicators}
    others.discard((centre.type, centre.value))
    length = 0
    relations: list[IndicatorRelation] = []
    for type_, value in sorted(others)[:MAX_RELATIONS]:
        length += len(value)
        if length <= MAX_LENGTH:
            relations.append(IndicatorRelation(kind, str(type_), value))
    centre.relations = tuple(relations)
    return items


def _rank(indicator: ParsedIndicator) -> int:
    return _RANKS.get(ObservableType(indicator.type), len(_RANKS))


def set_own_aside(
    items: list[ParsedIndicator | DroppedItem], where: str
) -> list[ParsedIndicator | DroppedItem]:
    """The items of an entry, whose addresses of private networks are context beside public ones.

    Such an address tells where the other one was seen, and is one of the reader's own hosts.
    """
    addresses = [
        item for item in items if isinstance(item, ParsedIndicator) and item.type in _ADDRESSES
    ]
    own = {id(item) for item in addresses if is_own_address(item.value)}
    if not own or len(own) == len(addresses):
        return items
    detail = "an address of a private network beside one of the Internet"
    return [
        DroppedItem(where, item.value, "context", detail)
        if isinstance(item, ParsedIndicator) and id(item) in own
        else item
        for item in items
    ]
