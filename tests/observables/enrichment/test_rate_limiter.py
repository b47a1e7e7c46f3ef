"""The rate limiter: limits that hold whatever happens, ways out of a block, right next times."""

import math
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.observables.enrichment.rate_limiter import (
    FAILURES,
    KEY_SECONDS,
    QuotaLimits,
    RateLimiter,
)
from services.observables.providers.base import RateLimit

DAY = 86_400.0
START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC).timestamp()
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
LIMITS = QuotaLimits(RateLimit(20, 10), None, 2)
HAIR = 2e-3
"""Seconds of tolerance: Unix times are no finer than a quarter of a microsecond."""

quota_limits = st.builds(
    QuotaLimits,
    st.builds(RateLimit, st.integers(1, 300), st.sampled_from([1.0, 10.0, 60.0, 3600.0, DAY])),
    st.none() | st.integers(1, 500),
    st.integers(1, 20),
)


class QueueMachine(RuleBasedStateMachine):
    """A queue in any order of calls, answers, refusals, pauses and refunds."""

    @initialize(limits=quota_limits, start=st.floats(0, DAY))
    def begin(self, limits: QuotaLimits, start: float) -> None:
        self.limits = limits
        self.limiter = RateLimiter()
        self.now = START + start
        self.starts: list[float] = []
        self.running: list[float] = []
        self.paid: list[float] = []
        self.blocked_until = 0.0
        self.alone = True

    @property
    def in_flight(self) -> int:
        return len(self.paid) + len(self.running)

    @rule(share=st.floats(0, 1), interactive=st.booleans())
    def pay(self, share: float, interactive: bool) -> None:
        """Pay for some of the granted calls; they have no place yet."""
        granted = self.limiter.grant(self.limits, self.now, self.in_flight, interactive=interactive)
        if self.alone:
            assert self.in_flight + granted <= max(1, self.in_flight)
        if self.now < self.blocked_until:
            assert granted == 0
        calls = math.ceil(share * granted)
        self.limiter.spend(self.limits, self.now, calls)
        self.paid += [self.now] * calls

    @rule(share=st.floats(0, 1))
    def start(self, share: float) -> None:
        """Start some paid calls: the provider sees them now."""
        for _ in range(math.ceil(share * len(self.paid))):
            self.paid.pop()
            self.starts.append(self.now)
            self.running.append(self.now)
            self.in_any_span()
            self.in_the_day()

    def in_any_span(self) -> None:
        span = len(self.starts) - bisect_left(self.starts, self.now - self.limits.rate.seconds)
        assert span <= self.limits.rate.calls

    def in_the_day(self) -> None:
        days = [datetime.fromtimestamp(start, UTC).date() for start in self.starts]
        calls = days.count(self.today)
        assert self.limits.daily is None or calls <= self.limits.daily

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.now, UTC).date()

    @rule()
    def give_back(self) -> None:
        self.limiter.refund(self.limits, self.now, len(self.paid))
        self.paid.clear()

    @rule(
        seconds=st.sampled_from(
            [0.001, 0.004, 0.1, 0.5, 1.0, 3.0, 20.0, 61.0, 700.0, 4000.0, DAY / 2, DAY]
        )
    )
    def wait(self, seconds: float) -> None:
        """Paid calls start soon: the rate's margin covers a fiftieth of the span."""
        after = self.now + seconds
        is_another_day = datetime.fromtimestamp(after, UTC).date() != self.today
        longest = min(0.25, 0.02 * self.limits.rate.seconds)
        if is_another_day or (self.paid and after - self.paid[0] > longest):
            self.give_back()
        self.now = after

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100))
    def goes_well(self, place: int) -> None:
        started = self.running.pop(place % len(self.running))
        self.limiter.record_success(started)
        if started >= self.blocked_until:
            self.alone = False

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100), seconds=st.sampled_from([0.0, 1.0, 30.0, 5000.0]))
    def is_over_quota(self, place: int, seconds: float) -> None:
        self.running.pop(place % len(self.running))
        self.limiter.record_over_quota(self.now, seconds)
        self._blocked(seconds)

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100))
    def key_is_refused(self, place: int) -> None:
        self.running.pop(place % len(self.running))
        self.limiter.record_key_refused(self.now, "no")
        self._blocked(KEY_SECONDS)

    def _blocked(self, seconds: float) -> None:
        if seconds:
            self.blocked_until = max(self.blocked_until, self.now + seconds)
            self.alone = True
        self.give_back()

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100))
    def fails(self, place: int) -> None:
        self.running.pop(place % len(self.running))
        self.limiter.record_failure(self.now, "no")
        if self.limiter.blocked_until > self.now:
            self.give_back()

    @rule()
    def changes_hands(self) -> None:
        self.limiter = msgspec.json.decode(msgspec.json.encode(self.limiter), type=RateLimiter)

    @precondition(lambda self: not self.in_flight)
    @rule(interactive=st.booleans(), earlier=st.floats(0, 1))
    def says_when(self, interactive: bool, earlier: float) -> None:
        """A call may start at the next time, and none before it."""
        at = self.limiter.next_call_at(self.limits, self.now, interactive=interactive)
        assert at >= self.now
        assert self.limiter.grant(self.limits, at + HAIR, 0, interactive=interactive) >= 1
        before = self.now + earlier * (at - self.now) - HAIR
        if before >= self.now:
            assert self.limiter.grant(self.limits, before, 0, interactive=interactive) == 0

    @invariant()
    def never_negative(self) -> None:
        if hasattr(self, "limiter"):
            assert self.limiter.used_on(self.now) >= 0


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=150, stateful_step_count=60)


