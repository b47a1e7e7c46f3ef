"""The verbs of passkeys (WebAuthn Level 3): registered by a person, and used to sign in.

A passkey asks for a PIN or a finger itself, so that it stands for both factors.
"""

import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import webauthn
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7
from webauthn.helpers.base64url_to_bytes import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from services.gateway import NAME
from services.gateway.credentials import repository
from services.gateway.credentials.models import StoredChallenge
from services.gateway.credentials.relying_party import RelyingParty
from services.gateway.credentials.schemas import PasskeyOptions, PasskeyRegistration, PasskeyView
from services.gateway.people import repository as people
from services.gateway.people.models import StoredPerson
from shared.database import PLATFORM, Database
from shared.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from shared.kafka.outbox import audit
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_TITLE: Final = "SentinelIQ"
_MAX_PASSKEYS: Final = 20
_BROKEN: Final = (WebAuthnException, ValueError, KeyError, TypeError, IndexError)
"""What an answer raises that no authenticator has made."""


@dataclass(frozen=True, slots=True)
class PasskeyProof:
    """That somebody held a person's passkey a moment ago."""

    person: StoredPerson
    credential_id: bytes


def begin_registration(
    database: Database, tenant: str, person: StoredPerson, party: RelyingParty
) -> PasskeyOptions:
    """Return what a browser needs to make a passkey.

    Raises:
        Conflict: the person has as many as may be.
    """
    with database.transaction(PLATFORM) as session:
        passkeys = repository.list_passkeys(session, person.id)
        if len(passkeys) >= _MAX_PASSKEYS:
            raise Conflict(f"You have {_MAX_PASSKEYS} passkeys: remove one first.")
        options = webauthn.generate_registration_options(
            rp_id=party.id,
            rp_name=_TITLE,
            user_id=person.id.bytes,
            user_name=person.login,
            user_display_name=person.name,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=passkey.credential_id) for passkey in passkeys
            ],
        )
        challenge_id = uuid7()
        repository.insert_challenge(session, challenge_id, person.id, options.challenge)
        audit(session, NAME, tenant, person.login, "passkeys.begin", challenge_id)
    return PasskeyOptions(
        challenge_id=challenge_id, options=json.loads(webauthn.options_to_json(options))
    )


def finish_registration(
    database: Database,
    tenant: str,
    person: StoredPerson,
    party: RelyingParty,
    body: PasskeyRegistration,
) -> PasskeyView:
    """Store a passkey that a browser has made.

    Raises:
        InvalidInput: the answer is none, is of another challenge, origin or name, or the
            authenticator asked for neither PIN nor finger.
        Conflict: the passkey is registered already.
    """
    challenge = _take_challenge(database, body.challenge_id)
    if challenge is None or challenge.person_id != person.id:
        raise InvalidInput("The challenge is over: begin again.", field="challenge_id")
    try:
        verified = webauthn.verify_registration_response(
            credential=body.credential,
            expected_challenge=challenge.challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except _BROKEN as error:
        log.warning("passkey.refused", reason=str(error))
        raise InvalidInput("The passkey cannot be used.", field="credential") from error
    with database.transaction(PLATFORM) as session:
        passkey = repository.insert_passkey(
            session,
            credential_id=verified.credential_id,
            person_id=person.id,
            name=body.name,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            is_backed_up=verified.credential_backed_up,
        )
        if passkey is None:
            raise Conflict("This passkey is registered already.")
        audit(session, NAME, tenant, person.login, "passkeys.add", body.name)
    return PasskeyView.of(passkey)


def list_passkeys(database: Database, person: StoredPerson) -> list[PasskeyView]:
    """The passkeys of a person, oldest first."""
    with database.transaction(PLATFORM) as session:
        return [PasskeyView.of(stored) for stored in repository.list_passkeys(session, person.id)]


def remove_passkey(
    database: Database, tenant: str, person: StoredPerson, credential_id: str
) -> None:
    """Remove a passkey of a person.

    Raises:
        NotFound: the person has no such passkey.
    """
    with database.transaction(PLATFORM) as session:
        people.find_person(session, person.id, lock=True)
        stored = _bytes(credential_id)
        if stored is None or not repository.delete_passkey(session, person.id, stored):
            raise NotFound("You have no such passkey.")
        audit(session, NAME, tenant, person.login, "passkeys.remove", credential_id)


def begin_use(database: Database, party: RelyingParty) -> PasskeyOptions:
    """Return what a browser needs to sign in; it tells nothing of anybody's passkeys."""
    options = webauthn.generate_authentication_options(
        rp_id=party.id, user_verification=UserVerificationRequirement.REQUIRED
    )
    challenge_id = uuid7()
    with database.transaction(PLATFORM) as session:
        repository.insert_challenge(session, challenge_id, None, options.challenge)
    return PasskeyOptions(
        challenge_id=challenge_id, options=json.loads(webauthn.options_to_json(options))
    )


def person_of_passkey(
    database: Database, party: RelyingParty, challenge_id: UUID, credential: dict[str, Any]
) -> PasskeyProof:
    """Check that a passkey has signed a challenge, and whose it is.

    The proof counts as long as the passkey is registered: `require_passkey` looks again.

    Raises:
        Unauthenticated: it is not known, or the answer is of another challenge, origin or name, or
            the authenticator's counter went back, as that of a copy does.
    """
    challenge = _take_challenge(database, challenge_id)
    if challenge is None or challenge.person_id is not None:
        raise Unauthenticated("The challenge is over: begin again.")
    with database.transaction(PLATFORM) as session:
        credential_id = _bytes(credential.get("id"))
        passkey = None
        if credential_id is not None:
            passkey = repository.lock_passkey(session, credential_id)
        if passkey is None:
            raise _refused("the passkey is not known")
        try:
            verified = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=challenge.challenge,
                expected_rp_id=party.id,
                expected_origin=party.origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except _BROKEN as error:
            raise _refused(str(error)) from error
        handle = credential.get("response", {}).get("userHandle")
        if handle is not None and _bytes(handle) != passkey.person_id.bytes:
            raise _refused("the passkey is another person's")
        repository.note_passkey_use(session, passkey.credential_id, verified.new_sign_count)
        person = people.find_person(session, passkey.person_id)
    if person is None:
        raise _refused("the person is gone")
    return PasskeyProof(person, passkey.credential_id)


def require_passkey(session: Session, proof: PasskeyProof) -> None:
    """Require that a passkey is still registered, and stays so until the transaction ends.

    Raises:
        Unauthenticated: it was removed meanwhile.
    """
    people.find_person(session, proof.person.id, lock=True)
    passkey = repository.lock_passkey(session, proof.credential_id)
    if passkey is None or passkey.person_id != proof.person.id:
        raise _refused("the passkey was removed meanwhile")


def _take_challenge(database: Database, challenge_id: UUID) -> StoredChallenge | None:
    # In a transaction of its own: a challenge is used up by an answer that is refused as well.
    with database.transaction(PLATFORM) as session:
        return repository.take_challenge(session, challenge_id)


def _bytes(text: object) -> bytes | None:
    try:
        return base64url_to_bytes(str(text)) if isinstance(text, str) else None
    except (ValueError, UnicodeError):
        return None


def _refused(reason: str) -> Unauthenticated:
    log.warning("passkey.refused", reason=reason)
    return Unauthenticated("The passkey is not valid here.")
