"""The verbs of signing in at a provider, and of the logout that a provider asks for."""

import asyncio
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from joserfc.jwk import KeySet
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.gateway import NAME
from services.gateway.people import repository as people
from services.gateway.people.models import StoredPerson
from services.gateway.people.secrets import digest_of, new_secret
from services.gateway.providers import repository
from services.gateway.providers.answers import (
    AnswerRefused,
    TokenExpectation,
    check_callback,
    import_keys,
    verify_id_token,
    verify_logout_token,
)
from services.gateway.providers.claim_rules import ClaimRule, apply_rules, describe_outcomes
from services.gateway.providers.exchange import (
    client_for,
    fetch_description,
    fetch_keys,
    fetch_tokens,
)
from services.gateway.providers.models import StoredProvider, StoredRequest
from services.gateway.providers.service import client_secret
from services.gateway.sessions.repository import end_provider_sessions, end_sessions
from services.gateway.sessions.service import Device, SessionOwner, begin_session
from shared.auth import Role
from shared.database import PLATFORM, Database
from shared.errors import Conflict, NotFound, SentinelIQError, Unauthenticated
from shared.http.outbound import outbound_of
from shared.kafka.outbox import audit
from shared.keys import Keys, keys_of
from shared.revocations import revoke
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

CALLBACK: Final = "/v1/sign-in/provider/callback"
_STORED_CLAIMS: Final = 8_192


class BegunSignIn(NamedTuple):
    """Where a browser goes to sign in, and the secret that binds the sign-in to it."""

    address: str
    browser_secret: str


class EndedSignIn(NamedTuple):
    """A session that a provider's answer has begun, and where the browser wanted to go."""

    secret: str
    owner: SessionOwner
    next: str


@dataclass(frozen=True, slots=True)
class _Provider:
    """A provider, with what it says of itself."""

    stored: StoredProvider
    description: Mapping[str, Any]

    @property
    def names_issuer(self) -> bool:
        """Whether it promises to name itself in each answer (RFC 9207)."""
        return bool(self.description.get("authorization_response_iss_parameter_supported"))