def spent(
    limits: QuotaLimits, limiter: RateLimiter, now: float, *, interactive: bool = False
) -> int:
    """How many calls are granted at a time when each succeeds at once."""
    calls = 0
    while limiter.grant(limits, now, 0, interactive=interactive) and calls < 10_000:
        limiter.spend(limits, now, 1)
        limiter.record_success(now)
        calls += 1
    return calls


@given(quota_limits.filter(lambda limits: limits.daily is None))
def test_the_rate_is_nearly_used_up(limits: QuotaLimits) -> None:
    limiter = RateLimiter(proven=True)
    now = START
    calls = 0
    end = START + 20 * limits.rate.seconds
    while (now := limiter.next_call_at(limits, now + HAIR / 1000, interactive=True)) < end:
        calls += spent(limits, limiter, now + HAIR / 1000, interactive=True)
    assert calls >= 0.85 * 20 * (limits.rate.calls - limits.burst + 1) - 1


def test_a_new_queue_is_probed_with_one_call() -> None:
    limiter = RateLimiter()
    assert limiter.grant(LIMITS, START, 0, interactive=True) == 1
    limiter.spend(LIMITS, START, 1)
    assert limiter.grant(LIMITS, START, 1, interactive=True) == 0
    limiter.record_success(START)
    assert limiter.grant(LIMITS, START + 1, 0, interactive=True) == LIMITS.concurrency


def test_people_may_use_the_reserve_that_background_work_leaves() -> None:
    limits = QuotaLimits(RateLimit(1000, 10), 50, 100)
    limiter = RateLimiter(proven=True)
    assert spent(limits, limiter, START) == 45
    assert spent(limits, limiter, START, interactive=True) == 5
    assert spent(limits, limiter, START + 60, interactive=True) == 0
    assert spent(limits, limiter, MIDNIGHT) == 45
    bucket = RateLimiter(proven=True)
    unlimited = QuotaLimits(RateLimit(1000, 10), None, 100)
    assert spent(unlimited, bucket, START) == 90
    assert spent(unlimited, bucket, START, interactive=True) == 10


def test_calls_that_were_not_made_cost_nothing() -> None:
    limits = QuotaLimits(RateLimit(100, 10), 50, 100)
    limiter = RateLimiter(proven=True)
    limiter.spend(limits, START, 9)
    limiter.refund(limits, START, 9)
    assert limiter.used_on(START) == 0
    assert spent(limits, limiter, START, interactive=True) == limits.burst


def test_a_refund_after_midnight_is_not_the_new_days() -> None:
    limits = QuotaLimits(RateLimit(1000, 10), 10, 100)
    limiter = RateLimiter(proven=True)
    limiter.spend(limits, MIDNIGHT - 1, 5)
    calls = 3
    limiter.spend(limits, MIDNIGHT + 1, calls)
    limiter.refund(limits, MIDNIGHT + 2, 5)
    assert calls + spent(limits, limiter, MIDNIGHT + 60, interactive=True) <= 10


def test_a_success_that_began_before_a_block_does_not_lift_it() -> None:
    limiter = RateLimiter(proven=True)
    limiter.record_over_quota(START, 60)
    limiter.record_success(START - 1)
    assert limiter.grant(LIMITS, START + 59, 0, interactive=True) == 0
    assert limiter.grant(LIMITS, START + 61, 0, interactive=True) == 1
    limiter.record_success(START + 59)
    assert limiter.grant(LIMITS, START + 61, 0, interactive=True) == 1
    limiter.record_success(START + 61)
    assert limiter.grant(LIMITS, START + 62, 0, interactive=True) == LIMITS.concurrency
    assert (limiter.blocked_for, limiter.reason) == (None, None)


