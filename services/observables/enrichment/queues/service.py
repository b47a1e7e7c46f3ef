"""Storing jobs in the queues of the keys that they use."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.enrichment.queues.models import JobRequest, QueueIdentity
from services.observables.enrichment.queues.repository import jobs, provider_queues
from services.observables.enrichment.settings.access import Access


def enqueue(
    session: Session,
    tenant: str,
    requests: Sequence[JobRequest],
    accesses: Mapping[str, Access],
) -> dict[tuple[str, str], UUID]:
    """Store jobs that are not open already, and the queues that they need.

    Returns:
        The stored jobs, by observable and enricher.
    """
    used = {accesses[request.enricher] for request in requests}
    ensure_queues(session, tenant, used)
    return jobs.add(session, tenant, requests)


def ensure_queues(session: Session, tenant: str, accesses: Iterable[Access]) -> None:
    """Create the queues of some accesses, where they do not exist yet."""
    identities = [
        QueueIdentity(access.queue_id, access.owner, access.enricher.name, access.key_id)
        for access in accesses
    ]
    provider_queues.ensure(session, SERVICE, tenant, identities)
