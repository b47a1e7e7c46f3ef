"""The console's door to identity: signing in, and who a session or token belongs to now."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import ValidationError
from pydantic_core import from_json

from services.gateway import NAME
from services.gateway.access.gate import IdentityGate
from services.gateway.credentials.passkeys import begin_use
from services.gateway.credentials.relying_party import relying_party
from services.gateway.credentials.schemas import PasskeyOptions
from services.gateway.sessions.cookies import BROWSER_PREFIX, COOKIE
from services.gateway.sessions.service import Device, end_by_secret, find_owner
from services.gateway.sign_in.schemas import (
    LinkAcceptance,
    LinkBody,
    LinkView,
    PasskeySignIn,
    SignInBody,
)
from services.gateway.sign_in.service import (
    accept_link,
    sign_in,
    sign_in_by_passkey,
    view_link,
)
from shared.auth import Principal
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, SentinelIQError
from shared.keys import keys_of
from shared.settings import Settings
from shared.token_registry import TokenRegistry

_PLACES: Final = {"cookie": b"cookie", "token": b"authorization"}


class Admission(Protocol):
    """Who was let in."""

    @property
    def principal(self) -> Principal:
        """The actor, its tenant and its role."""

    def bearer(self, service: str) -> str:
        """The short-lived token that a service gets."""


@dataclass(frozen=True, slots=True)
class SignInForm:
    """What a person types to sign in."""

    login: str
    password: str
    code: str


@dataclass(frozen=True, slots=True)
class AccountForm:
    """What a person types to open an account, or to set a new password, with a link."""

    secret: str
    login: str
    name: str
    password: str


class IdentityDoor:
    """Signs people in, and lets their credentials in.

    Args:
        settings: the keys, and the installation's address.
        database: the gateway's.
        registry: of revoked tokens; None leaves them to the services that get them.
    """

    def __init__(
        self, settings: Settings, database: Database, registry: TokenRegistry | None = None
    ) -> None:
        self._keys = keys_of(settings)
        self._database = database
        self._base_url = settings.service_url(NAME)
        self._gate = IdentityGate(self._keys, database, self._base_url, registry)

    async def admit(self, credential: str, address: str) -> Admission | None:
        """Find out who a credential belongs to; None if it has ended, or is of nobody.

        Args:
            credential: the secret of a session, or a token.
            address: of the browser.
        """
        if credential.startswith(BROWSER_PREFIX):
            header = (_PLACES["cookie"], f"{COOKIE}={credential}".encode())
        else:
            header = (_PLACES["token"], f"Bearer {credential}".encode("latin-1", "replace"))
        try:
            # The console checks its own forms: for identity each of its requests only reads.
            return await self._gate.admit("GET", [header], address)
        except SentinelIQError:
            return None

    async def review(self, credentials: Collection[str]) -> dict[str, Principal]:
        """Find out whose credentials are still good; those that have ended are left out.

        Nobody uses a session by this: one whose page is merely open ends when it is due.

        Args:
            credentials: secrets of sessions, and tokens.
        """
        secrets = [each for each in credentials if each.startswith(BROWSER_PREFIX)]
        present = await asyncio.to_thread(self._review_sessions, secrets) if secrets else {}
        for token in credentials:
            admission = None if token in secrets else await self.admit(token, "")
            if admission is not None:
                present[token] = admission.principal
        return present

    def _review_sessions(self, secrets: Sequence[str]) -> dict[str, Principal]:
        present = {}
        with self._database.transaction(PLATFORM) as session:
            for secret in secrets:
                with suppress(SentinelIQError):
                    owner = find_owner(session, secret)
                    choice = owner.act_in(None)
                    present[secret] = Principal(owner.person.login, choice.tenant, choice.role)
        return present

    async def sign_in(self, form: SignInForm, device: Device) -> str:
        """Begin a session; return its secret.

        Raises:
            InvalidInput, Unauthenticated, SecondFactorRequired, RateExceeded: as `sign_in`.
        """
        try:
            body = SignInBody(login=form.login, password=form.password, code=form.code or None)
        except ValidationError as error:
            raise _invalid(error) from None
        secret, _ = await asyncio.to_thread(sign_in, self._database, self._keys, body, device)
        return secret

    async def begin_passkey(self, origin: str | None) -> PasskeyOptions:
        """Return what a browser needs to sign in with a passkey.

        Args:
            origin: of the page that asks.

        Raises:
            InvalidInput: the page has no name, but an address.
        """
        party = relying_party(self._base_url, origin)
        return await asyncio.to_thread(begin_use, self._database, party)

    async def sign_in_by_passkey(
        self, challenge_id: str, credential: str, origin: str | None, device: Device
    ) -> str:
        """Begin a session with a passkey; return its secret.

        Args:
            challenge_id: which challenge was signed.
            credential: what the authenticator has signed, as JSON.
            origin: of the page that asks.
            device: of the person.

        Raises:
            InvalidInput, Unauthenticated: as `sign_in_by_passkey`.
        """
        try:
            body = PasskeySignIn.model_validate(
                {"challenge_id": challenge_id, "credential": from_json(credential)}
            )
        except ValidationError as error:
            raise _invalid(error) from None
        except ValueError:
            raise InvalidInput("This is no passkey's answer.", field="credential") from None
        party = relying_party(self._base_url, origin)
        begun = await asyncio.to_thread(sign_in_by_passkey, self._database, party, body, device)
        return begun[0]

    async def view_link(self, secret: str) -> LinkView:
        """Return what a link is for.

        Raises:
            InvalidInput, Unauthenticated: it is no link, or can no longer be used.
        """
        try:
            body = LinkBody(secret=secret)
        except ValidationError as error:
            raise _invalid(error) from None
        return await asyncio.to_thread(view_link, self._database, body.secret)

    async def accept_link(self, form: AccountForm, device: Device) -> str | None:
        """Use a link; return the secret of the session that begins, or None after a new password.

        Raises:
            InvalidInput, Unauthenticated, Conflict: as `accept_link`.
        """
        try:
            body = LinkAcceptance(
                secret=form.secret,
                login=form.login or None,
                name=form.name or None,
                password=form.password,
            )
        except ValidationError as error:
            raise _invalid(error) from None
        begun = await asyncio.to_thread(accept_link, self._database, body, device)
        return None if begun is None else begun[0]

    async def end(self, credential: str) -> None:
        """End a session; a token stays valid elsewhere."""
        if credential.startswith(BROWSER_PREFIX):
            await asyncio.to_thread(end_by_secret, self._database, credential)


def _invalid(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = str(first["loc"][0]) if first["loc"] else None
    return InvalidInput(str(first["msg"]), field=place)
