"""What an observable inherits from what it lies within: networks, domains, the host of a URL.

A claim about a network is a weaker claim about each of its addresses, the weaker the wider it is.
One about a domain is one about the names below it, as far as they have the same owner. Of several
that enclose each other the strongest counts: they mostly rest on the same evidence. No I/O.
"""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.observables.scoring.claims import Verdict
from services.observables.scoring.score import verdict
from shared.stix.domains import split_domain

_NEAR: Final = 0.8
"""The share that comes from the nearest: a network of an office, the domain of a name."""
_HALVED_BY: Final = {"ipv4-addr": 8, "ipv6-addr": 16}
"""Bits by which a network is wider when its share is halved."""
_FULL_LENGTH: Final = {"ipv4-addr": 24, "ipv6-addr": 64}
"""Prefix length from which the share is the nearest's."""
_FROM_HOST: Final = 0.6
"""The share that a URL inherits from what its host lies within."""
_OF_MAIL: Final = 0.5
"""The share that an address of mail inherits from its domain: many people have one there."""


class InheritedPart(msgspec.Struct):
    """What one enclosing observable gives."""

    type: str
    value: str
    score: Annotated[int, Meta(description="of the enclosing observable")]
    share: Annotated[float, Meta(description="the share of it that is inherited, 0 to 1")]
    points: float
    reason: str


class Inheritance(msgspec.Struct):
    """What an observable inherits; it is told apart from its own score."""

    score: Annotated[int, Meta(description="the strongest of the parts, 0 to 100")]
    verdict: Annotated[
        Verdict, Meta(description="of the observable's own score and of what it inherits")
    ]
    parts: Annotated[list[InheritedPart], Meta(description="the strongest first")]


def inherited(
    type_: str, value: str, own_score: int, enclosing: Iterable[tuple[str, str, int]]
) -> Inheritance | None:
    """What an observable inherits; None if it is nothing.

    Args:
        type_: the observable's.
        value: its value.
        own_score: its own score.
        enclosing: type, value and score of what it lies within.
    """
    parts = []
    for outer_type, outer_value, score in enclosing:
        share = _share(type_, value, outer_type, outer_value) if score else 0.0
        if share:
            reason = f"{share:.0%} of the score of {outer_value}, within which it lies"
            points = score * share
            parts.append(
                InheritedPart(outer_type, outer_value, score, round(share, 2), points, reason)
            )
    if not parts:
        return None
    parts.sort(key=lambda part: (-part.points, part.value))
    score = round(parts[0].points)
    return Inheritance(score, verdict(max(score, own_score)), parts)


def _share(type_: str, value: str, outer_type: str, outer_value: str) -> float:
    """The share of an enclosing observable's score that an observable inherits."""
    if outer_type in _HALVED_BY:
        share = _share_of_network(outer_type, outer_value)
        return share * _FROM_HOST / _NEAR if type_ == "url" and "/" in outer_value else share
    if outer_type != "domain-name":
        return 0.0
    name = value.rpartition("@")[2] if type_ == "email-addr" else value
    if type_ == "url":
        is_host = f"//{outer_value}" in value or f"@{outer_value}" in value
        return _NEAR if is_host else _below(outer_value) * _FROM_HOST
    share = _below(outer_value) * _NEAR
    return share * _OF_MAIL / _NEAR if name != value else share


def _below(domain: str) -> float:
    """1 if what is below a domain has its owner; 0 below a suffix where anybody may register."""
    return float(split_domain(domain).registrable is not None)


def _share_of_network(type_: str, network: str) -> float:
    length = network.partition("/")[2]
    missing = max(_FULL_LENGTH[type_] - int(length), 0) if length else 0
    return float(_NEAR * 0.5 ** (missing / _HALVED_BY[type_]))
