"""The verbs of API keys."""

import hmac
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.gateway import NAME
from services.gateway.api_keys import repository
from services.gateway.api_keys.conditions import canonical_networks, principal_of, require_scopes
from services.gateway.api_keys.key_format import digest_of_key, new_key, read_key
from services.gateway.api_keys.models import StoredApiKey
from services.gateway.api_keys.schemas import (
    ApiKeyCreate,
    ApiKeyRotation,
    ApiKeyView,
    NewApiKey,
)
from services.gateway.people import repository as people
from services.gateway.quotas.limits import API_KEYS as API_KEYS_QUOTA
from services.gateway.tokens.access_tokens import AccessGrant
from shared.auth import Principal, Role
from shared.database import PLATFORM, Database
from shared.errors import Conflict, Forbidden, NotFound, Unauthenticated
from shared.kafka.outbox import audit
from shared.keys import API_KEYS, Keys
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.revocations import revoke
from shared.tenants import PUBLIC

_DAY_MINUTES: Final = 24 * 60
_KEY_GRANT: Final = "key:"
_NOT_VALID: Final = "The API key is not valid: it was mistyped, revoked or has expired."


def admit_key(database: Database, keys: Keys, text: str, address: str) -> AccessGrant:
    """Return what an API key grants, and note its use.

    Raises:
        Unauthenticated: it is none, is over, or may not be used by this client.
    """
    key_text = read_key(text)
    if key_text is None:
        raise Unauthenticated(_NOT_VALID)
    with database.transaction(PLATFORM) as session:
        row = repository.find_valid(session, key_text.id)
        position = None if row is None else _matching_key(keys, text, row[1])
        if row is None or position is None:
            raise Unauthenticated(_NOT_VALID)
        key = row[0]
        if position > 0:
            repository.put_digest(session, key.id, _digest(keys, text))
        owner = people.find_member(session, key.tenant, key.person_id)
        principal = principal_of(key, owner, address)
        repository.note_use(session, key.id, address)
    return AccessGrant(principal, grant_of(key.id), f"key:{key.id}")


def grant_of(key_id: str) -> str:
    """Return the grant that access tokens of a key name."""
    return f"{_KEY_GRANT}{key_id}"


def create_key(
    database: Database, keys: Keys, principal: Principal, body: ApiKeyCreate
) -> NewApiKey:
    """Make an API key that acts as the person who makes it.

    Raises:
        Forbidden: it would hold more than the actor, no member asks, or an API key does: what it
            makes would outlive its end.
        InvalidInput: a scope or network is none.
    """
    _require_no_key(principal)
    role = Role[body.role]
    require_scopes(principal, role, body.scopes)
    networks = canonical_networks(body.networks)
    text = new_key()
    with database.transaction(PLATFORM) as session:
        person_id = _own_id(session, principal)
        require_room(session, principal.tenant, API_KEYS_QUOTA)
        values = {
            "id": text.id,
            "tenant": principal.tenant,
            "digest": _digest(keys, text.text),
            "name": body.name,
            "person_id": person_id,
            "role": body.role,
            "scopes": None if body.scopes is None else sorted(set(body.scopes)),
            "networks": networks,
            "created_by": principal.actor,
        }
        key = repository.insert_key(session, body.days * _DAY_MINUTES, values)
        _audit(session, principal, "api_keys.create", key)
    return NewApiKey(api_key=ApiKeyView.model_validate(key), key=text.text)


