"""Estimates of the rate limiter: right against a simulated queue, and never out of order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.providers.base import RateLimit
from tests.observables.enrichment.test_rate_limiter import START, limiters, quota_limits

amounts = st.lists(st.integers(0, 5_000), min_size=2, max_size=8)


@given(quota_limits.filter(lambda limits: limits.daily is None), limiters, amounts)
def test_more_calls_are_never_finished_earlier(
    limits: QuotaLimits, limiter: RateLimiter, calls: list[int]
) -> None:
    in_order(limits, limiter, calls)


@given(quota_limits, limiters, amounts)
def test_more_calls_are_never_finished_earlier_with_a_daily_budget(
    limits: QuotaLimits, limiter: RateLimiter, calls: list[int]
) -> None:
    in_order(limits, limiter, calls)


def in_order(limits: QuotaLimits, limiter: RateLimiter, calls: list[int]) -> None:
    ends = [limiter.finish_at(limits, START, count) for count in sorted(calls)]
    assert ends == sorted(ends)
    assert min(ends) >= max(START, limiter.blocked_until)


class Provider:
    """A simulated queue: calls take no time, and the provider refuses after some for a while."""

    def __init__(
        self, limits: QuotaLimits, refuses_after: int | None = None, seconds: float = 0.0
    ) -> None:
        self.limits = limits
        self.refuses_after = refuses_after
        self.seconds = seconds
        self.limiter = RateLimiter(proven=True)
        self.now = START
        self.answered = 0
        self.since_refusal = 0

    def work(self, calls: int) -> float:
        """Make so many automatic calls; when the last of them was answered."""
        until = self.answered + calls
        while self.answered < until:
            self.now = self.limiter.next_call_at(self.limits, self.now) + 1e-6
            if self.limiter.grant(self.limits, self.now, 0, interactive=False):
                self._call()
        return self.now

    def _call(self) -> None:
        self.limiter.spend(self.limits, self.now, 1)
        if self.refuses_after is not None and self.since_refusal >= self.refuses_after:
            self.since_refusal = 0
            self.limiter.record_over_quota(self.now, self.seconds)
            return
        self.limiter.record_success(self.now)
        self.answered += 1
        self.since_refusal += 1
        self.limiter.record_pace(self.now, 1, busy=True)


def off(provider: Provider, calls: int) -> float:
    """By how much an estimate was wrong, as a share of the time that it took."""
    start = provider.now
    estimate = provider.limiter.finish_at(provider.limits, start, calls)
    end = provider.work(calls)
    return abs(estimate - end) / (end - start)


@pytest.mark.parametrize("daily", [None, 200])
@pytest.mark.parametrize(
    "rate", [RateLimit(60, 60), RateLimit(4, 60), RateLimit(1000, 3600), RateLimit(100, 1)]
)
def test_an_estimate_is_right_before_the_first_call_and_later(
    rate: RateLimit, daily: int | None
) -> None:
    provider = Provider(QuotaLimits(rate, daily, 4))
    # The first burst, a tenth of the rate, starts at once.
    assert off(provider, 1000) < 0.12
    assert off(provider, 700) < 0.06


def test_an_estimate_is_right_on_the_morning_after_the_budget_was_used_up() -> None:
    provider = Provider(QuotaLimits(RateLimit(60, 60), 1000, 4))
    provider.work(1000)
    assert off(provider, 700) < 0.06


@pytest.mark.parametrize("seconds", [1.0, 5.0, 20.0, 60.0, 300.0, 900.0, 3600.0])
def test_an_estimate_includes_the_refusals_of_the_provider(seconds: float) -> None:
    provider = Provider(
        QuotaLimits(RateLimit(600, 60), None, 4), refuses_after=100, seconds=seconds
    )
    provider.work(1000)
    for _ in range(3):
        provider.work(37)
        assert off(provider, 1500) < 0.15


def test_a_daily_budget_that_the_rate_does_not_reach_changes_nothing() -> None:
    slow = RateLimit(1, 3600)
    limiter = RateLimiter(proven=True)
    without = limiter.finish_at(QuotaLimits(slow, None, 1), START, 100)
    with_budget = limiter.finish_at(QuotaLimits(slow, 50, 1), START, 100)
    assert with_budget == pytest.approx(without)
