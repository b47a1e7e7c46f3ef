"""Routes of a person's own credentials."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from services.gateway.credentials import passkeys, second_factor, service
from services.gateway.credentials.relying_party import RelyingParty, relying_party
from services.gateway.credentials.schemas import (
    CodeBody,
    NewOneTimeCodes,
    PasskeyOptions,
    PasskeyRegistration,
    PasskeyView,
    PasswordChange,
    RecoveryCodes,
)
from services.gateway.people.models import StoredPerson
from services.gateway.people.service import require_person
from services.gateway.sessions.service import session_of
from shared.auth import Principal
from shared.database import Database
from shared.keys import Keys, keys_of
from shared.web.app import authorize, database_of, require_permission

Person = Annotated[Principal, require_permission("account:use")]
OwnDatabase = Annotated[Database, Depends(database_of)]

router = APIRouter(prefix="/v1/account", tags=["account"])


def _keys(request: Request) -> Keys:
    return keys_of(request.app.state.settings)


def _account(request: Request, database: OwnDatabase) -> StoredPerson:
    return require_person(database, authorize(request, "account:use"))


def party_of(request: Request) -> RelyingParty:
    """Return what passkeys are for at the page of a request."""
    base_url = request.app.state.settings.service_url("gateway")
    return relying_party(base_url, request.headers.get("origin"))


OwnKeys = Annotated[Keys, Depends(_keys)]
Party = Annotated[RelyingParty, Depends(party_of)]
CredentialId = Annotated[str, Path(max_length=1400, pattern=r"^[0-9A-Za-z_-]+$")]
Account = Annotated[StoredPerson, Depends(_account)]


@router.put("/password", status_code=204)
def change_password(
    principal: Person, account: Account, database: OwnDatabase, body: PasswordChange
) -> None:
    """Change your password; your other sessions end."""
    service.change_password(
        database,
        principal.tenant,
        account,
        session_of(principal),
        body.present,
        body.password,
    )


@router.post("/one-time-codes", status_code=201)
def begin_codes(
    principal: Person, account: Account, database: OwnDatabase, keys: OwnKeys
) -> NewOneTimeCodes:
    """Get the secret for an authenticator; it counts when a code of it was confirmed."""
    return second_factor.begin_codes(database, keys, principal.tenant, account)


@router.post("/one-time-codes/confirm")
def confirm_codes(
    principal: Person, account: Account, database: OwnDatabase, keys: OwnKeys, body: CodeBody
) -> RecoveryCodes:
    """Ask for one-time codes at each sign-in from now on; the recovery codes are shown once."""
    tenant = principal.tenant
    codes = second_factor.confirm_codes(database, keys, tenant, account, body.code)
    return RecoveryCodes(codes=codes)


@router.post("/one-time-codes/remove", status_code=204)
def remove_codes(
    principal: Person, account: Account, database: OwnDatabase, keys: OwnKeys, body: CodeBody
) -> None:
    """Ask for one-time codes no more; a code shows that you may."""
    second_factor.remove_codes(database, keys, principal.tenant, account, body.code)


@router.get("/passkeys")
def list_passkeys(_principal: Person, account: Account, database: OwnDatabase) -> list[PasskeyView]:
    """Your passkeys, oldest first."""
    return passkeys.list_passkeys(database, account)


@router.post("/passkeys/begin")
def begin_passkey(
    principal: Person, account: Account, database: OwnDatabase, party: Party
) -> PasskeyOptions:
    """Get what a browser needs to make a passkey."""
    return passkeys.begin_registration(database, principal.tenant, account, party)


@router.post("/passkeys", status_code=201)
def add_passkey(
    principal: Person,
    account: Account,
    database: OwnDatabase,
    party: Party,
    body: PasskeyRegistration,
) -> PasskeyView:
    """Add the passkey that a browser has made."""
    return passkeys.finish_registration(database, principal.tenant, account, party, body)


@router.delete("/passkeys/{credential_id}", status_code=204)
def remove_passkey(
    principal: Person, account: Account, database: OwnDatabase, credential_id: CredentialId
) -> None:
    """Remove a passkey."""
    passkeys.remove_passkey(database, principal.tenant, account, credential_id)
