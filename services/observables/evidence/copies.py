"""Which sources copy others: a measurement after Dong et al. (VLDB 2009). No I/O.

Independent sources meet on what many see, each is first now and then, and each has mistakes of its
own. A copier lists what hardly anybody else lists, later than the other, with its mistakes. For two
sources there are three hypotheses: they are independent, the first copies the second, or the second
the first. Their likelihoods are compared on three counts:

- Overlap: of what the smaller of two lists and no third, independent source does, the share that
  the larger lists as well. Independent sources share at most what the larger lists of what third
  sources do, by type.
- Mistakes: the same share of what is held to be harmless.
- Order: among what both list, how often the alleged copier was first, by days. It may refute a
  copy, and confirms it a little: a slow source is no copier.

What two dependent sources list together was observed once. Sources that are dependent on one of the
two are therefore no third ones; it takes some rounds until these sets agree with each other.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import exp, log
from typing import Final, NamedTuple

from services.observables.evidence.listings import Listings, Pattern, numbers

MIN_SHARED: Final = 20
"""Observables that two sources have to share: fewer prove nothing."""
MIN_PROBABILITY: Final = 0.3
"""Below it two sources count as independent."""
STEADY: Final = 0.05
"""A probability that moved by less stays what it was: scores need not be computed again."""
_MIN_CONTAINMENT: Final = 0.15
_PRIOR: Final = log(0.025 / 0.95)
_MIN_COPIED: Final = 0.25
"""A copier copies at least this share."""
_MAX_TRIALS: Final = 100
"""As many observables are taken to be independent of each other: lists come in batches."""
_FLOOR: Final = -40.0
_MAX_ORDER: Final = 3.0
_FIRST_DESPITE_COPYING: Final = 0.1
"""How often a copier may be seen first: its lists are fetched more often."""
_ROUNDS: Final = 3
_NESTED: Final = 0.8
"""From this containment on, two lists are taken to be dependent at the beginning."""


class SourceOrigin(NamedTuple):
    """A source, and what is stated of its origin.

    Attributes:
        origin: whose observation it publishes; its own id when nobody has named it.
        derived_from: the origins that it repeats.
    """

    id: str
    origin: str
    derived_from: tuple[str, ...] = ()


class CopiedPair(NamedTuple):
    """One source copies another, with the counts that tell it.

    Attributes:
        copier: the number of the source that copies.
        original: that of the other.
        probability: that what both claim was copied.
        shared: observables that both list.
        containment: the share of the smaller list, without what third sources list, that the larger
            lists as well.
        expected: what that share is at most when they are independent.
        mistakes: harmless observables that both list.
        earlier: how often the original listed a shared observable on an earlier day.
        later: how often the copier did.
    """

    copier: int
    original: int
    probability: float
    shared: int
    containment: float
    expected: float
    mistakes: int
    earlier: int
    later: int


class _Verdict(NamedTuple):
    """The likelihoods of two hypotheses, beside that of independence, as logarithms."""

    first_copies: float
    second_copies: float
    share_copied: float
    containment: float
    expected: float


def measure_copies(listings: Listings, sources: Sequence[SourceOrigin]) -> list[CopiedPair]:
    """The pairs of sources of which one probably copies the other.

    Pairs whose dependence is stated are left out. The pairs make no circle, together with what is
    stated.

    Args:
        listings: who lists what, by the numbers of sources.
        sources: by their numbers.
    """
    sizes, shared, mistakes = _overlaps(listings)
    candidates = [
        (first, second)
        for (first, second), count in sorted(shared.items())
        if count >= MIN_SHARED and count >= _MIN_CONTAINMENT * min(sizes[first], sizes[second])
    ]
    dependent: dict[int, int] = defaultdict(int)
    for pair in candidates:
        is_nested = shared[pair] >= _NESTED * min(sizes[pair[0]], sizes[pair[1]])
        if is_nested or _is_stated(sources, *pair):
            _note_dependence(dependent, *pair)
    verdicts: dict[tuple[int, int], _Verdict] = {}
    for _ in range(_ROUNDS):
        verdicts = {
            pair: _judge(listings, pair, sizes, dependent[pair[0]] | dependent[pair[1]])
            for pair in candidates
            if not _is_stated(sources, *pair)
        }
        dependent = defaultdict(int)
        for pair in candidates:
            if pair not in verdicts or _dependence(verdicts[pair]) >= 0.5:
                _note_dependence(dependent, *pair)
    pairs = []
    for (first, second), verdict in verdicts.items():
        probability = _dependence(verdict) * verdict.share_copied
        if probability < MIN_PROBABILITY:
            continue
        is_first_copier = verdict.first_copies > verdict.second_copies
        if verdict.first_copies == verdict.second_copies:
            is_first_copier = sizes[first] > sizes[second]
        copier, original = (first, second) if is_first_copier else (second, first)
        pairs.append(
            CopiedPair(
                copier,
                original,
                round(probability, 3),
                shared[first, second],
                round(verdict.containment, 3),
                round(verdict.expected, 3),
                mistakes[first, second],
                listings.earlier[original, copier],
                listings.earlier[copier, original],
            )
        )
    return _without_circles(pairs, sources)


def steady(fresh: Mapping[str, float], stored: Mapping[str, float]) -> dict[str, float]:
    """Probabilities that are new, with the stored one where it has hardly moved."""
    return {
        name: stored[name]
        if name in stored and abs(stored[name] - probability) < STEADY
        else round(probability, 2)
        for name, probability in fresh.items()
    }


def _overlaps(
    listings: Listings,
) -> tuple[Counter[int], Counter[tuple[int, int]], Counter[tuple[int, int]]]:
    """How much each source lists, what each two share, and the mistakes that these share."""
    sizes: Counter[int] = Counter()
    shared: Counter[tuple[int, int]] = Counter()
    mistakes: Counter[tuple[int, int]] = Counter()
    for pattern, count in listings.patterns.items():
        members = list(numbers(pattern.members))
        for at, source in enumerate(members):
            sizes[source] += count
            for other in members[at + 1 :]:
                shared[source, other] += count
                if pattern.is_mistake:
                    mistakes[source, other] += count
    return sizes, shared, mistakes


def _note_dependence(dependent: dict[int, int], first: int, second: int) -> None:
    dependent[first] |= 1 << second
    dependent[second] |= 1 << first


def _is_stated(sources: Sequence[SourceOrigin], first: int, second: int) -> bool:
    """Whether it is stated already that two sources are no independent witnesses."""
    left = sources[first]
    right = sources[second]
    return (
        left.origin == right.origin
        or left.origin in right.derived_from
        or right.origin in left.derived_from
    )


class _Share(NamedTuple):
    """The part of some observables that a source lists, and the one to expect at most."""

    listed: int
    total: int
    expected: float


def _judge(
    listings: Listings, pair: tuple[int, int], sizes: Counter[int], dependent: int
) -> _Verdict:
    """Weigh the hypotheses about two sources.

    Args:
        listings: who lists what.
        pair: the sources.
        sizes: how much each source lists.
        dependent: the sources that depend on one of the two.
    """
    smaller, larger = sorted(pair, key=lambda source: (sizes[source], source))
    overlap = _share(listings.patterns, smaller, larger, dependent, are_mistakes=False)
    mistakes = _share(listings.patterns, smaller, larger, dependent, are_mistakes=True)
    likelihood = _PRIOR + _surplus(overlap) + (_surplus(mistakes) if mistakes.total else 0.0)
    first, second = pair
    first_earlier = listings.earlier[first, second]
    second_earlier = listings.earlier[second, first]
    together = listings.same_day[first, second]
    containment = overlap.listed / overlap.total
    copied = max(containment - overlap.expected, 0.0) / (1 - overlap.expected)
    share_copied = copied / containment if containment else 0.0
    return _Verdict(
        likelihood + _order(second_earlier, first_earlier, together),
        likelihood + _order(first_earlier, second_earlier, together),
        share_copied,
        containment,
        overlap.expected,
    )


def _share(
    patterns: Mapping[Pattern, int],
    smaller: int,
    larger: int,
    dependent: int,
    *,
    are_mistakes: bool,
) -> _Share:
    """What a list shares with a larger one, where no third source lists it.

    If third sources list nearly all of it, all of it counts. If there are no third sources,
    half is expected: only lists that contain each other are dependent then.
    """
    own = 1 << smaller
    other = 1 << larger
    thirds = ~(own | other | dependent)
    rare: Counter[str] = Counter()
    rare_shared = 0
    listed: Counter[str] = Counter()
    listed_shared = 0
    of_others: Counter[str] = Counter()
    of_larger: Counter[str] = Counter()
    for (type_, members, is_mistake), count in patterns.items():
        if is_mistake != are_mistakes:
            continue
        is_common = bool(members & thirds)
        if members & own:
            listed[type_] += count
            listed_shared += count if members & other else 0
            if not is_common:
                rare[type_] += count
                rare_shared += count if members & other else 0
        if is_common:
            of_others[type_] += count
            of_larger[type_] += count if members & other else 0
    if rare.total() >= MIN_SHARED:
        expected = _expected(rare, of_others, of_larger)
        return _Share(rare_shared, rare.total(), expected)
    expected = _expected(listed, of_others, of_larger)
    return _Share(listed_shared, listed.total(), expected)


def _expected(sought: Counter[str], of_others: Counter[str], of_larger: Counter[str]) -> float:
    """The share of observables that an independent source lists, by their types."""
    if of_others.total() < MIN_SHARED or not sought:
        return 0.5
    mean = (of_larger.total() + 1) / (of_others.total() + 2)
    expected = 0.0
    for type_, count in sought.items():
        has_others = of_others[type_] >= MIN_SHARED
        share = (of_larger[type_] + 1) / (of_others[type_] + 2) if has_others else mean
        expected += count * share
    return min(max(expected / sought.total(), 0.005), 0.98)


def _surplus(share: _Share) -> float:
    """The likelihood of a copy beside that of independence, as a logarithm."""
    listed = share.listed / share.total if share.total else 0.0
    expected = share.expected
    copied = min(max(listed, expected + _MIN_COPIED * (1 - expected)), 0.999)
    gain = listed * log(copied / expected) + (1 - listed) * log((1 - copied) / (1 - expected))
    return max(min(share.total, _MAX_TRIALS) * gain, _FLOOR)


def _order(original_earlier: int, copier_earlier: int, together: int) -> float:
    """The likelihood of an order beside that of none, as a logarithm.

    Args:
        original_earlier: how often the alleged original was first.
        copier_earlier: how often the alleged copier was.
        together: how often both listed an observable on one day.
    """
    count = original_earlier + copier_earlier + together
    if not count:
        return 0.0
    first = copier_earlier / count
    by_chance = max((1 - together / count) / 2, _FIRST_DESPITE_COPYING)
    gain = first * log(_FIRST_DESPITE_COPYING / by_chance) + (1 - first) * log(
        (1 - _FIRST_DESPITE_COPYING) / (1 - by_chance)
    )
    return min(max(min(count, _MAX_TRIALS) * gain, _FLOOR), _MAX_ORDER)


def _dependence(verdict: _Verdict) -> float:
    """The probability that one of two sources copies the other."""
    greatest = max(verdict.first_copies, verdict.second_copies, 0.0)
    independent = exp(-greatest)
    dependent = exp(verdict.first_copies - greatest) + exp(verdict.second_copies - greatest)
    return dependent / (independent + dependent)


def _without_circles(
    pairs: Iterable[CopiedPair], sources: Sequence[SourceOrigin]
) -> list[CopiedPair]:
    """Pairs of which the less probable are turned around where they would make a circle."""
    copied: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        copied[source.origin].update(source.derived_from)
    acyclic = []
    for pair in sorted(pairs, key=lambda pair: (-pair.probability, pair.copier, pair.original)):
        copier = sources[pair.copier].origin
        original = sources[pair.original].origin
        if _reaches(copied, original, copier):
            pair = pair._replace(  # noqa: PLW2901
                copier=pair.original,
                original=pair.copier,
                earlier=pair.later,
                later=pair.earlier,
            )
            copier, original = original, copier
        copied[copier].add(original)
        acyclic.append(pair)
    return acyclic


def _reaches(copied: Mapping[str, set[str]], start: str, end: str) -> bool:
    """Whether a source copies another, over others."""
    seen = {start}
    waiting = [start]
    while waiting:
        for name in copied.get(waiting.pop(), ()):
            if name == end:
                return True
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return False
