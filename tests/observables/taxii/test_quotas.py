"""What clients post and delete counts against quotas of their tenant."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from services.observables.quotas.limits import QUOTAS
from services.observables.taxii import posts
from services.observables.taxii.posted_events import MAX_BYTES
from shared.database import PLATFORM, Database
from shared.quotas import quota_named, set_limit
from tests.observables.taxii.conftest import TaxiiClient, error_of, indicator

Limit = Callable[[str, int], None]


@pytest.fixture
def limit(own: Database) -> Limit:
    """Sets a limit of the tenant, which has used nothing."""
    with own.transaction(PLATFORM) as session:
        for table in ("quota", "quota_use"):
            session.execute(sa.text(f"DELETE FROM {table}"))

    def set_one(name: str, most: int) -> None:
        with own.transaction(PLATFORM) as session:
            set_limit(session, "acme", quota_named(QUOTAS, name), most, "ops")

    return set_one


def used(taxii: TaxiiClient, name: str) -> int:
    items = taxii.http.get("/v1/quotas").json()["items"]
    return int(next(item["used"] for item in items if item["name"] == name))


def require_refusal(answer: Any, quota: str) -> None:
    """Require a 429 in TAXII's form that says what is used up, and for how long."""
    details = error_of(answer, 429)["details"]
    assert details["quota"] == quota
    assert details["free_at"]
    assert 3_500 < int(answer.headers["retry-after"]) <= 3_600


def delete(taxii: TaxiiClient, collection: str, number: int) -> Any:
    return taxii.http.delete(
        f"/taxii2/acme/collections/{collection}/objects/{indicator(number)['id']}/"
    )


def test_posts_beyond_the_quota_are_refused_and_store_nothing(
    taxii: TaxiiClient, collection: str, limit: Limit
) -> None:
    limit("posted-runs-per-hour", 2)
    for number in (1, 2):
        assert taxii.post(collection, {"objects": [indicator(number)]}).status_code == 202
    require_refusal(taxii.post(collection, {"objects": [indicator(3)]}), "posted-runs-per-hour")
    assert taxii.objects(collection)["objects"] == [indicator(1), indicator(2)]
    assert used(taxii, "posted-runs-per-hour") == 2
    assert used(taxii, "posted-objects-per-day") == 2


def test_a_tenant_beyond_its_quota_costs_no_process(
    taxii: TaxiiClient, collection: str, limit: Limit, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit("posted-runs-per-hour", 0)
    read: list[object] = []
    monkeypatch.setattr(posts, "_read", lambda *arguments: read.append(arguments) or [])
    error_of(taxii.post(collection, {"objects": [indicator(1)]}), 429)
    assert not read


def test_a_post_costs_the_runs_to_which_it_leads(
    taxii: TaxiiClient, collection: str, own: Database, limit: Limit
) -> None:
    limit("posted-runs-per-hour", 100)
    many = [indicator(number) for number in range(2 * posts.PIECE + 1)]
    large = [
        {**indicator(5_000 + number), "description": "y" * (MAX_BYTES // 2)} for number in range(4)
    ]
    before = _posted_events(own)
    for objects, runs in ((many, 3), (large, 4), ([{**indicator(1), "type": 5}], 1)):
        start = used(taxii, "posted-runs-per-hour")
        status = taxii.post(collection, {"objects": objects}).json()
        assert used(taxii, "posted-runs-per-hour") - start == runs
        posts.take_over(own, "acme", status["id"])
    # What is refused whole leads to none.
    assert _posted_events(own) - before == 3 + 4


def test_posts_at_once_do_not_exceed_the_quota(
    taxii: TaxiiClient, collection: str, limit: Limit
) -> None:
    limit("posted-runs-per-hour", 3)

    def post(number: int) -> int:
        return int(taxii.post(collection, {"objects": [indicator(number)]}).status_code)

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(post, range(12)))
    assert sorted(statuses) == [202] * 3 + [429] * 9
    assert len(taxii.objects(collection)["objects"]) == 3


def test_deletions_beyond_the_quota_are_refused_and_delete_nothing(
    taxii: TaxiiClient, collection: str, limit: Limit
) -> None:
    taxii.post(collection, {"objects": [indicator(number) for number in range(3)]})
    limit("deletions-per-hour", 1)
    assert delete(taxii, collection, 9).status_code == 404
    assert used(taxii, "deletions-per-hour") == 0
    assert delete(taxii, collection, 0).status_code == 200
    require_refusal(delete(taxii, collection, 1), "deletions-per-hour")
    assert taxii.objects(collection)["objects"] == [indicator(1), indicator(2)]


def test_who_has_posted_too_much_still_deletes(
    taxii: TaxiiClient, collection: str, limit: Limit
) -> None:
    taxii.post(collection, {"objects": [indicator(1)]})
    limit("posted-runs-per-hour", 1)
    limit("posted-objects-per-day", 1)
    assert taxii.post(collection, {"objects": [indicator(2)]}).status_code == 429
    assert delete(taxii, collection, 1).status_code == 200
    assert taxii.objects(collection) == {}


def _posted_events(own: Database) -> int:
    with own.transaction(PLATFORM) as session:
        query = "SELECT count(*) FROM outbox WHERE topic LIKE '%observables.posted%'"
        return int(session.execute(sa.text(query)).scalar_one())
