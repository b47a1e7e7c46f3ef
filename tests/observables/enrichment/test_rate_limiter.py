"""How many calls a lane may start: limits that hold whatever happens, the way out of a block, right estimates."""

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
PLAN = QuotaLimits(RateLimit(20, 10), None, 2)
HAIR = 2e-3
"""Seconds: Unix times are no finer than a quarter of a microsecond, and tokens are compared with some patience."""

plans = st.builds(
    QuotaLimits,
    st.builds(RateLimit, st.integers(1, 300), st.sampled_from([1.0, 10.0, 60.0, 3600.0, DAY])),
    st.none() | st.integers(1, 500),
    st.integers(1, 20),
)


class ProviderQueue(RuleBasedStateMachine):
    """A lane in any order of calls, answers, refusals, pauses and calls that are given back."""

    @initialize(plan=plans, start=st.floats(0, DAY))
    def begin(self, plan: QuotaLimits, start: float) -> None:
        self.plan, self.limiter, self.now = plan, RateLimiter(), START + start
        self.starts: list[float] = []
        self.running: list[float] = []
        self.held: list[float] = []
        self.left_alone_until = 0.0
        self.alone = True

    @property
    def under_way(self) -> int:
        return len(self.held) + len(self.running)

    @rule(share=st.floats(0, 1), interactive=st.booleans())
    def pay(self, share: float, interactive: bool) -> None:
        """Some of what is granted is paid for, and has no place yet."""
        granted = self.limiter.grant(self.plan, self.now, self.under_way, interactive=interactive)
        if self.alone:
            assert self.under_way + granted <= max(1, self.under_way)
        if self.now < self.left_alone_until:
            assert granted == 0
        calls = math.ceil(share * granted)
        self.limiter.spend(self.plan, self.now, calls)
        self.held += [self.now] * calls

    @rule(share=st.floats(0, 1))
    def start(self, share: float) -> None:
        """Some of what is paid for is called: the provider sees it now."""
        for _ in range(math.ceil(share * len(self.held))):
            self.held.pop()
            self.starts.append(self.now)
            self.running.append(self.now)
            self.in_any_span()
            self.in_the_day()

    def in_any_span(self) -> None:
        span = len(self.starts) - bisect_left(self.starts, self.now - self.plan.rate.seconds)
        assert span <= self.plan.rate.calls

    def in_the_day(self) -> None:
        calls = sum(datetime.fromtimestamp(one, UTC).date() == self.today for one in self.starts)
        assert self.plan.daily is None or calls <= self.plan.daily

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.now, UTC).date()

    @rule()
    def give_back(self) -> None:
        self.limiter.give_back(self.plan, self.now, len(self.held))
        self.held.clear()

    @rule(
        seconds=st.sampled_from(
            [0.001, 0.004, 0.1, 0.5, 1.0, 3.0, 20.0, 61.0, 700.0, 4000.0, DAY / 2, DAY]
        )
    )
    def wait(self, seconds: float) -> None:
        """What is paid for is called soon: a fiftieth of the span is what the rate's margin is for."""
        after = self.now + seconds
        another_day = datetime.fromtimestamp(after, UTC).date() != self.today
        if another_day or (
            self.held and after - self.held[0] > min(0.25, 0.02 * self.plan.rate.seconds)
        ):
            self.give_back()
        self.now = after

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100))
    def goes_well(self, place: int) -> None:
        started = self.running.pop(place % len(self.running))
        self.limiter.answered(started)
        if started >= self.left_alone_until:
            self.alone = False

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100), seconds=st.sampled_from([0.0, 1.0, 30.0, 5000.0]))
    def is_over_quota(self, place: int, seconds: float) -> None:
        self.running.pop(place % len(self.running))
        self.limiter.over_quota(self.now, seconds)
        self._blocked(seconds)

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100))
    def key_is_refused(self, place: int) -> None:
        self.running.pop(place % len(self.running))
        self.limiter.key_refused(self.now, "no")
        self._blocked(KEY_SECONDS)

    def _blocked(self, seconds: float) -> None:
        if seconds:
            self.left_alone_until, self.alone = max(self.left_alone_until, self.now + seconds), True
        self.give_back()

    @precondition(lambda self: self.running)
    @rule(place=st.integers(0, 100))
    def fails(self, place: int) -> None:
        self.running.pop(place % len(self.running))
        self.limiter.failed(self.now, "no")
        if self.limiter.blocked_until > self.now:
            self.give_back()

    @rule()
    def changes_hands(self) -> None:
        self.limiter = msgspec.json.decode(msgspec.json.encode(self.limiter), type=RateLimiter)

    @precondition(lambda self: not self.under_way)
    @rule(interactive=st.booleans(), earlier=st.floats(0, 1))
    def says_when(self, interactive: bool, earlier: float) -> None:
        """The next time is one at which a call may start, and there is none before it."""
        at = self.limiter.next_at(self.plan, self.now, interactive=interactive)
        assert at >= self.now
        assert self.limiter.grant(self.plan, at + HAIR, 0, interactive=interactive) >= 1
        before = self.now + earlier * (at - self.now) - HAIR
        if before >= self.now:
            assert self.limiter.grant(self.plan, before, 0, interactive=interactive) == 0

    @invariant()
    def never_negative(self) -> None:
        if hasattr(self, "limiter"):
            assert self.limiter.used_on(self.now) >= 0