class ProviderSignIn:
    """Signs persons in at the providers of tenants.

    Args:
        settings: addresses, and what may be reached.
        database: the gateway's.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._keys: Keys = keys_of(settings)

    async def begin(self, provider_id: UUID, next_page: str) -> BegunSignIn:
        """Begin a sign-in: code flow with PKCE, bound to the browser.

        Raises:
            NotFound: there is no such provider.
            UpstreamError, AnswerRefused: the provider cannot be used.
        """
        provider = await self._load(provider_id)
        state = new_secret()
        browser_secret = new_secret()
        nonce = secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(64)
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        await asyncio.to_thread(
            self._store_request,
            state=digest_of(state),
            provider_id=provider_id,
            browser=digest_of(browser_secret),
            nonce=nonce,
            verifier=verifier,
            next=next_page,
        )
        query = {
            "response_type": "code",
            "client_id": provider.stored.client_id,
            "redirect_uri": self._redirect_uri(provider_id),
            "scope": " ".join(["openid", *provider.stored.scopes]),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(provider.description["authorization_endpoint"])
        separator = "&" if "?" in endpoint else "?"
        return BegunSignIn(f"{endpoint}{separator}{urlencode(query)}", browser_secret)

    async def finish(
        self,
        parameters: Sequence[tuple[str, str]],
        browser_secret: str | None,
        device: Device,
    ) -> EndedSignIn:
        """Begin a session with what a browser brings from a provider.

        Raises:
            AnswerRefused: the answer is not accepted; the reason is in the log.
            Unauthenticated: no rule leads to a role; the message names each rule.
            UpstreamError: the provider does not answer.
        """
        try:
            return await self._finish(parameters, browser_secret, device)
        except AnswerRefused as error:
            log.warning("provider_answer.refused", reason=error.reason, address=device.address)
            raise
        except SentinelIQError as error:
            log.warning("sign_in.refused", reason=error.message, address=device.address)
            raise

    async def end_sessions(self, provider_id: UUID, logout_token: str) -> int:
        """End the sessions that a provider ends (back-channel logout); return how many.

        Raises:
            NotFound: there is no such provider.
            AnswerRefused: the token is not accepted.
        """
        provider = await self._load(provider_id)
        try:
            async with self._client(provider.stored) as client:
                keys = import_keys(await fetch_keys(client, provider.description))
            subject, session_name = verify_logout_token(
                logout_token, keys, _expectation(provider.stored)
            )
        except AnswerRefused as error:
            log.warning("provider_answer.refused", reason=error.reason, address="")
            raise
        return await asyncio.to_thread(self._end_sessions, provider.stored, subject, session_name)

    async def _finish(
        self,
        parameters: Sequence[tuple[str, str]],
        browser_secret: str | None,
        device: Device,
    ) -> EndedSignIn:
        state = dict(parameters).get("state", "")
        request = await asyncio.to_thread(self._take_request, digest_of(state))
        if request is None:
            check_callback(parameters, None, browser_secret, "", names_issuer=False)
            raise AnswerRefused("state-unknown", "The sign-in is over: begin again.")
        provider = await self._load(request.provider_id)
        code = check_callback(
            parameters,
            request,
            browser_secret,
            provider.stored.issuer,
            names_issuer=provider.names_issuer,
        )
        claims = await self._claims(provider, request, code)
        return await asyncio.to_thread(self._begin_session, provider, claims, device, request.next)

    async def _claims(
        self, provider: _Provider, request: StoredRequest, code: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri(request.provider_id),
            "code_verifier": request.verifier,
        }
        stored = provider.stored
        secret = client_secret(self._keys, stored)
        async with self._client(stored) as client:
            tokens = await fetch_tokens(client, provider.description, stored, secret, form)
            keys: KeySet = import_keys(await fetch_keys(client, provider.description))
        access_token = tokens.get("access_token")
        return verify_id_token(
            tokens.get("id_token"),
            keys,
            _expectation(stored),
            request.nonce,
            access_token if isinstance(access_token, str) else None,
        )

    async def _load(self, provider_id: UUID) -> _Provider:
        stored = await asyncio.to_thread(self._find_provider, provider_id)
        async with self._client(stored) as client:
            return _Provider(stored, await fetch_description(client, stored.issuer))

    def _client(self, stored: StoredProvider) -> Any:
        return client_for(outbound_of(self._settings, stored.tenant))

    def _redirect_uri(self, provider_id: UUID) -> str:
        # Each provider has an address of its own: an answer for another one is a mix-up.
        base_url = self._settings.service_url(NAME)
        return f"{base_url}{CALLBACK}?provider={provider_id}"

    def _find_provider(self, provider_id: UUID) -> StoredProvider:
        with self._database.transaction(PLATFORM) as session:
            provider = repository.find_provider(session, provider_id)
        if provider is None:
            raise NotFound(f"There is no provider {provider_id}.")
        return provider

    def _store_request(self, **values: Any) -> None:
        with self._database.transaction(PLATFORM) as session:
            repository.insert_request(session, **values)

    def _take_request(self, state: bytes) -> StoredRequest | None:
        with self._database.transaction(PLATFORM) as session:
            return repository.take_request(session, state)

    def _begin_session(
        self, provider: _Provider, claims: dict[str, Any], device: Device, next_page: str
    ) -> EndedSignIn:
        stored = provider.stored
        rules = [ClaimRule(**rule) for rule in stored.rules]
        role, outcomes = apply_rules(rules, claims)
        with self._database.transaction(PLATFORM) as session:
            person = _person_of(session, stored, claims)
            repository.put_identity(
                session,
                provider_id=stored.id,
                issuer=stored.issuer,
                subject=str(claims["sub"]),
                tenant=stored.tenant,
                person_id=person.id,
                claims=_bounded(claims),
                outcomes=[outcome.as_dict() for outcome in outcomes],
                role=None if role is None else role.name,
            )
            _put_role(session, stored, person, role)
        if role is None:
            raise Unauthenticated(describe_outcomes(outcomes))
        with self._database.transaction(PLATFORM) as session:
            if repository.find_provider(session, stored.id, lock=True) is None:
                raise Unauthenticated("The identity provider was deleted meanwhile.")
            secret, owner = begin_session(
                session,
                person,
                [f"provider:{stored.name}"],
                device,
                str(stored.id),
                _text_or_none(claims.get("sid")),
            )
        return EndedSignIn(secret, owner, next_page)

    def _end_sessions(
        self, stored: StoredProvider, subject: str | None, session_name: str | None
    ) -> int:
        with self._database.transaction(PLATFORM) as session:
            person_id = None
            if subject is not None:
                identity = repository.find_identity(session, stored.id, stored.issuer, subject)
                if identity is None:
                    return 0
                person_id = identity.person_id
            ended = end_provider_sessions(session, str(stored.id), person_id, session_name)
            actor = f"provider:{stored.name}"
            count = str(len(ended))
            audit(session, NAME, stored.tenant, actor, "sessions.end_all", stored.id, count=count)
        return len(ended)


def _expectation(stored: StoredProvider) -> TokenExpectation:
    return TokenExpectation(stored.issuer, stored.client_id, stored.algorithms, time.time())


def _person_of(session: Session, stored: StoredProvider, claims: Mapping[str, Any]) -> StoredPerson:
    """Return the person of a subject; whoever signs in the first time is a new person."""
    subject = str(claims["sub"])
    identity = repository.find_identity(session, stored.id, stored.issuer, subject)
    if identity is not None:
        person = people.find_person(session, identity.person_id)
        if person is None:
            raise Conflict("The account of this identity is gone.")
        return person
    # A login that names the subject and the provider is nobody else's; a mail address is no proof.
    digest = sha256(f"{stored.issuer} {subject}".encode()).hexdigest()[:12]
    title = _text_or_none(claims.get("name")) or _text_or_none(claims.get("preferred_username"))
    name = _printable(title or subject)
    return people.insert_person(session, uuid7(), f"{stored.id.hex[-12:]}-{digest}", name)


def _put_role(
    session: Session, stored: StoredProvider, person: StoredPerson, role: Role | None
) -> None:
    """Let the role of now count; without one, what the provider gave before ends."""
    origin = f"provider:{stored.id}"
    member = people.lock_member(session, stored.tenant, person.id)
    if member is not None and member.origin == origin and (role is None or role < member.role):
        revoke(session, NAME, stored.tenant, "actor", person.login, origin)
    is_own = member is None or member.origin == origin
    if not is_own:
        return
    if role is not None:
        people.put_member(session, stored.tenant, person.id, role.name, origin, stored.created_by)
    elif member is not None:
        people.delete_member(session, stored.tenant, person.id)
        end_sessions(session, person.id, origin)
    action = "members.refuse" if role is None else "members.set_role"
    shown = "none" if role is None else role.name
    audit(session, NAME, stored.tenant, origin, action, person.login, role=shown)


def _bounded(claims: dict[str, Any]) -> dict[str, Any]:
    """Return claims as they are stored: without what is long, and without what is no claim."""
    left = _STORED_CLAIMS
    stored = {}
    for name, value in claims.items():
        size = len(name) + len(str(value))
        if size <= left:
            stored[_printable(name)] = _clean(value)
            left -= size
    return stored


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_printable(str(name)): _clean(item) for name, item in value.items()}
    return value


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:200] or "unnamed"


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
