"""How a claim loses weight with time. No I/O.

The curve is the one OpenCTI uses: what is left after t days is
1 - (t / lifetime)^(1 / (3 · pound)). Lifetimes depend on the type and on the kind of threat: a
phishing page is gone after days, an address changes hands within weeks, a file stays what it is.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import product
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
_FILE: Final = Curve(460, 0.3)
_MEMORY: Final = Curve(3650, 0.35)
"""How what was said about something that changes hands is forgotten."""

CONTENT: Final = frozenset(
    {
        *("file-md5", "file-sha1", "file-sha256", "file-sha512"),
        *("file-ssdeep", "file-tlsh", "file-imphash", "x509-sha1", "x509-sha256"),
    }
)
"""Types that stand for content: it never becomes something else, so that it stays what it was."""

_CURVES: Final[dict[str, Curve]] = {
    "ipv4-addr": _NETWORK,
    "ipv6-addr": _NETWORK,
    "url": _NETWORK,
    "domain-name": Curve(300, 0.7),
    **dict.fromkeys((kind for kind in CONTENT if kind.startswith("file-")), _FILE),
}
_BY_THREAT: Final[dict[tuple[str, str], Curve]] = {
    # Campaigns last 21 hours on average (Oest et al., USENIX Security 2020).
    ("url", "phishing"): Curve(7, 0.6),
    ("domain-name", "phishing"): Curve(60, 0.6),
    ("url", "delivery"): Curve(21, 0.55),
    # Reused addresses stay listed for up to 44 days (Ramanathan et al., IMC 2020).
    **dict.fromkeys(
        product(("ipv4-addr", "ipv6-addr"), ("scanner", "spam")),
        Curve(21, 0.55),
    ),
}
_HOSTED_SHARE: Final = 0.5
"""The share of its lifetime that an address has where addresses are rented by the hour."""


@lru_cache(maxsize=1024)
def curve_of(type_: str, threat: str = "", *, is_hosted: bool = False) -> Curve:
    """How claims about a type of observable fade, by the kind of threat and of hosting.

    Args:
        type_: the observable's.
        threat: as `threats.threat_kind` gives it.
        is_hosted: whether it is an address of a cloud, whose tenants change.
    """
    curve = _BY_THREAT.get((type_, threat)) or _CURVES.get(type_, _DEFAULT)
    return Curve(curve.lifetime * _HOSTED_SHARE, curve.pound) if is_hosted else curve


def memory_left(type_: str, age: timedelta) -> float:
    """What is left of the statement that something was bad once, 1 to 0."""
    return 1.0 if type_ in CONTENT else _MEMORY.left(age)


def next_crossing(
    curve: Curve, weights: tuple[float, ...], factor: float, since: datetime, score: int
) -> datetime | None:
    """When a score may first fall below a threshold: never later than it does, seldom much earlier.

    All claims are taken to fade from the earliest `since`, so that one unknown is left.

    Args:
        curve: how the claims fade.
        weights: the claims', 0 to 1, before any decay.
        factor: the share of the score that effects leave, 0 to 1.
        since: when the first of the claims begins to fade.
        score: the score now.
    """
    left = _left_at_crossing(tuple(sorted(weights)), factor, score)
    return None if left is None else since + curve.until(left)


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
