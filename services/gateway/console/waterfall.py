"""A score as a waterfall: each part begins where the one before ended.

Plain geometry without I/O; a template draws it.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

WIDTH: Final = 100.0
"""The width of the chart: one unit per point of the score."""


class WaterfallBar(NamedTuple):
    """One part of a score.

    Attributes:
        kind, name, reason: as the service states them.
        points: what the part adds; negative for what it takes.
        start, width: where the bar lies, in points from the left.
        total: the sum up to and with this part.
    """

    kind: str
    name: str
    reason: str
    points: float
    start: float
    width: float
    total: float


def make_waterfall(contributions: Sequence[Any]) -> list[WaterfallBar]:
    """Arrange contributions; documents that lack points are taken as zero.

    Args:
        contributions: of an explanation, as its API gives them.
    """
    bars = []
    total = 0.0
    for part in contributions:
        points = float(part.get("points") or 0)
        after = total + points
        low = min(max(min(total, after), 0.0), WIDTH)
        high = min(max(total, after, 0.0), WIDTH)
        bars.append(
            WaterfallBar(
                str(part.get("kind", "")),
                str(part.get("name", "")),
                str(part.get("reason", "")),
                points,
                round(low, 3),
                round(high - low, 3),
                round(after, 3),
            )
        )
        total = after
    return bars
