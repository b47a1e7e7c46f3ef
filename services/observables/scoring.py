"""The score: how sure we are that an observable is bad, from who says so and how sure each of them is.

A source that is right in `reliability` of 100 cases and is `confidence` per cent sure leaves a doubt of
1 - reliability * confidence / 10,000. Independent doubts multiply (the noisy-or of probabilistic reasoning, Pearl 1988,
§4.3.2), and the score is what is left: a second source raises it, none can lower another's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Claim:
    """One source's word about one observable.

    Attributes:
        source: the source's name.
        reliability: 0 to 100, how far the source is trusted.
        confidence: 0 to 100, how sure the source is.
    """

    source: str
    reliability: int
    confidence: int

    @property
    def weight(self) -> float:
        """The claim alone as a probability, 0 to 1."""
        return self.reliability * self.confidence / 10_000


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one claim adds to the score, after the ones before it; contributions add up to the score."""

    claim: Claim
    points: float


def contributions(claims: Iterable[Claim]) -> list[Contribution]:
    """Each claim's points, strongest claim first; their sum is the exact score, 0 to 100."""
    ordered = sorted(claims, key=lambda claim: (-claim.weight, claim.source))
    doubt, parts = 1.0, []
    for claim in ordered:
        parts.append(Contribution(claim, 100 * doubt * claim.weight))
        doubt *= 1 - claim.weight
    return parts


def score(claims: Iterable[Claim]) -> int:
    """The score, 0 to 100: the contributions' sum, rounded."""
    return rounded(contributions(claims))


def rounded(parts: Iterable[Contribution]) -> int:
    """The score that contributions add up to."""
    return round(sum(part.points for part in parts))


@cache
def single(reliability: int, confidence: int) -> int:
    """The score of an observable that one source asserts: what a bulk load mostly asks."""
    return round(reliability * confidence / 100)
