"""What a digest says of many matches: a few of them, and how many there are of what."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.notifications.groups.engine import WaitingBatch, highest_first

_MOST_SHOWN: Final = 1000
_MOST_VALUES: Final = 3


@dataclass(frozen=True, slots=True)
class Highlights:
    """The content of a digest.

    Attributes:
        matches: those with the highest scores, each observable once.
        match_count: of all.
        labels: figures, by what they count.
    """

    matches: list[Any]
    match_count: int
    labels: dict[str, str]


def _match_count(batches: Sequence[WaitingBatch]) -> int:
    return sum(batch.match_count for batch in batches)


def highlights_of(batches: Mapping[str, Sequence[WaitingBatch]]) -> Highlights:
    """The content of a digest from the batches of each rule."""
    every = [batch for own in batches.values() for batch in own]
    shown: dict[str, Any] = {}
    for match in highest_first(every):
        shown.setdefault(str(match.get("id") or match), match)
    types: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    for batch in every:
        sources[batch.source] += batch.match_count
        types.update(str(match.get("type", "health")) for match in batch.matches)
    by_rule = {name: _match_count(own) for name, own in batches.items()}
    return Highlights(
        matches=list(shown.values())[:_MOST_SHOWN],
        match_count=_match_count(every),
        labels={
            "rules": _most(Counter(by_rule).most_common()),
            "types": _most(types.most_common()),
            "sources": _most(sources.most_common()),
        },
    )


def _most(counts: Iterable[tuple[str, int]]) -> str:
    pairs = list(counts)
    words = [f"{name} ({count:,})" for name, count in pairs[:_MOST_VALUES]]
    if len(pairs) > _MOST_VALUES:
        words.append(f"{len(pairs) - _MOST_VALUES} more")
    return ", ".join(words)
