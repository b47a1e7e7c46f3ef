"""How far those who claim something are independent of each other. No I/O.

Evidence is -ln(1 - weight): that of independent witnesses adds up. Of one origin the strongest
claim counts. A claim of a source that is derived from other origins counts with what it says beyond
the strongest claim of these, and of all derived claims only the largest such rest counts. A further
claim never lowers the sum, and the order of claims does not matter.
"""

from collections.abc import Mapping, Sequence
from math import exp, log
from types import MappingProxyType
from typing import Final, NamedTuple

_MAX_WEIGHT: Final = 1 - 1e-6
"""Nothing is entirely certain; the evidence of certainty would have no end."""

CopyProbabilities = Mapping[frozenset[str], float]
"""By the names of two sources, the probability that one of them copies the other, 0 to 1."""

NO_COPYING: Final[CopyProbabilities] = MappingProxyType({})
"""What holds as long as copying is not measured."""


class Witness(NamedTuple):
    """Someone who claims something.

    Attributes:
        origin: whose observation it is.
        derived_from: the origins that it repeats, for lists that are made of others.
        evidence: of the claim.
    """

    name: str
    origin: str
    derived_from: tuple[str, ...]
    evidence: float


def evidence_of(weight: float) -> float:
    """The evidence of a claim that is right with a probability."""
    return -log(1 - min(weight, _MAX_WEIGHT)) if weight > 0 else 0.0


def weight_of(evidence: float) -> float:
    """The probability that some evidence stands for: the inverse of `evidence_of`."""
    return 1 - exp(-evidence)


def shares(witnesses: Sequence[Witness], copying: CopyProbabilities = NO_COPYING) -> list[float]:
    """The share of each witness's evidence that counts, 0 to 1; the sum is the effective number.

    Args:
        witnesses: the strongest first.
        copying: measured probabilities; a claim is discounted by those of all stronger ones.
    """
    strongest: dict[str, float] = {}
    result = [0.0] * len(witnesses)
    for place, witness in enumerate(witnesses):
        if not witness.derived_from and witness.origin not in strongest:
            strongest[witness.origin] = witness.evidence
            result[place] = 1.0 if witness.evidence > 0 else 0.0
    _add_derived(witnesses, strongest, result)
    return _discounted(witnesses, result, copying) if copying else result


def _add_derived(
    witnesses: Sequence[Witness], strongest: Mapping[str, float], result: list[float]
) -> None:
    """Add the share of the derived witness that says most beyond the origins it repeats."""
    largest = 0.0
    at = -1
    for place, witness in enumerate(witnesses):
        if not witness.derived_from:
            continue
        origins = (witness.origin, *witness.derived_from)
        rest = witness.evidence - max(strongest.get(origin, 0.0) for origin in origins)
        if rest > largest:
            largest = rest
            at = place
    if at >= 0:
        result[at] = largest / witnesses[at].evidence


def _discounted(
    witnesses: Sequence[Witness], counted: Sequence[float], copying: CopyProbabilities
) -> list[float]:
    result = list(counted)
    for place, witness in enumerate(witnesses):
        for other in range(place):
            if counted[other]:
                pair = frozenset((witness.name, witnesses[other].name))
                result[place] *= 1 - copying.get(pair, 0.0)
    return result