TestLane = ProviderQueue.TestCase
TestLane.settings = settings(max_examples=150, stateful_step_count=60)


def spent(plan: QuotaLimits, limiter: RateLimiter, now: float, *, interactive: bool = False) -> int:
    """How many calls are granted at once, one after the other, each ending at once and well."""
    calls = 0
    while limiter.grant(plan, now, 0, interactive=interactive) and calls < 10_000:
        limiter.spend(plan, now, 1)
        limiter.answered(now)
        calls += 1
    return calls


@given(plans.filter(lambda plan: plan.daily is None))
def test_the_rate_is_nearly_used_up(plan: QuotaLimits) -> None:
    limiter, now, calls = RateLimiter(proven=True), START, 0
    end = START + 20 * plan.rate.seconds
    while (now := limiter.next_at(plan, now + HAIR / 1000, interactive=True)) < end:
        calls += spent(plan, limiter, now + HAIR / 1000, interactive=True)
    assert calls >= 0.85 * 20 * (plan.rate.calls - plan.burst + 1) - 1


def test_a_lane_that_nobody_knows_is_tried_with_one_call() -> None:
    limiter = RateLimiter()
    assert limiter.grant(PLAN, START, 0, interactive=True) == 1
    limiter.spend(PLAN, START, 1)
    assert limiter.grant(PLAN, START, 1, interactive=True) == 0
    limiter.answered(START)
    assert limiter.grant(PLAN, START + 1, 0, interactive=True) == PLAN.concurrency


def test_people_may_use_what_automatic_work_leaves() -> None:
    plan = QuotaLimits(RateLimit(1000, 10), 50, 100)
    limiter = RateLimiter(proven=True)
    assert spent(plan, limiter, START) == 45
    assert spent(plan, limiter, START, interactive=True) == 5
    assert spent(plan, limiter, START + 60, interactive=True) == 0
    assert spent(plan, limiter, MIDNIGHT) == 45
    bucket = RateLimiter(proven=True)
    unlimited = QuotaLimits(RateLimit(1000, 10), None, 100)
    assert spent(unlimited, bucket, START) == 90
    assert spent(unlimited, bucket, START, interactive=True) == 10


def test_calls_that_were_not_made_cost_nothing() -> None:
    plan = QuotaLimits(RateLimit(100, 10), 50, 100)
    limiter = RateLimiter(proven=True)
    limiter.spend(plan, START, 9)
    limiter.give_back(plan, START, 9)
    assert limiter.used_on(START) == 0
    assert spent(plan, limiter, START, interactive=True) == plan.burst


def test_what_is_given_back_after_midnight_is_not_the_new_days() -> None:
    plan = QuotaLimits(RateLimit(1000, 10), 10, 100)
    limiter = RateLimiter(proven=True)
    limiter.spend(plan, MIDNIGHT - 1, 5)
    made = 3
    limiter.spend(plan, MIDNIGHT + 1, made)
    limiter.give_back(plan, MIDNIGHT + 2, 5)
    assert made + spent(plan, limiter, MIDNIGHT + 60, interactive=True) <= 10


