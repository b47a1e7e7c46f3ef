"""Routes of a person's own credentials."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from services.gateway.credentials import second_factor, service
from services.gateway.credentials.schemas import (
    CodeBody,
    NewOneTimeCodes,
    PasswordChange,
    RecoveryCodes,
)
from services.gateway.people.models import StoredPerson
from services.gateway.people.service import require_person
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


OwnKeys = Annotated[Keys, Depends(_keys)]
Account = Annotated[StoredPerson, Depends(_account)]


@router.put("/password", status_code=204)
def change_password(
    principal: Person, account: Account, database: OwnDatabase, body: PasswordChange
) -> None:
    """Change your password."""
    service.change_password(database, principal.tenant, account, body.present, body.password)


@router.post("/one-time-codes", status_code=201)
def begin_codes(
    _principal: Person, account: Account, database: OwnDatabase, keys: OwnKeys
) -> NewOneTimeCodes:
    """Get the secret for an authenticator; it counts when a code of it was confirmed."""
    return second_factor.begin_codes(database, keys, account)


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
