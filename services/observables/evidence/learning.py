"""How far a source can be relied on, learned from what came out about its listings. No I/O.

The grade that people give a source is the prior of a Beta distribution, and listings whose truth
came out since are the evidence. Only newer listings count, since a source may turn bad.
"""

from math import sqrt
from typing import Final, NamedTuple

PRIOR_LISTINGS: Final = 20
"""Listings that the grade of a source stands for."""
MOST_LISTINGS: Final = 200.0
"""Listings that count at most: what nobody has looked at is not known better for its number."""
FEWEST_LABELS: Final = 10
"""Listings of known truth without which nothing is proposed."""
STEP: Final = 5
"""A reliability that moves by less stays: each move lets scores be computed again."""
_LIMITS: Final = (0.02, 0.98)
_SIGMAS: Final = 1.645
"""Standard deviations to each side that hold 90 %."""


class Outcomes(NamedTuple):
    """What came out about listings of a source.

    Attributes:
        right: the weight of those that are bad, as the source says; of newer ones it is higher.
        wrong: the weight of those that are harmless.
        labels: the number of both.
    """

    right: float = 0.0
    wrong: float = 0.0
    labels: int = 0

    def plus(self, other: "Outcomes") -> "Outcomes":
        """Both together."""
        return Outcomes(
            self.right + other.right, self.wrong + other.wrong, self.labels + other.labels
        )


class LearnedReliability(NamedTuple):
    """In how many of 100 cases a source is right, and between which numbers that is with 90 %."""

    reliability: int
    low: int
    high: int


def learned_reliability(stated: int, outcomes: Outcomes) -> LearnedReliability:
    """The mean of the Beta posterior of a source's precision.

    Args:
        stated: the reliability that its grade stands for, 0 to 100.
        outcomes: of its listings.
    """
    prior = min(max(stated / 100, _LIMITS[0]), _LIMITS[1])
    total = outcomes.right + outcomes.wrong
    scale = min(1.0, MOST_LISTINGS / total) if total else 0.0
    right = PRIOR_LISTINGS * prior + outcomes.right * scale
    wrong = PRIOR_LISTINGS * (1 - prior) + outcomes.wrong * scale
    mean = right / (right + wrong)
    deviation = sqrt(mean * (1 - mean) / (right + wrong + 1))
    low, high = (mean + side * _SIGMAS * deviation for side in (-1, 1))
    return LearnedReliability(
        round(100 * mean), max(round(100 * low), 0), min(round(100 * high), 100)
    )


def applied_reliability(
    stated: int, learned: LearnedReliability, labels: int, before: int | None
) -> int | None:
    """The reliability that holds in the place of the stated one; None where that one holds.

    Args:
        stated: by the grade.
        learned: from outcomes.
        labels: listings of known truth.
        before: what held until now.
    """
    if labels < FEWEST_LABELS:
        return None
    if before is not None and abs(learned.reliability - before) < STEP:
        return before
    return None if abs(learned.reliability - stated) < STEP else learned.reliability
