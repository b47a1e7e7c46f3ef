"""When waiting questions will have been answered: right against a simulated lane, and never out of order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.enrichment.rate_limiter import QuotaLimits, RateLimiter
from services.observables.providers.base import RateLimit
from tests.observables.enrichment.test_rate_limiter import START, limiters, plans

amounts = st.lists(st.integers(0, 5_000), min_size=2, max_size=8)


@given(plans.filter(lambda plan: plan.daily is None), limiters, amounts)
def test_more_calls_are_never_finished_earlier(
    plan: QuotaLimits, limiter: RateLimiter, calls: list[int]
) -> None:
    in_order(plan, limiter, calls)


@given(plans, limiters, amounts)
def test_more_calls_are_never_finished_earlier_with_a_daily_budget(
    plan: QuotaLimits, limiter: RateLimiter, calls: list[int]
) -> None:
    in_order(plan, limiter, calls)


def in_order(plan: QuotaLimits, limiter: RateLimiter, calls: list[int]) -> None:
    ends = [limiter.finish_at(plan, START, one) for one in sorted(calls)]
    assert ends == sorted(ends)
    assert min(ends) >= max(START, limiter.blocked_until)


class Provider:
    """A simulated lane: calls take no time, and a provider refuses after so many for so many seconds."""

    def __init__(
        self, plan: QuotaLimits, refuses_after: int | None = None, seconds: float = 0.0
    ) -> None:
        self.plan, self.refuses_after, self.seconds = plan, refuses_after, seconds
        self.limiter, self.now = RateLimiter(proven=True), START
        self.answered = self.since_refusal = 0

    def work(self, calls: int) -> float:
        """Make so many automatic calls; when the last of them was answered."""
        until = self.answered + calls
        while self.answered < until:
            self.now = self.limiter.next_at(self.plan, self.now) + 1e-6
            if self.limiter.grant(self.plan, self.now, 0, interactive=False):
                self._call()
        return self.now

    def _call(self) -> None:
        self.limiter.spend(self.plan, self.now, 1)
        if self.refuses_after is not None and self.since_refusal >= self.refuses_after:
            self.since_refusal = 0
            self.limiter.over_quota(self.now, self.seconds)
            return
        self.limiter.answered(self.now)
        self.answered, self.since_refusal = self.answered + 1, self.since_refusal + 1
        self.limiter.passed(self.now, 1, busy=True)


def off(provider: Provider, calls: int) -> float:
    """By how much an estimate was wrong, as a share of the time that it took."""
    asked, said = provider.now, provider.limiter.finish_at(provider.plan, provider.now, calls)
    end = provider.work(calls)
    return abs(said - end) / (end - asked)


@pytest.mark.parametrize("daily", [None, 200])
@pytest.mark.parametrize(
    "rate", [RateLimit(60, 60), RateLimit(4, 60), RateLimit(1000, 3600), RateLimit(100, 1)]
)
def test_an_estimate_is_right_before_the_first_call_and_later(
    rate: RateLimit, daily: int | None
) -> None:
    provider = Provider(QuotaLimits(rate, daily, 4))
    # The first burst is for nothing: a tenth of what a rate allows at once.
    assert off(provider, 1000) < 0.12
    assert off(provider, 700) < 0.06


def test_an_estimate_is_right_on_the_morning_after_the_budget_was_used_up() -> None:
    provider = Provider(QuotaLimits(RateLimit(60, 60), 1000, 4))
    provider.work(1000)
    assert off(provider, 700) < 0.06


@pytest.mark.parametrize("seconds", [1.0, 5.0, 20.0, 60.0, 300.0, 900.0, 3600.0])
def test_an_estimate_reckons_with_a_provider_that_refuses_again_and_again(seconds: float) -> None:
    provider = Provider(
        QuotaLimits(RateLimit(600, 60), None, 4), refuses_after=100, seconds=seconds
    )
    provider.work(1000)
    for _ in range(3):
        provider.work(37)
        assert off(provider, 1500) < 0.15


def test_a_daily_budget_that_the_rate_does_not_reach_changes_nothing() -> None:
    slow = RateLimit(1, 3600)
    without, with_budget = (
        RateLimiter(proven=True).finish_at(QuotaLimits(slow, one, 1), START, 100)
        for one in (None, 50)
    )
    assert with_budget == pytest.approx(without)