def test_a_later_shorter_pause_does_not_shorten_a_block() -> None:
    limiter = RateLimiter(proven=True)
    limiter.record_over_quota(START, 600)
    limiter.record_over_quota(START + 1, 5)
    assert limiter.blocked_until == START + 600


def test_the_breaker_opens_after_failures_one_after_the_other() -> None:
    limiter = RateLimiter(proven=True)
    for _ in range(FAILURES - 1):
        limiter.record_failure(START, "no")
    limiter.record_success(START)
    for _ in range(FAILURES - 1):
        limiter.record_failure(START, "no")
        assert limiter.grant(LIMITS, START, 0, interactive=True) > 0
    limiter.record_failure(START, "no")
    assert limiter.grant(LIMITS, START, 0, interactive=True) == 0
    assert (limiter.blocked_for, limiter.reason) == ("trouble", "no")


def opened(
    limiter: RateLimiter, now: float, trouble: Callable[[RateLimiter, float], None]
) -> list[float]:
    """The length of each block when one try after the other fails."""
    waits = []
    for _ in range(9):
        trouble(limiter, now)
        waits.append(round(limiter.blocked_until - now, 3))
        now = limiter.blocked_until + 0.01
        assert limiter.grant(LIMITS, now, 0, interactive=True) == 1
        limiter.spend(LIMITS, now, 1)
    return waits


def test_each_try_in_vain_doubles_the_pause_up_to_a_limit() -> None:
    broken = RateLimiter(proven=True, failures=FAILURES - 1)
    pauses = opened(broken, START, lambda limiter, now: limiter.record_failure(now, "no"))
    assert pauses == [15, 30, 60, 120, 240, 480, 600, 600, 600]
    silent = opened(
        RateLimiter(proven=True), START, lambda limiter, now: limiter.record_over_quota(now, None)
    )
    assert silent == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_calls_that_fail_together_count_as_one_block() -> None:
    limiter = RateLimiter(proven=True)
    limiter.spend(LIMITS, START, 2)
    for _ in range(2):
        limiter.record_over_quota(START + 1, None)
    assert (limiter.blocks, limiter.blocked_until) == (1, START + 31)


def test_a_key_that_is_refused_rests_for_an_hour() -> None:
    limiter = RateLimiter(proven=True)
    limiter.record_key_refused(START, "no")
    assert limiter.next_call_at(LIMITS, START, interactive=True) == START + KEY_SECONDS
    assert limiter.blocked_for == "key"
    assert limiter.grant(LIMITS, START + KEY_SECONDS, 0, interactive=True) == 1


limiters = st.builds(
    RateLimiter,
    tokens=st.none() | st.floats(-5, 300),
    at=st.floats(START - DAY, START),
    day=st.sampled_from([0, datetime.fromtimestamp(START, UTC).toordinal()]),
    used=st.integers(0, 500),
    blocked_until=st.just(0.0) | st.floats(START - DAY, START + 2 * DAY),
    blocked_for=st.sampled_from([None, "quota", "trouble", "key"]),
    reason=st.none() | st.text(max_size=20),
    proven=st.booleans(),
    failures=st.integers(0, 10),
    blocks=st.integers(0, 20),
    calls=st.floats(0, 1e6),
    seconds=st.floats(0, 1e5),
    since=st.just(0.0) | st.floats(START - DAY, START),
)


@given(limiters)
def test_a_limiter_is_the_same_after_it_was_stored(limiter: RateLimiter) -> None:
    assert msgspec.json.decode(msgspec.json.encode(limiter), type=RateLimiter) == limiter
    assert (
        msgspec.convert(msgspec.json.decode(msgspec.json.encode(limiter)), RateLimiter) == limiter
    )


def test_a_new_queue_has_an_empty_limiter() -> None:
    assert msgspec.convert({}, RateLimiter) == RateLimiter()


def test_a_provider_that_refuses_without_a_pause_is_not_called_in_a_loop() -> None:
    limiter = RateLimiter(proven=True)
    now = START
    calls = 0
    while now < START + 60:
        now = limiter.next_call_at(LIMITS, now) + 0.001
        limiter.spend(LIMITS, now, 1)
        limiter.record_over_quota(now, 0.0)
        calls += 1
    assert calls < 20
