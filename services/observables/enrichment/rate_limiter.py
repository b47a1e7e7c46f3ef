"""The quota governor's arithmetic: how many calls a lane may start now, and when it may start the next. No I/O.

A lane is what a provider counts by: one key, or one installation. At any moment one worker holds it, so that its meter
needs no other agreement than that of the row it is kept in; calls are paid for before they are made, so that a worker
that dies has spent at most what it was allowed.

Four things hold a call back: a token bucket, the day's budget, the provider's own word (429 with Retry-After), and a
circuit breaker (M. Nygard, Release It!, 2nd edition, 2018, §5.2) that opens when calls keep failing.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from services.observables.providers.base import RateLimit

BlockedFor = Literal["quota", "trouble", "key"]

FAILURES: Final = 5
"""Failures one after the other that open the breaker."""
_OPEN_SECONDS, _OPEN_LONGEST = 15.0, 600.0
_QUOTA_SECONDS, _QUOTA_LONGEST = 30.0, 3600.0
KEY_SECONDS: Final = 3600.0
"""How long nobody is asked with a key that was refused, unless it is changed."""
_MARGIN: Final = 0.98
_KEPT_FOR_CLICKS: Final = 0.1
_LEAST_PAUSE: Final = 60.0
_HALF_LIFE: Final = 500.0
"""Calls after which what was counts half: longer than the cycles of most quotas."""
_LONGEST_REST: Final = 7200.0
_AHEAD_SECONDS: Final = 0.25
_DAY_SECONDS: Final = 86_400.0

SPENT: Final = ("tokens", "at", "day", "used", "calls", "seconds", "since")
"""What taking questions changes of a meter; what answers change is the rest of it."""


class QuotaLimits(msgspec.Struct, frozen=True):
    """What may be asked with a key: the provider's free limits, or those of the plan that a tenant pays for."""

    rate: RateLimit
    daily: int | None
    concurrency: int

    @property
    def burst(self) -> int:
        """Calls that may start at once."""
        return max(1, self.rate.calls // 10)

    @property
    def refill(self) -> float:
        """Tokens in a second: bucket and refill together never give more than `rate.calls` in `rate.seconds`."""
        return _MARGIN * (self.rate.calls - self.burst + 1) / self.rate.seconds


class RateLimiter(msgspec.Struct):
    """What a lane has used, and what holds it back. Times are Unix times in seconds.

    Attributes:
        tokens: in the bucket at `at`; None in a lane that was never used.
        day: the UTC day that `used` counts, as a proleptic ordinal.
        blocked_until: no call before; afterwards one call alone tries, until one succeeds.
        proven: whether a call went well since the key, or the lane, is new; until then one call alone tries.
        window: calls that went well before the provider last said that its quota was used up; near there, one call at
            a time finds out whether it is again. `in_window` counts them since.
        failures: one after the other.
        blocks: one after the other, without a success between them.
        calls: ended calls, decaying; with `seconds`, decaying alike, the pace of a lane that has work.
        since: up to when that is counted; 0 in a lane without work.
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

    def grant(self, plan: QuotaLimits, now: float, under_way: int, *, interactive: bool) -> int:
        """How many calls may be paid for now, to be made at once or as soon as there is a place.

        Args:
            plan: the lane's limits.
            now: the time.
            under_way: calls that were paid for and have not ended.
            interactive: whether a person waits for them: automatic work leaves a tenth of burst and budget to people.
        """
        if now < self.blocked_until:
            return 0
        most = (1 if self.careful(plan) else plan.concurrency + self._ahead(plan)) - under_way
        kept = 0.0 if interactive else _KEPT_FOR_CLICKS
        tokens = self._tokens(plan, now) - math.floor(kept * plan.burst)
        left = (
            math.inf
            if plan.daily is None
            else plan.daily - self._used(now) - math.floor(kept * plan.daily)
        )
        return max(0, math.floor(min(most, tokens + 1e-9, left)))

    def careful(self, plan: QuotaLimits) -> bool:
        """Whether one call alone is to find out how the provider is."""
        near = self.window is not None and self.in_window >= self.window - plan.concurrency
        return self.blocks > 0 or not self.proven or near

    def spend(self, plan: QuotaLimits, now: float, calls: int) -> None:
        """Pay for calls, before they are made."""
        self.tokens, self.used = self._tokens(plan, now) - calls, self._used(now) + calls
        self.at, self.day = max(self.at, now), _day(now)

    def give_back(self, plan: QuotaLimits, now: float, calls: int) -> None:
        """Take back calls that were paid for and not made.

        More than this day has used was partly paid from the day before: then the budget stays as it is.
        """
        used = self._used(now)
        self.spend(plan, now, -calls)
        self.used = used - calls if calls <= used else used

    def answered(self, started: float) -> None:
        """A call went well; one that started before the lane was blocked says nothing about that."""
        self.failures, self.proven = 0, True
        self.in_window += 1
        if self.window is not None and self.in_window > 2 * self.window:
            self.window = None  # it was not a matter of how many
        if started >= self.blocked_until:
            self.blocks, self.blocked_until, self.blocked_for, self.reason = 0, 0.0, None, None

    def over_quota(self, now: float, seconds: float | None) -> None:
        """The provider wants to be left alone, for as long as it says, or twice as long each time it says nothing."""
        if self.in_window:
            self.window, self.in_window = self.in_window, 0
        if seconds is None and now < self.blocked_until:
            return  # it said so to another call just now
        wait = min(_QUOTA_SECONDS * 2**self.blocks, _QUOTA_LONGEST) if seconds is None else seconds
        # Whoever refuses again and again without naming a pause gets one all the same.
        least = (
            min(2.0**self.blocks, _LEAST_PAUSE)
            if self.blocks and now >= self.blocked_until
            else 0.0
        )
        self._block(now + max(wait, least), "quota", "The provider says that its quota is used up.")

    def key_refused(self, now: float, reason: str) -> None:
        """The key is not taken: asking on would get it banned."""
        self.proven = False
        self._block(now + KEY_SECONDS, "key", reason)

    def failed(self, now: float, reason: str) -> None:
        """A call failed because the provider is in trouble."""
        self.failures += 1
        if now >= self.blocked_until and (self.failures >= FAILURES or self.blocks):
            wait = min(_OPEN_SECONDS * 2**self.blocks, _OPEN_LONGEST)
            self._block(now + wait, "trouble", reason)

    def _block(self, until: float, what: BlockedFor, reason: str) -> None:
        # Calls that were under way together fail together: they are one piece of news.
        if self.blocked_until < until:
            self.blocks += self.blocked_until == 0.0 or self.blocked_until < self.at
            self.blocked_until, self.blocked_for, self.reason = until, what, reason

    def passed(self, now: float, calls: int, *, busy: bool) -> None:
        """Time went by, so many calls ended, and there is work left or not; only time with work counts."""
        # Nobody knows what a night without a budget says about the pace.
        counted = self.since and _day(self.since) == _day(now)
        seconds = min(max(0.0, now - self.since), _LONGEST_REST) if counted else 0.0
        fade = 0.5 ** (calls / _HALF_LIFE)
        self.calls, self.seconds = self.calls * fade + calls, self.seconds * fade + seconds
        self.since = now if busy else 0.0

    def next_at(self, plan: QuotaLimits, now: float, *, interactive: bool = False) -> float:
        """When a call may start, if none is under way; `now` when one may."""
        kept = 0.0 if interactive else _KEPT_FOR_CLICKS
        missing = 1 + math.floor(kept * plan.burst) - self._tokens(plan, now)
        ready = max(now + max(0.0, missing) / plan.refill, self.blocked_until)
        left = (
            math.inf
            if plan.daily is None
            else plan.daily - self._used(ready) - math.floor(kept * plan.daily)
        )
        return ready if left >= 1 else max(ready, _tomorrow(ready))

    def finish_at(self, plan: QuotaLimits, now: float, calls: int) -> float:
        """When that many waiting automatic calls will have been made: an estimate from the pace so far.

        Until the lane has a pace of its own, its limits stand for it.
        """
        start, pace = max(now, self.blocked_until), self.pace(plan)
        at_once = 0 if self.careful(plan) else max(0, math.floor(self._tokens(plan, now)))
        if plan.daily is None:
            return start + max(0, calls - at_once) / pace
        usable = max(1, plan.daily - math.floor(_KEPT_FOR_CLICKS * plan.daily))
        midnight = _tomorrow(start)
        today = min(max(0, usable - self._used(start)), at_once + pace * (midnight - start))
        if calls <= today:
            return start + max(0, calls - at_once) / pace
        left, a_day = calls - today, min(float(usable), pace * _DAY_SECONDS)
        days = max(0, math.ceil(left / a_day) - 1)
        return midnight + days * _DAY_SECONDS + (left - days * a_day) / pace

    def pace(self, plan: QuotaLimits) -> float:
        """Calls in a second while there is work."""
        if self.calls < FAILURES or self.seconds <= 0:
            return plan.refill
        return self.calls / self.seconds

    def used_on(self, now: float) -> int:
        """Calls that were paid for on the day of a moment."""
        return self._used(now)

    def _ahead(self, plan: QuotaLimits) -> int:
        """Calls to pay for before there is a place for them: never so early that the provider could notice."""
        pace = self.calls / self.seconds if self.calls >= FAILURES and self.seconds > 0 else 0.0
        return math.floor(pace * min(_AHEAD_SECONDS, (1 - _MARGIN) * plan.rate.seconds))

    def _tokens(self, plan: QuotaLimits, now: float) -> float:
        if self.tokens is None:
            return float(plan.burst)
        return min(float(plan.burst), self.tokens + max(0.0, now - self.at) * plan.refill)

    def _used(self, now: float) -> int:
        return self.used if self.day == _day(now) else 0


def _day(now: float) -> int:
    return datetime.fromtimestamp(now, UTC).toordinal()


def _tomorrow(now: float) -> float:
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=1)).timestamp()
