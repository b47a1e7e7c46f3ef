"""The verbs of passwords."""

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


def check_password(database: Database, login: str, password: str) -> StoredPerson:
    """Return the person of a login and password; one that does not exist costs the same.

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
    if person is None or not guess.is_right:
        raise Unauthenticated(_WRONG)
    return person


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
    check_password(database, person.login, present)
    with database.transaction(PLATFORM) as session:
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
