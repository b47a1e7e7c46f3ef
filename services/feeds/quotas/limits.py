"""How much of the feeds service a tenant may use."""

from typing import Final

from sqlalchemy.orm import Session

from services.feeds.quotas import repository
from shared.quotas import Quota, limit_of

_HOUR: Final = 3600
_DAY: Final = 86_400


FEEDS: Final = Quota("feeds", 500, "feeds", count=repository.count_feeds)
RUNS: Final = Quota("runs-per-hour", 3_000, "runs an hour", _HOUR)
FETCHED_BYTES: Final = Quota("fetched-bytes-per-day", 100 * 2**30, "bytes fetched a day", _DAY)
STORED_ROWS: Final = Quota(
    "stored-rows", 20_000_000, "observables listed by its feeds", count=repository.count_listed
)

QUOTAS: Final = (FEEDS, RUNS, FETCHED_BYTES, STORED_ROWS)


def remaining_rows(session: Session, tenant: str, own: int) -> int | None:
    """Observables that a feed may list within its tenant's quota; None without a limit.

    Args:
        session: of the tenant.
        tenant: whose feed it is.
        own: how many the feed lists now.
    """
    limit = limit_of(session, tenant, STORED_ROWS)
    return None if limit is None else max(0, limit - repository.count_listed(session, tenant) + own)
