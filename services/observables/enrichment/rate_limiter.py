"""The rate limiter of a provider queue: how many calls may start now, and when the next may.

Pure arithmetic without a clock. A queue stands for what a provider counts by: one key, or one
installation. One worker at a time leases it, so its limiter needs no agreement beyond the row that
stores it. Calls are paid for before they are made: a worker that dies has spent at most what it
was allowed.

Four limits hold a call back: a token bucket, the daily budget, the provider's own refusal (429
with Retry-After), and a circuit breaker (M. Nygard, Release It!, 2nd edition, 2018, §5.2) that
opens when calls keep failing.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from services.observables.providers.base import RateLimit

BlockedFor = Literal["quota", "trouble", "key"]

FAILURES: Final = 5
"""Consecutive failures that open the breaker."""
KEY_SECONDS: Final = 3600.0
"""How long a refused key is not used, unless it is changed."""

_OPEN_SECONDS: Final = 15.0
_OPEN_LONGEST: Final = 600.0
_QUOTA_SECONDS: Final = 30.0
_QUOTA_LONGEST: Final = 3600.0
_MARGIN: Final = 0.98
_INTERACTIVE_SHARE: Final = 0.1
_LEAST_PAUSE: Final = 60.0
_HALF_LIFE: Final = 500.0
"""Calls after which older ones count half: longer than the cycles of most quotas."""
_LONGEST_REST: Final = 7200.0
_AHEAD_SECONDS: Final = 0.25
_DAY_SECONDS: Final = 86_400.0

SPENDING_FIELDS: Final = ("tokens", "at", "day", "used", "calls", "seconds", "since")
"""Fields of a limiter that claiming jobs changes; outcomes change the others."""


class QuotaLimits(msgspec.Struct, frozen=True):
    """The limits of a key: the provider's free ones, or those of a tenant's plan."""

    rate: RateLimit
    daily: int | None
    concurrency: int

    @property
    def burst(self) -> int:
        """Calls that may start at once."""
        return max(1, self.rate.calls // 10)

    @property
    def refill(self) -> float:
        """Tokens in a second.

        Bucket and refill together never allow more than `rate.calls` in `rate.seconds`.
        """
        return _MARGIN * (self.rate.calls - self.burst + 1) / self.rate.seconds


class RateLimiter(msgspec.Struct):
    """The use of a queue, and what blocks it. Times are Unix times in seconds.

    The field names are those of the stored JSON.

    Attributes:
        tokens: in the bucket at `at`; None in a queue that was never used.
        day: the UTC day that `used` counts, as a proleptic ordinal.
        blocked_until: no call starts before. Then one call probes, until one succeeds.
        proven: whether a call has succeeded since the key, or the queue, is new; until then one
            call at a time probes.
        window: successful calls before the provider last reported its quota as used up; near that
            number one call at a time probes. `in_window` counts them since.
        failures: consecutive ones.
        blocks: consecutive ones, without a success in between.
        calls: finished calls, decaying; with `seconds`, decaying alike, the pace of a busy queue.
        since: the time up to which that is counted; 0 in a queue without work.
    """

    tokens: float | None = None
    at: float = 0.0
    day: int = 0
    used: int = 0
    blocked_until: float = 0.0
    blocked_for: BlockedFor | None = None
    reason: str | None = None
    proven: bool = False
    window: int | None = None
    in_window: int = 0
    failures: int = 0
    blocks: int = 0
    calls: float = 0.0
    seconds: float = 0.0
    since: float = 0.0

    def grant(self, limits: QuotaLimits, now: float, in_flight: int, *, interactive: bool) -> int:
        """How many calls may be paid for now, to start at once or as soon as there is a place.

        Args:
            limits: of the queue.
            now: the time.
            in_flight: calls that are paid for and have not finished.
            interactive: whether a person waits for them; background work leaves a tenth of burst
                and budget to people.
        """
        if now < self.blocked_until:
            return 0
        places = 1
        if not self.is_probing(limits):
            places = limits.concurrency + self._prepayable(limits)
        reserve = 0.0 if interactive else _INTERACTIVE_SHARE
        tokens = self._tokens(limits, now) - math.floor(reserve * limits.burst)
        left = self._left_today(limits, now, reserve)
        return max(0, math.floor(min(places - in_flight, tokens + 1e-9, left)))

    def is_probing(self, limits: QuotaLimits) -> bool:
        """Whether one call at a time finds out if the provider answers."""
        window = self.window
        near = window is not None and self.in_window >= window - limits.concurrency
        return self.blocks > 0 or not self.proven or near

    def spend(self, limits: QuotaLimits, now: float, calls: int) -> None:
        """Pay for calls, before they are made."""
        self.tokens = self._tokens(limits, now) - calls
        self.used = self._used(now) + calls
        self.at = max(self.at, now)
        self.day = _day(now)

    def refund(self, limits: QuotaLimits, now: float, calls: int) -> None:
        """Take back calls that were paid for and not made.

        If they are more than this day has used, the day before paid some of them: then the
        budget stays as it is.
        """
        used = self._used(now)
        self.spend(limits, now, -calls)
        self.used = used - calls if calls <= used else used

    def record_success(self, started: float) -> None:
        """Count a successful call; one that started before a block does not lift it."""
        self.failures = 0
        self.proven = True
        self.in_window += 1
        if self.window is not None and self.in_window > 2 * self.window:
            self.window = None  # the refusal did not depend on the number of calls
        if started >= self.blocked_until:
            self.blocks = 0
            self.blocked_until = 0.0
            self.blocked_for = None
            self.reason = None

    def record_over_quota(self, now: float, seconds: float | None) -> None:
        """Block the queue for as long as the provider says, or ever longer when it says nothing."""
        if self.in_window:
            self.window = self.in_window
            self.in_window = 0
        if seconds is None and now < self.blocked_until:
            return  # another call has heard the same just now
        if seconds is None:
            seconds = min(_QUOTA_SECONDS * 2**self.blocks, _QUOTA_LONGEST)
        # A provider that refuses repeatedly without a usable pause gets a growing one.
        least = 0.0
        if self.blocks and now >= self.blocked_until:
            least = min(2.0**self.blocks, _LEAST_PAUSE)
        until = now + max(seconds, least)
        self._block(until, "quota", "The provider says that its quota is used up.")

    def record_key_refused(self, now: float, reason: str) -> None:
        """Block the queue: further calls with a refused key would get it banned."""
        self.proven = False
        self._block(now + KEY_SECONDS, "key", reason)

    def record_failure(self, now: float, reason: str) -> None:
        """Count a call that failed because the provider is in trouble."""
        self.failures += 1
        if now >= self.blocked_until and (self.failures >= FAILURES or self.blocks):
            wait = min(_OPEN_SECONDS * 2**self.blocks, _OPEN_LONGEST)
            self._block(now + wait, "trouble", reason)

    def _block(self, until: float, kind: BlockedFor, reason: str) -> None:
        # Calls that were in flight together fail together: they count as one block.
        if self.blocked_until < until:
            self.blocks += self.blocked_until == 0.0 or self.blocked_until < self.at
            self.blocked_until = until
            self.blocked_for = kind
            self.reason = reason

    def record_pace(self, now: float, calls: int, *, busy: bool) -> None:
        """Count calls that have finished since the last time; only time with work counts."""
        # A night without budget says nothing about the pace.
        is_counted = self.since and _day(self.since) == _day(now)
        seconds = min(max(0.0, now - self.since), _LONGEST_REST) if is_counted else 0.0
        decay = 0.5 ** (calls / _HALF_LIFE)
        self.calls = self.calls * decay + calls
        self.seconds = self.seconds * decay + seconds
        self.since = now if busy else 0.0

    def next_call_at(self, limits: QuotaLimits, now: float, *, interactive: bool = False) -> float:
        """When a call may start if none is in flight; `now` when one may."""
        reserve = 0.0 if interactive else _INTERACTIVE_SHARE
        missing = 1 + math.floor(reserve * limits.burst) - self._tokens(limits, now)
        ready = max(now + max(0.0, missing) / limits.refill, self.blocked_until)
        if self._left_today(limits, ready, reserve) >= 1:
            return ready
        return max(ready, _tomorrow(ready))

    def finish_at(self, limits: QuotaLimits, now: float, calls: int) -> float:
        """When that many waiting background calls will have been made, at the queue's pace.

        Until the queue has a pace of its own, its limits stand for it.
        """
        start = max(now, self.blocked_until)
        pace = self.calls_per_second(limits)
        at_once = 0
        if not self.is_probing(limits):
            at_once = max(0, math.floor(self._tokens(limits, now)))
        if limits.daily is None:
            return start + max(0, calls - at_once) / pace
        # With a daily budget: what this day still allows, then whole days, then the rest.
        usable = max(1, limits.daily - math.floor(_INTERACTIVE_SHARE * limits.daily))
        midnight = _tomorrow(start)
        today = min(max(0, usable - self._used(start)), at_once + pace * (midnight - start))
        if calls <= today:
            return start + max(0, calls - at_once) / pace
        left = calls - today
        a_day = min(float(usable), pace * _DAY_SECONDS)
        days = max(0, math.ceil(left / a_day) - 1)
        return midnight + days * _DAY_SECONDS + (left - days * a_day) / pace

    def calls_per_second(self, limits: QuotaLimits) -> float:
        """The pace while there is work."""
        if self.calls < FAILURES or self.seconds <= 0:
            return limits.refill
        return self.calls / self.seconds

    def used_on(self, now: float) -> int:
        """Calls that were paid for on the day of `now`."""
        return self._used(now)

    def _prepayable(self, limits: QuotaLimits) -> int:
        """Calls to pay for before there is a place, never so early that the provider notices."""
        if self.calls < FAILURES or self.seconds <= 0:
            return 0
        pace = self.calls / self.seconds
        return math.floor(pace * min(_AHEAD_SECONDS, (1 - _MARGIN) * limits.rate.seconds))

    def _left_today(self, limits: QuotaLimits, now: float, reserve: float) -> float:
        if limits.daily is None:
            return math.inf
        return limits.daily - self._used(now) - math.floor(reserve * limits.daily)

    def _tokens(self, limits: QuotaLimits, now: float) -> float:
        if self.tokens is None:
            return float(limits.burst)
        refilled = max(0.0, now - self.at) * limits.refill
        return min(float(limits.burst), self.tokens + refilled)

    def _used(self, now: float) -> int:
        return self.used if self.day == _day(now) else 0


def _day(now: float) -> int:
    return datetime.fromtimestamp(now, UTC).toordinal()


def _tomorrow(now: float) -> float:
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=1)).timestamp()
