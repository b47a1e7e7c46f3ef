"""The verbs of signing in."""

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.gateway import NAME
from services.gateway.credentials.guesses import counted_attempt
from services.gateway.credentials.passkeys import person_of_passkey, require_passkey
from services.gateway.credentials.relying_party import RelyingParty
from services.gateway.credentials.second_factor import (
    CODE_MISSING,
    SecondFactorRequired,
    check_code,
    codes_since,
    require_codes,
)
from services.gateway.credentials.service import (
    check_password,
    require_password,
    store_password,
)
from services.gateway.people import repository as people
from services.gateway.people.grants import require_reset
from services.gateway.people.models import StoredInvitation, StoredPerson
from services.gateway.people.service import join, open_invitation
from services.gateway.sessions.service import (
    Device,
    SessionOwner,
    begin_session,
    end_all,
    find_owner,
)
from services.gateway.sign_in.repository import has_signed_in
from services.gateway.sign_in.schemas import (
    LinkAcceptance,
    LinkView,
    PasskeySignIn,
    SignInBody,
)
from shared.auth import Principal
from shared.database import PLATFORM, Database
from shared.errors import Forbidden, InvalidInput, SentinelIQError, Unauthenticated
from shared.kafka.outbox import audit
from shared.keys import Keys
from shared.telemetry.logging import get_logger

log = get_logger(__name__)


def sign_in(
    database: Database, keys: Keys, body: SignInBody, device: Device
) -> tuple[str, SessionOwner]:
    """Begin a session with a login, a password, and a code if the account asks for it.

    Raises:
        Unauthenticated: something is wrong, or the account is frozen.
        SecondFactorRequired: the password is right and the code is missing.
        RateExceeded: there were too many wrong guesses within an hour.
    """
    try:
        with counted_attempt(database, device.address, has_signed_in) as attempt:
            proof = check_password(database, body.login, body.password)
            # The password is right; whoever is asked for a code next has guessed nothing.
            attempt.is_right = body.code is None
            since = codes_since(database, proof.person.id)
            methods = ["password"]
            if since is not None:
                methods.append(_second_factor(database, keys, proof.person, body.code))
            attempt.is_right = True
        with database.transaction(PLATFORM) as session:
            require_password(session, proof)
            require_codes(session, proof.person.id, since)
            return begin_session(session, proof.person, methods, device)
    except SentinelIQError as error:
        log.warning("sign_in.refused", reason=error.message, address=device.address)
        raise


def sign_in_by_passkey(
    database: Database, party: RelyingParty, body: PasskeySignIn, device: Device
) -> tuple[str, SessionOwner]:
    """Begin a session with a passkey, which stands for both factors.

    Raises:
        Unauthenticated: the passkey is not valid here, or the account is frozen.
    """
    try:
        proof = person_of_passkey(database, party, body.challenge_id, body.credential)
        with database.transaction(PLATFORM) as session:
            require_passkey(session, proof)
            return begin_session(session, proof.person, ["passkey"], device)
    except SentinelIQError as error:
        log.warning("sign_in.refused", reason=error.message, address=device.address)
        raise


def view_link(database: Database, secret: str) -> LinkView:
    """Return what a link is for.

    Raises:
        Unauthenticated: it was used or withdrawn, or its time is over.
    """
    with database.transaction(PLATFORM) as session:
        invitation = open_invitation(session, secret)
    return LinkView(
        tenant=invitation.tenant,
        role=invitation.role_name,
        login=invitation.login,
        is_reset=invitation.is_reset,
        created_by=invitation.created_by,
        expires_at=invitation.expires_at,
    )


def accept_link(
    database: Database, body: LinkAcceptance, device: Device
) -> tuple[str, SessionOwner] | None:
    """Create the account that a link invites, and begin a session; or set a new password.

    After a new password the person signs in as usual, with the second factor that the account has.

    Raises:
        Unauthenticated: the link was used or withdrawn, or its time is over.
        InvalidInput: the login is missing, or the password may not be chosen.
        Conflict: another person has the login: whoever that is signs in and joins.
    """
    with database.transaction(PLATFORM) as session:
        invitation = open_invitation(session, body.secret)
        if invitation.is_reset:
            _reset(session, invitation, body.password)
            return None
        person = _create(session, invitation, body)
        join(session, invitation, person)
        return begin_session(session, person, ["password"], device)


def join_tenant(database: Database, session_secret: str, link_secret: str) -> SessionOwner:
    """Let a person who has signed in accept an invitation.

    Raises:
        Unauthenticated: the session has ended, or the link is not valid for this person.
        Forbidden: a provider has begun the session, and vouches for no other tenant.
    """
    with database.transaction(PLATFORM) as session:
        owner = find_owner(session, session_secret)
        if owner.session.provider is not None:
            raise Forbidden(
                "You signed in at an identity provider, which vouches for its own tenant alone. "
                "Open the link in a browser where you have not signed in, and choose a password."
            )
        invitation = open_invitation(session, link_secret)
        if invitation.is_reset:
            raise InvalidInput("This link sets a password: open it without signing in.")
        join(session, invitation, owner.person)
        return find_owner(session, session_secret)


def _second_factor(database: Database, keys: Keys, person: StoredPerson, code: str | None) -> str:
    if code is None:
        raise SecondFactorRequired(CODE_MISSING)
    return check_code(database, keys, person, code)


def _create(session: Session, invitation: StoredInvitation, body: LinkAcceptance) -> StoredPerson:
    login = invitation.login or body.login
    if login is None:
        raise InvalidInput("Choose a login: a mail address, or a name.", field="login")
    person = people.insert_person(session, uuid7(), login, body.name or login)
    store_password(session, person, body.password)
    return person


def _reset(session: Session, invitation: StoredInvitation, password: str) -> None:
    assert invitation.person_id is not None  # noqa: S101  # `is_reset` says so
    person = people.find_person(session, invitation.person_id, lock=True)
    if person is None:
        raise InvalidInput("The account of this link is gone.")
    maker = Principal(invitation.created_by, invitation.tenant, invitation.role)
    try:
        require_reset(maker, people.members_of_person(session, person.id))
    except Forbidden:
        # The person has joined another tenant, or risen, since the link was made.
        raise Unauthenticated("The link is not valid any more: ask for a new one.") from None
    store_password(session, person, password)
    people.accept_invitation(session, invitation.id, person.login)
    audit(session, NAME, invitation.tenant, person.login, "passwords.reset", person.login)
    end_all(session, invitation.tenant, person.id, person.login)
