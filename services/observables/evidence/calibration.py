"""Scores as probabilities: isotonic regression on observables whose truth came out later. No I/O.

Of two scores the higher has at least the probability of the lower; beyond that, the data decide.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

MIN_LABELS: Final = 50
"""Observables of known truth that a calibration needs."""


class Step(NamedTuple):
    """From a score on, a probability holds."""

    score: float
    probability: float


class Labelled(NamedTuple):
    """A score, and whether the observable was bad after all."""

    type: str
    score: float
    is_bad: bool


class Calibration(NamedTuple):
    """Probabilities by type, each in steps that rise.

    Attributes:
        by_type: of types with enough observables of known truth.
        overall: of all types; empty if these are not enough either.
    """

    by_type: Mapping[str, tuple[Step, ...]]
    overall: tuple[Step, ...] = ()

    def probability(self, type_: str, score: float) -> float:
        """The probability that a score of 0 to 100 stands for; as it says if nothing is learned."""
        steps = self.by_type.get(type_, self.overall)
        if not steps:
            return score / 100
        at = bisect_right(steps, score, key=lambda step: step.score)
        return steps[max(at - 1, 0)].probability


def calibrate(labelled: Iterable[Labelled]) -> Calibration:
    """Learn what scores stand for, by type and overall."""
    by_type: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for type_, score, is_bad in labelled:
        by_type[type_].append((score, is_bad))
    all_pairs = [pair for pairs in by_type.values() for pair in pairs]
    return Calibration(
        {
            type_: rising_steps(pairs)
            for type_, pairs in by_type.items()
            if len(pairs) >= MIN_LABELS
        },
        rising_steps(all_pairs) if len(all_pairs) >= MIN_LABELS else (),
    )


def rising_steps(pairs: Iterable[tuple[float, bool]]) -> tuple[Step, ...]:
    """Isotonic regression by pooling adjacent violators (Ayer et al., 1955)."""
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for score, is_bad in pairs:
        counts[score][0] += is_bad
        counts[score][1] += 1
    pools: list[tuple[float, int, int]] = []
    for score, (bad, total) in sorted(counts.items()):
        pool = (score, bad, total)
        while pools and pools[-1][1] * pool[2] >= pool[1] * pools[-1][2]:
            lower = pools.pop()
            pool = (lower[0], lower[1] + pool[1], lower[2] + pool[2])
        pools.append(pool)
    return tuple(Step(score, bad / total) for score, bad, total in pools)


class Quality(NamedTuple):
    """How good probabilities are.

    Attributes:
        brier: the mean squared difference to the truth.
        calibration_error: the expected one: the mean difference between what is said and what is
            true, over ten classes of probabilities, weighted by their sizes.
    """

    brier: float
    calibration_error: float


def quality(pairs: Iterable[tuple[float, bool]], classes: int = 10) -> Quality:
    """The quality of probabilities, given the truth of each."""
    sums = [[0.0, 0.0, 0.0] for _ in range(classes)]
    squares = 0.0
    count = 0
    for probability, is_bad in pairs:
        part = sums[min(int(probability * classes), classes - 1)]
        part[0] += probability
        part[1] += is_bad
        part[2] += 1
        squares += (probability - is_bad) ** 2
        count += 1
    if not count:
        return Quality(0.0, 0.0)
    error = sum(abs(stated - true) for stated, true, _ in sums) / count
    return Quality(squares / count, error)
