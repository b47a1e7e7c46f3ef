"""The verbs of passwords."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.orm import Session

from services.gateway import NAME
from services.gateway.credentials import repository
from services.gateway.credentials.guesses import counted_guess
from services.gateway.credentials.passwords import check_policy, hash_password, is_password
from services.gateway.people import repository as people
from services.gateway.people.models import StoredPerson
from services.gateway.sessions.repository import end_sessions
from shared.database import PLATFORM, Database
from shared.errors import Unauthenticated
from shared.kafka.outbox import audit

_WRONG = "The login or the password is wrong."


@dataclass(frozen=True, slots=True)
class PasswordProof:
    """That somebody knew a person's password a moment ago.

    Attributes:
        person: whose password it was.
        stored_hash: what was stored of it then.
    """

    person: StoredPerson
    stored_hash: str = field(repr=False)


def check_password(database: Database, login: str, password: str) -> PasswordProof:
    """Check a login and password; a login that does not exist costs the same.

    The proof counts as long as the password stays: `require_password` looks again.

    Raises:
        Unauthenticated: one of both is wrong.
        RateExceeded: there were too many wrong guesses within an hour.
    """
    with counted_guess(database, "password", login) as guess:
        with database.transaction(PLATFORM) as session:
            person = people.find_login(session, login)
            person_id = UUID(int=0) if person is None else person.id
            stored = repository.find_password(session, person_id)
        guess.is_right = is_password(password, stored)
    if person is None or stored is None or not guess.is_right:
        raise Unauthenticated(_WRONG)
    return PasswordProof(person, stored)


def require_password(session: Session, proof: PasswordProof) -> None:
    """Require that a password is still the person's, and stays so until the transaction ends.

    Between the check and the transaction lies the time of a hash and of a second factor, in which
    the owner may have chosen another password and ended all sessions.

    Raises:
        Unauthenticated: the password was changed meanwhile, or the person is gone.
    """
    person = people.find_person(session, proof.person.id, lock=True)
    if person is None or repository.find_password(session, person.id) != proof.stored_hash:
        raise Unauthenticated(_WRONG)


def store_password(session: Session, person: StoredPerson, password: str) -> None:
    """Store a person's password, in a transaction of the platform.

    Raises:
        InvalidInput: it is too short, or easily guessed.
    """
    check_policy(password, person.login)
    repository.put_password(session, person.id, hash_password(password))


def change_password(
    database: Database,
    tenant: str,
    person: StoredPerson,
    session_id: UUID,
    present: str,
    password: str,
) -> None:
    """Change a person's password, who has to know the present one; end the person's other sessions.

    Args:
        database: the gateway's.
        tenant: in whose audit it stands.
        person: the person.
        session_id: the session that goes on.
        present: the password of now.
        password: the new one.

    Raises:
        Unauthenticated: the present one is wrong.
        RateExceeded: there were too many wrong guesses within an hour.
        InvalidInput: the new one is too short, or easily guessed.
    """
    check_policy(password, person.login)
    proof = check_password(database, person.login, present)
    with database.transaction(PLATFORM) as session:
        require_password(session, proof)
        store_password(session, person, password)
        ended = end_sessions(session, person.id, person.login, except_for=session_id)
        count = str(len(ended))
        audit(
            session,
            NAME,
            tenant,
            person.login,
            "passwords.change",
            person.login,
            ended_sessions=count,
        )