def list_keys(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[ApiKeyView]:
    """The keys of the person who asks; for admins those of the tenant."""
    place = decode_cursor(after, tuple[str])
    with database.transaction(PLATFORM) as session:
        person_id = None if _manages(principal) else _own_id(session, principal)
        rows = repository.list_keys(
            session, principal.tenant, person_id, place[0] if place else None, limit + 1
        )
    return paginate(rows, limit, lambda key: (key.id,)).map(ApiKeyView.model_validate)


def revoke_key(database: Database, principal: Principal, key_id: str) -> None:
    """Accept a key no more.

    Raises:
        NotFound: there is no such key that the actor may revoke.
    """
    with database.transaction(PLATFORM) as session:
        key = _lock(session, principal, key_id)
        repository.revoke_key(session, key.id, principal.actor)
        revoke(session, NAME, PUBLIC, "grant", grant_of(key.id), principal.actor)
        _audit(session, principal, "api_keys.revoke", key)


def rotate_key(
    database: Database, keys: Keys, principal: Principal, key_id: str, body: ApiKeyRotation
) -> NewApiKey:
    """Replace a key by a new one for the same; the old one goes on for a while.

    Raises:
        NotFound: the actor has no such key.
        Forbidden: it belongs to another person, who alone may see the new one, or an API key asks.
        Conflict: it was revoked or replaced before.
    """
    _require_no_key(principal)
    text = new_key()
    with database.transaction(PLATFORM) as session:
        old = _lock(session, principal, key_id)
        if old.person_id != _own_id(session, principal):
            raise Forbidden("Only the owner of a key sees the one that replaces it.")
        if old.revoked_at is not None or old.successor is not None:
            raise Conflict("The key was revoked or replaced before.")
        require_scopes(principal, old.role, old.scopes)
        minutes = int((old.expires_at - old.created_at).total_seconds() // 60)
        values = {
            "id": text.id,
            "tenant": old.tenant,
            "digest": _digest(keys, text.text),
            "name": old.name,
            "person_id": old.person_id,
            "role": old.role_name,
            "scopes": old.scopes,
            "networks": old.networks,
            "created_by": principal.actor,
        }
        key = repository.insert_key(session, minutes, values)
        repository.replace_key(session, old.id, key.id, body.overlap_minutes)
        _audit(session, principal, "api_keys.rotate", old, successor=key.id)
    return NewApiKey(api_key=ApiKeyView.model_validate(key), key=text.text)


def _require_no_key(principal: Principal) -> None:
    """Refuse an API key: what it makes would outlive its end, also in the hands of a thief."""
    if principal.token is not None and principal.token.grant.startswith(_KEY_GRANT):
        raise Forbidden("An API key makes and rotates no keys: sign in first.")


def _digest(keys: Keys, text: str) -> bytes:
    return digest_of_key(keys.secret(API_KEYS)[0].material, text)


def _matching_key(keys: Keys, text: str, stored: bytes) -> int | None:
    """Return the place of the gateway's key that a digest was computed with; None: it is another.

    While the installation's secret is being replaced, the key of before is valid as well.
    """
    matches = [
        hmac.compare_digest(digest_of_key(key.material, text), stored)
        for key in keys.secret(API_KEYS)
    ]
    return matches.index(True) if any(matches) else None


def _manages(principal: Principal) -> bool:
    return principal.may("members:write")


def _own_id(session: Session, principal: Principal) -> UUID:
    person = people.find_login(session, principal.actor)
    member = None
    if person is not None:
        member = people.find_member(session, principal.tenant, person.id)
    if person is None or member is None:
        raise Forbidden("Only a member of the tenant has API keys in it.")
    return person.id


def _lock(session: Session, principal: Principal, key_id: str) -> StoredApiKey:
    key = repository.lock_key(session, principal.tenant, key_id)
    is_own = key is not None and _is_own(session, principal, key)
    is_managed = key is not None and _manages(principal) and key.role <= principal.role
    if key is None or not (is_own or is_managed):
        raise NotFound(f"There is no API key {key_id}.")
    return key


def _is_own(session: Session, principal: Principal, key: StoredApiKey) -> bool:
    person = people.find_login(session, principal.actor)
    return person is not None and person.id == key.person_id


def _audit(
    session: Session, principal: Principal, action: str, key: StoredApiKey, **details: str
) -> None:
    audit(
        session, NAME, principal.tenant, principal.actor, action, key.id, name=key.name, **details
    )
