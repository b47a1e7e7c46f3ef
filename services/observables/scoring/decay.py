"""How a claim loses weight with time. No I/O.

The curve is the one OpenCTI uses: what is left after t days is
1 - (t / lifetime)^(1 / (3 · pound)), with defaults by type: an address changes hands within weeks,
a file stays what it is.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

THRESHOLDS: Final = (80, 50, 20)
"""Falling below one of these is news; below the last one an observable has expired."""

HELD_FOR: Final = timedelta(days=7)
"""How long the assertions of a complete list hold after the list was last confirmed."""


_DAY: Final = timedelta(days=1)
_FAR: Final = datetime(9990, 1, 1, tzinfo=UTC)
"""Fading treats later times as this one, so that there is always a moment behind it."""


@lru_cache(maxsize=4096)
def end_of_day(moment: datetime) -> datetime:
    """The end of the day, in UTC, that a moment lies in.

    Assertions fade from there: all that a source reports on one day is worth the same, whichever of
    the day's reports is stored.
    """
    if moment >= _FAR:
        return _FAR
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + _DAY


class Curve(NamedTuple):
    """How fast claims about a type of observable fade.

    Attributes:
        lifetime: days until nothing is left.
        pound: below 1/3 the curve falls late, above it early.
    """

    lifetime: float
    pound: float

    def left(self, age: timedelta) -> float:
        """What is left of a claim after a time, 1 to 0."""
        days = age.total_seconds() / 86_400
        if days <= 0:
            return 1.0
        return (
            0.0 if days >= self.lifetime else 1.0 - (days / self.lifetime) ** (1 / (3 * self.pound))
        )

    def until(self, left: float) -> timedelta:
        """After how long no more than `left` is left; the inverse of `left`."""
        return timedelta(days=self.lifetime * (1 - min(max(left, 0.0), 1.0)) ** (3 * self.pound))


_DEFAULT: Final = Curve(470, 0.35)
_NETWORK: Final = Curve(47, 0.55)
_CURVES: Final[dict[str, Curve]] = {
    "ipv4-addr": _NETWORK,
    "ipv6-addr": _NETWORK,
    "url": _NETWORK,
    "domain-name": Curve(300, 0.7),
    **dict.fromkeys(
        (
            "file-md5",
            "file-sha1",
            "file-sha256",
            "file-sha512",
            "file-ssdeep",
            "file-tlsh",
            "file-imphash",
        ),
        Curve(460, 0.3),
    ),
}


def curve_of(type_: str) -> Curve:
    """The curve of a type of observable."""
    return _CURVES.get(type_, _DEFAULT)


def next_crossing(
    type_: str, weights: tuple[float, ...], factor: float, since: datetime, score: int
) -> datetime | None:
    """When a score may first fall below a threshold: never later than it does, seldom much earlier.

    All claims are taken to fade from the earliest `since`, so that one unknown is left.

    Args:
        type_: the observable's.
        weights: the claims', 0 to 1, before any decay.
        factor: the share of the score that effects leave, 0 to 1.
        since: when the first of the claims begins to fade.
        score: the score now.
    """
    left = _left_at_crossing(tuple(sorted(weights)), factor, score)
    return None if left is None else since + curve_of(type_).until(left)


@lru_cache(maxsize=16_384)
def _left_at_crossing(weights: tuple[float, ...], factor: float, score: int) -> float | None:
    """The share left of each claim when the score reaches the next threshold, by bisection."""
    below = next((threshold for threshold in THRESHOLDS if threshold <= score), None)
    if below is None:
        return None
    low = 0.0
    high = 1.0
    for _ in range(40):
        middle = (low + high) / 2
        doubt = 1.0
        for weight in weights:
            doubt *= 1 - weight * middle
        if round(100 * (1 - doubt) * factor) >= below:
            high = middle
        else:
            low = middle
    return low
