"""Raw answers of providers."""

from services.observables.enrichment.answers import repository
from services.observables.enrichment.answers.models import RawAnswer
from services.observables.store.references import uuid_of
from shared.database import Database
from shared.errors import NotFound


def raw_answer(database: Database, tenant: str, identity: str, enricher: str) -> RawAnswer:
    """What a provider sent about an observable.

    Args:
        database: the service's.
        tenant: the reader's.
        identity: the observable's STIX id.
        enricher: its name.

    Raises:
        InvalidInput: `identity` is not a STIX id of an observable.
        NotFound: no raw answer is stored (any more).
    """
    observable = uuid_of(identity)
    with database.transaction(tenant) as session:
        answer = repository.raw(session, tenant, observable, enricher)
    if answer is None:
        raise NotFound(f"No raw answer of {enricher} about {identity} is stored.")
    return answer