def test_a_success_that_began_before_a_block_does_not_lift_it() -> None:
    limiter = RateLimiter(proven=True)
    limiter.over_quota(START, 60)
    limiter.answered(START - 1)
    assert limiter.grant(PLAN, START + 59, 0, interactive=True) == 0
    assert limiter.grant(PLAN, START + 61, 0, interactive=True) == 1
    limiter.answered(START + 59)
    assert limiter.grant(PLAN, START + 61, 0, interactive=True) == 1
    limiter.answered(START + 61)
    assert limiter.grant(PLAN, START + 62, 0, interactive=True) == PLAN.concurrency
    assert (limiter.blocked_for, limiter.reason) == (None, None)


def test_a_shorter_word_does_not_shorten_a_block() -> None:
    limiter = RateLimiter(proven=True)
    limiter.over_quota(START, 600)
    limiter.over_quota(START + 1, 5)
    assert limiter.blocked_until == START + 600


def test_the_breaker_opens_after_failures_one_after_the_other() -> None:
    limiter = RateLimiter(proven=True)
    for _ in range(FAILURES - 1):
        limiter.failed(START, "no")
    limiter.answered(START)
    for _ in range(FAILURES - 1):
        limiter.failed(START, "no")
        assert limiter.grant(PLAN, START, 0, interactive=True) > 0
    limiter.failed(START, "no")
    assert limiter.grant(PLAN, START, 0, interactive=True) == 0
    assert (limiter.blocked_for, limiter.reason) == ("trouble", "no")


def opened(
    limiter: RateLimiter, now: float, trouble: Callable[[RateLimiter, float], None]
) -> list[float]:
    """How long the lane is left alone each time when one try after the other ends badly."""
    waits = []
    for _ in range(9):
        trouble(limiter, now)
        waits.append(round(limiter.blocked_until - now, 3))
        now = limiter.blocked_until + 0.01
        assert limiter.grant(PLAN, now, 0, interactive=True) == 1
        limiter.spend(PLAN, now, 1)
    return waits


def test_each_try_in_vain_doubles_the_pause_up_to_a_limit() -> None:
    broken = RateLimiter(proven=True, failures=FAILURES - 1)
    pauses = opened(broken, START, lambda limiter, now: limiter.failed(now, "no"))
    assert pauses == [15, 30, 60, 120, 240, 480, 600, 600, 600]
    silent = opened(
        RateLimiter(proven=True), START, lambda limiter, now: limiter.over_quota(now, None)
    )
    assert silent == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_calls_that_fail_together_are_one_piece_of_news() -> None:
    limiter = RateLimiter(proven=True)
    limiter.spend(PLAN, START, 2)
    for _ in range(2):
        limiter.over_quota(START + 1, None)
    assert (limiter.blocks, limiter.blocked_until) == (1, START + 31)


def test_a_key_that_is_refused_rests_for_an_hour() -> None:
    limiter = RateLimiter(proven=True)
    limiter.key_refused(START, "no")
    assert limiter.next_at(PLAN, START, interactive=True) == START + KEY_SECONDS
    assert limiter.blocked_for == "key"
    assert limiter.grant(PLAN, START + KEY_SECONDS, 0, interactive=True) == 1


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
def test_a_meter_is_the_same_after_it_was_stored(limiter: RateLimiter) -> None:
    assert msgspec.json.decode(msgspec.json.encode(limiter), type=RateLimiter) == limiter
    assert (
        msgspec.convert(msgspec.json.decode(msgspec.json.encode(limiter)), RateLimiter) == limiter
    )


def test_a_lane_that_is_new_has_an_empty_limiter() -> None:
    assert msgspec.convert({}, RateLimiter) == RateLimiter()


def test_a_provider_that_refuses_without_a_pause_is_not_asked_in_a_loop() -> None:
    limiter, now, calls = RateLimiter(proven=True), START, 0
    while now < START + 60:
        now = limiter.next_at(PLAN, now) + 0.001
        limiter.spend(PLAN, now, 1)
        limiter.over_quota(now, 0.0)
        calls += 1
    assert calls < 20
