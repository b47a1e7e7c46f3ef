"""SQL of what tenants have of quotas."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

_COUNT_BULK: Final = sa.text(
    "SELECT count(DISTINCT request.request_id) FROM enrichment_request_job request "
    "JOIN enrichment_job job ON job.id = request.job_id "
    "WHERE request.tenant = :tenant AND job.state IN ('waiting', 'running')"
)

_COUNT_COLLECTIONS: Final = sa.text("SELECT count(*) FROM collection WHERE tenant = :tenant")
_COUNT_PUSHES: Final = sa.text("SELECT count(*) FROM push WHERE tenant = :tenant")
_COUNT_LISTS: Final = sa.text("SELECT count(*) FROM dissemination_list WHERE tenant = :tenant")
_COUNT_CONSUMERS: Final = sa.text("SELECT count(*) FROM list_consumer WHERE tenant = :tenant")
_COUNT_PROTECTED: Final = sa.text("SELECT count(*) FROM protected_value WHERE tenant = :tenant")

_COUNT_ENTRIES: Final = sa.text(
    "SELECT coalesce(sum(members), 0) FROM dissemination_list WHERE tenant = :tenant"
)


def count_bulk(session: Session, tenant: str) -> int:
    """The number of a tenant's requests that have open jobs."""
    return int(session.scalars(_COUNT_BULK, {"tenant": tenant}).one())


def count_collections(session: Session, tenant: str) -> int:
    """The number of a tenant's collections."""
    return int(session.scalars(_COUNT_COLLECTIONS, {"tenant": tenant}).one())


def count_pushes(session: Session, tenant: str) -> int:
    """The number of a tenant's pushes, disabled ones among them."""
    return int(session.scalars(_COUNT_PUSHES, {"tenant": tenant}).one())


def count_entries(session: Session, tenant: str) -> int:
    """The number of members of all lists of a tenant together."""
    return int(session.scalars(_COUNT_ENTRIES, {"tenant": tenant}).one())


def count_lists(session: Session, tenant: str) -> int:
    """The number of a tenant's lists."""
    return int(session.scalars(_COUNT_LISTS, {"tenant": tenant}).one())


def count_consumers(session: Session, tenant: str) -> int:
    """The number of a tenant's consumers of lists, revoked ones among them."""
    return int(session.scalars(_COUNT_CONSUMERS, {"tenant": tenant}).one())


def count_protected(session: Session, tenant: str) -> int:
    """The number of a tenant's protected names and networks."""
    return int(session.scalars(_COUNT_PROTECTED, {"tenant": tenant}).one())
