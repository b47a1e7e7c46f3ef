"""What a score is made of: claims, effects, and the contributions that explain it. No I/O."""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

Kind = Literal[
    "source", "sighting", "enrichment", "allow-list", "false-positive", "confirmation", "hosting"
]
Verdict = Literal["malicious", "suspicious", "weak", "none"]


class Claim(NamedTuple):
    """A claim that an observable is bad.

    Attributes:
        name: the source, the reporter of a confirmation, or the enricher.
        weight: 0 to 1, its probability alone and undiminished.
        since: when it begins to fade.
        reason: one sentence for people.
        until: when it stops counting, if that is not a matter of fading.
        origin: whose observation it is; empty when nobody has named it.
        derived_from: the origins that it repeats.
        reliability: of the source, 0 to 100.
        threat: the kind of threat, see `threats`.
        dated: the date of the newest evidence behind it; None when that is `since`.
        source_id: of the claim of a source.
        copies: the sources that this one copies, as measured.
    """

    kind: Kind
    name: str
    weight: float
    since: datetime
    reason: str = ""
    until: datetime | None = None
    origin: str = ""
    derived_from: tuple[str, ...] = ()
    reliability: int = 100
    threat: str = ""
    dated: datetime | None = None
    source_id: str = ""
    copies: tuple[tuple[str, float], ...] = ()


class Effect(NamedTuple):
    """A fact about the value itself, and its effect on the score.

    Attributes:
        weight: 0 to 1 closes that share of the doubt that is left; -1 to 0 takes that share of the
            score away.
        until: when it stops counting.
        dated: of a report of a false positive: newer claims are not concerned by it.
    """

    kind: Kind
    name: str
    weight: float
    reason: str = ""
    until: datetime | None = None
    dated: datetime | None = None


class Contribution(msgspec.Struct, frozen=True):
    """One part of a score."""

    kind: Kind
    name: str
    weight: Annotated[
        float,
        Meta(description="alone, -1 to 1: raises when positive, lowers when negative"),
    ]
    left: Annotated[float, Meta(description="what time has left of it, 0 to 1")]
    points: Annotated[
        float, Meta(description="added after the parts before it; the sum is the score")
    ]
    reason: str
    share: Annotated[
        float, Meta(description="how much of it is independent of the other claims, 0 to 1")
    ] = 1.0
