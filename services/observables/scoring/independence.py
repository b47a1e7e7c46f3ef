"""How far those who claim something are independent of each other. No I/O.

Evidence is -ln(1 - weight): that of independent witnesses adds up. Of one origin the strongest
claim counts. A claim of a source that is derived from other origins counts with what it says beyond
the strongest claim of these, and of all derived claims only the largest such rest counts. A further
claim never lowers the sum, and the order of claims does not matter.

A source of which it is measured that it copies another counts, as far as that is probable, with
what it says beyond the other. The strongest claim always counts.
"""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Final, NamedTuple

_MAX_WEIGHT: Final = 1 - 1e-6
"""Nothing is entirely certain; the evidence of certainty would have no end."""

CopyProbabilities = tuple[tuple[str, float], ...]
"""Ids of other sources, each with the probability that what both claim is copied from it."""


class Witness(NamedTuple):
    """Someone who claims something.

    Attributes:
        origin: whose observation it is.
        derived_from: the origins that it repeats, for lists that are made of others.
        evidence: of the claim.
        copies: the names of witnesses that it copies, as measured.
    """

    name: str
    origin: str
    derived_from: tuple[str, ...]
    evidence: float
    copies: CopyProbabilities = ()


def evidence_of(weight: float) -> float:
    """The evidence of a claim that is right with a probability."""
    return -log(1 - min(weight, _MAX_WEIGHT)) if weight > 0 else 0.0


def weight_of(evidence: float) -> float:
    """The probability that some evidence stands for: the inverse of `evidence_of`."""
    return 1 - exp(-evidence)


def shares(witnesses: Sequence[Witness]) -> list[float]:
    """The share of each witness's evidence that counts, 0 to 1; the sum is the effective number.

    Args:
        witnesses: the strongest first.
    """
    strongest: dict[str, float] = {}
    result = [0.0] * len(witnesses)
    for place, witness in enumerate(witnesses):
        if not witness.derived_from and witness.origin not in strongest:
            strongest[witness.origin] = witness.evidence
            result[place] = 1.0 if witness.evidence > 0 else 0.0
    _add_derived(witnesses, strongest, result)
    for witness in witnesses:
        if witness.copies:
            return _without_copies(witnesses, result)
    return result


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


def _without_copies(witnesses: Sequence[Witness], counted: Sequence[float]) -> list[float]:
    """Shares without what is probably copied.

    Of several that a witness copies the one counts that explains most of it: they may have copied
    each other.
    """
    evidence: dict[str, float] = {}
    for witness in witnesses:
        evidence[witness.name] = max(witness.evidence, evidence.get(witness.name, 0.0))
    result = list(counted)
    for place, witness in enumerate(witnesses):
        own = witness.evidence * counted[place]
        if witness.copies and own > 0:
            copied = [
                probability * min(own, evidence.get(name, 0.0))
                for name, probability in witness.copies
            ]
            result[place] -= max(copied) / witness.evidence
    # Measured at another time than the origins that are stated now, copies might go in a circle.
    total = sum(witness.evidence * share for witness, share in zip(witnesses, result, strict=True))
    if witnesses and total < witnesses[0].evidence:
        result[0] = min(1.0, result[0] + 1 - total / witnesses[0].evidence)
    return result
