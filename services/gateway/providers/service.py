"""The verbs of identity providers: their settings, and why a person has a role or none."""

from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.gateway import NAME
from services.gateway.people.grants import require_role
from services.gateway.people.repository import find_member
from services.gateway.providers import repository
from services.gateway.providers.models import StoredProvider, place_of_secret
from services.gateway.providers.schemas import (
    IdentityView,
    ProviderChoice,
    ProviderCreate,
    ProviderView,
    RuleBody,
    RulesPatch,
)
from services.gateway.quotas.limits import PROVIDERS
from services.gateway.sessions.repository import end_provider_sessions
from shared.auth import Principal, Role
from shared.crypto import Sealer
from shared.database import PLATFORM, Database
from shared.errors import NotFound
from shared.kafka.outbox import audit
from shared.keys import IDENTITY_SECRETS, Keys, keys_of
from shared.quotas import require_room
from shared.sealed_rows import reseal_rows
from shared.settings import load_settings


def reseal_secrets(database: Database) -> int:
    """Seal secrets under the present key, if a former one has sealed them; how many."""
    sealer = Sealer(keys_of(load_settings()), IDENTITY_SECRETS)
    return reseal_rows(database, sealer, repository.CLIENT_SECRET)


def client_secret(keys: Keys, provider: StoredProvider) -> str | None:
    """Return our secret at a provider, which it is opened for alone.

    Raises:
        UnsealError: it was sealed under another key, or for another issuer.
    """
    if provider.client_secret is None:
        return None
    sealer = Sealer(keys, IDENTITY_SECRETS)
    return sealer.open_at(
        provider.client_secret, place_of_secret(provider.id), provider.issuer, accepts_any=False
    )


def create_provider(
    database: Database, keys: Keys, principal: Principal, body: ProviderCreate
) -> ProviderView:
    """Add a provider to the tenant.

    Raises:
        Forbidden: a rule leads to a role above the actor's.
        Conflict: the tenant has one of that name.
    """
    _require_rules(principal, body.rules)
    provider_id = uuid7()
    sealed = None
    if body.client_secret is not None:
        sealer = Sealer(keys, IDENTITY_SECRETS)
        sealed = sealer.seal_at(body.client_secret, place_of_secret(provider_id), body.issuer)
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, PROVIDERS)
        provider = repository.insert_provider(
            session,
            id=provider_id,
            tenant=principal.tenant,
            name=body.name,
            issuer=body.issuer,
            client_id=body.client_id,
            client_secret=sealed,
            algorithms=body.algorithms,
            scopes=body.scopes,
            rules=[rule.model_dump() for rule in body.rules],
            created_by=principal.actor,
        )
        _audit(session, principal, "providers.create", provider)
    return ProviderView.model_validate(provider)


def list_providers(database: Database, principal: Principal) -> list[ProviderView]:
    """The providers of the tenant, by name."""
    with database.transaction(principal.tenant) as session:
        providers = repository.list_providers(session, principal.tenant)
    return [ProviderView.model_validate(provider) for provider in providers]


def choices_of(database: Database, tenant: str) -> list[ProviderChoice]:
    """The providers that persons of a tenant may sign in with; none of one that does not exist."""
    with database.transaction(PLATFORM) as session:
        providers = repository.list_providers(session, tenant)
    return [ProviderChoice.model_validate(provider) for provider in providers]


def change_rules(
    database: Database, principal: Principal, provider_id: UUID, body: RulesPatch
) -> ProviderView:
    """Replace the rules of a provider; they count from each person's next sign-in on.

    Raises:
        NotFound: the tenant has no such provider.
        Forbidden: a rule leads, or led, to a role above the actor's.
    """
    _require_rules(principal, body.rules)
    with database.transaction(principal.tenant) as session:
        provider = _get(session, principal, provider_id)
        _require_rules(principal, [RuleBody.model_validate(rule) for rule in provider.rules])
        repository.put_rules(session, provider_id, [rule.model_dump() for rule in body.rules])
        _audit(session, principal, "providers.change_rules", provider)
        provider = _get(session, principal, provider_id)
    return ProviderView.model_validate(provider)


def delete_provider(database: Database, principal: Principal, provider_id: UUID) -> None:
    """Delete a provider, and end the sessions that it has begun.

    Whom it has made a member stays one until somebody removes them.

    Raises:
        NotFound: the tenant has no such provider.
    """
    with database.transaction(PLATFORM) as session:
        provider = _get(session, principal, provider_id)
        repository.delete_provider(session, principal.tenant, provider_id)
        end_provider_sessions(session, str(provider_id), None, None)
        _audit(session, principal, "providers.delete", provider)


def explain_person(database: Database, principal: Principal, person_id: UUID) -> list[IdentityView]:
    """What the tenant's providers last said of a person, and what became of each rule.

    Raises:
        NotFound: no provider of the tenant knows the person, and it is no member.
    """
    with database.transaction(principal.tenant) as session:
        identities = repository.identities_of_person(session, principal.tenant, person_id)
        if not identities and find_member(session, principal.tenant, person_id) is None:
            raise NotFound(f"The tenant knows no person {person_id}.")
    return [IdentityView.model_validate(identity) for identity in identities]


def _require_rules(principal: Principal, rules: list[RuleBody]) -> None:
    for rule in rules:
        require_role(principal, Role[rule.role])


def _get(session: Session, principal: Principal, provider_id: UUID) -> StoredProvider:
    provider = repository.find_provider(session, provider_id)
    if provider is None or provider.tenant != principal.tenant:
        raise NotFound(f"There is no provider {provider_id}.")
    return provider


def _audit(session: Session, principal: Principal, action: str, provider: StoredProvider) -> None:
    actor = principal.actor
    audit(session, NAME, principal.tenant, actor, action, provider.id, name=provider.name)
