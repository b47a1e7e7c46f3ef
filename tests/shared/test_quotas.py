"""Quotas: limits hold, also for requests at once, and say what is used and when it is free."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared import quotas
from shared.database import PLATFORM, Database, database
from shared.errors import InvalidInput, NotFound, QuotaExceeded, RateExceeded
from shared.quotas import (
    Quota,
    list_states,
    note_use,
    quota_named,
    require_rate,
    require_room,
    set_limit,
    spend,
)
from shared.settings import Settings, load_settings

RATE = Quota("calls-per-hour", 5, "calls an hour", 3600)


def count(session: Session, tenant: str) -> int:
    query = sa.text("SELECT count(*) FROM sweep WHERE name LIKE :prefix")
    return int(session.scalars(query, {"prefix": f"{tenant}.%"}).one())


THINGS = Quota("things", 3, "things", count=count)


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    yield database("feeds")
    with database("feeds").engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM feeds.sweep WHERE name LIKE '%.%'"))


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid4().hex[:8]}"


def add(own: Database, tenant: str) -> bool:
    """Add a thing; whether there was room."""
    try:
        with own.transaction(PLATFORM) as session:
            require_room(session, tenant, THINGS)
            name = f"{tenant}.{uuid4().hex}"
            session.execute(sa.text("INSERT INTO sweep (name) VALUES (:name)"), {"name": name})
    except QuotaExceeded:
        return False
    return True


def use(own: Database, tenant: str, amount: int = 1) -> bool:
    try:
        with own.transaction(tenant) as session:
            spend(session, tenant, RATE, amount)
    except RateExceeded:
        return False
    return True


def test_a_quota_of_things_says_what_is_there(own: Database, tenant: str) -> None:
    assert [add(own, tenant) for _ in range(4)] == [True, True, True, False]
    with pytest.raises(QuotaExceeded) as refused, own.transaction(PLATFORM) as session:
        require_room(session, tenant, THINGS)
    error = refused.value
    assert (error.status, error.code) == (403, "quota-exceeded")
    assert error.details == {"quota": "things", "limit": 3, "used": 3}
    assert add(own, f"{tenant}b"), "it is one tenant's"


def test_requests_at_once_do_not_exceed_a_quota(own: Database, tenant: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        added = list(threads.map(lambda _: add(own, tenant), range(18)))
        spent = list(threads.map(lambda _: use(own, tenant), range(18)))
    assert sum(added) == 3
    assert sum(spent) == 5


def test_a_quota_for_a_time_says_when_it_is_free_again(own: Database, tenant: str) -> None:
    assert use(own, tenant, 4)
    assert not use(own, tenant, 2), "all or nothing"
    assert use(own, tenant)
    with pytest.raises(RateExceeded) as refused, own.transaction(tenant) as session:
        spend(session, tenant, RATE)
    error = refused.value
    assert (error.status, error.code) == (429, "rate-exceeded")
    assert error.retry_after is not None
    assert 3500 < error.retry_after <= 3600
    assert error.details["used"] == error.details["limit"] == 5
    [state] = states(own, tenant)
    assert state.free_at is not None
    assert error.details["free_at"] == state.free_at.isoformat()
    with own.transaction(PLATFORM) as session:
        past = "UPDATE quota_use SET started_at = started_at - interval '1 hour'"
        session.execute(sa.text(past))
    assert states(own, tenant)[0].used == 0
    assert use(own, tenant, 5)


def states(own: Database, tenant: str, *which: Quota) -> list[quotas.QuotaState]:
    with own.transaction(PLATFORM) as session:
        return list_states(session, tenant, which or [RATE])


def test_more_than_the_limit_at_once_is_refused_also_as_the_first(
    own: Database, tenant: str
) -> None:
    assert not use(own, tenant, 6)
    assert states(own, tenant)[0].used == 0


def test_what_has_happened_is_noted_and_then_counts(own: Database, tenant: str) -> None:
    with own.transaction(tenant) as session:
        require_rate(session, tenant, RATE)
        note_use(session, tenant, RATE, 4)
        require_rate(session, tenant, RATE)
        note_use(session, tenant, RATE, 40)
    with pytest.raises(RateExceeded), own.transaction(tenant) as session:
        require_rate(session, tenant, RATE)
    assert states(own, tenant)[0].used == 44


def test_a_use_that_is_rolled_back_counts_for_nothing(own: Database, tenant: str) -> None:
    with suppress(ZeroDivisionError), own.transaction(tenant) as session:
        spend(session, tenant, RATE, 5)
        raise ZeroDivisionError
    assert use(own, tenant, 5)


def test_operators_set_limits_for_a_tenant(own: Database, tenant: str) -> None:
    with own.transaction(PLATFORM) as session:
        assert set_limit(session, tenant, RATE, 7, "ops") == 5
        [state] = list_states(session, tenant, [RATE])
        assert (state.limit, state.is_default) == (7, False)
    assert use(own, tenant, 7)
    with own.transaction(PLATFORM) as session:
        assert set_limit(session, tenant, RATE, None, "ops") == 7
        [state] = list_states(session, tenant, [RATE])
        assert (state.limit, state.is_default) == (5, True)
        with pytest.raises(InvalidInput):
            set_limit(session, tenant, RATE, -1, "ops")


def test_the_operators_own_tenant_has_no_limit_but_a_set_one(own: Database) -> None:
    assert use(own, "public", 1000)
    assert states(own, "public")[0].limit is None


def test_a_setting_replaces_defaults(
    own: Database, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINELIQ_QUOTAS", "calls-per-hour=2, things=1")
    load_settings.cache_clear()
    try:
        assert use(own, tenant, 2)
        assert not use(own, tenant)
        assert [add(own, tenant) for _ in range(2)] == [True, False]
    finally:
        monkeypatch.undo()
        load_settings.cache_clear()


def test_a_tenant_cannot_read_or_raise_the_limits_of_another(own: Database, tenant: str) -> None:
    with own.transaction(PLATFORM) as session:
        set_limit(session, tenant, RATE, 7, "ops")
    with own.transaction("stranger") as session:
        assert list_states(session, tenant, [RATE])[0].limit == 5
        session.execute(sa.text("UPDATE quota SET most = 1000"))
        session.execute(sa.text("DELETE FROM quota"))
    assert states(own, tenant)[0].limit == 7


def test_an_unknown_quota_names_those_there_are() -> None:
    with pytest.raises(NotFound, match="calls-per-hour, things"):
        quota_named([THINGS, RATE], "nothing")
