"""When a provider is visited."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.feeds.runs.pacing import next_time

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = 3600


@given(st.uuids(), st.integers(60, 86400), st.integers(0, 10**6))
def test_each_installation_keeps_to_times_of_its_own(feed: UUID, every: int, seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    key = b"a" * 32
    at = next_time(key, feed, every, now)
    assert now < at <= now + timedelta(seconds=every)
    assert next_time(key, feed, every, at) == at + timedelta(seconds=every)


def test_a_thousand_installations_do_not_come_in_the_same_second() -> None:
    times = {next_time(f"{n:032d}".encode(), UUID(int=1), HOUR, NOW) for n in range(1000)}
    assert len(times) > 600
