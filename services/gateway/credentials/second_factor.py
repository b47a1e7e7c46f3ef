"""The verbs of the second factor: one-time codes, and the recovery codes that stand in for them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.gateway import NAME
from services.gateway.credentials import repository
from services.gateway.credentials.guesses import counted_guess
from services.gateway.credentials.models import place_of
from services.gateway.credentials.one_time_codes import (
    accepted_step,
    new_secret,
    provisioning_uri,
)
from services.gateway.credentials.recovery_codes import digest_of_code, new_codes
from services.gateway.credentials.schemas import NewOneTimeCodes
from services.gateway.people import repository as people
from services.gateway.people.models import StoredPerson
from shared.crypto import Sealer
from shared.database import PLATFORM, Database
from shared.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from shared.kafka.outbox import audit
from shared.keys import IDENTITY_SECRETS, Keys, keys_of
from shared.sealed_rows import reseal_rows
from shared.settings import load_settings

CODE_MISSING: Final = "Send the code of your authenticator, or a recovery code."


class SecondFactorRequired(Unauthenticated):
    """The password is right, and the account asks for a code as well."""

    code = "second-factor-required"


def reseal_secrets(database: Database) -> int:
    """Seal secrets of codes under the present key, if a former one has sealed them; how many."""
    sealer = Sealer(keys_of(load_settings()), IDENTITY_SECRETS)
    return reseal_rows(database, sealer, repository.ONE_TIME_SECRET)


def begin_codes(
    database: Database, keys: Keys, tenant: str, person: StoredPerson
) -> NewOneTimeCodes:
    """Make the secret of a person's codes; it counts when a code of it was confirmed.

    Raises:
        Conflict: the person has codes already.
    """
    secret = new_secret()
    sealed = Sealer(keys, IDENTITY_SECRETS).seal(secret, place_of(person.id))
    with database.transaction(PLATFORM) as session:
        people.find_person(session, person.id, lock=True)
        present = repository.lock_one_time_secret(session, person.id)
        if present is not None and present.confirmed_at is not None:
            raise Conflict("You have one-time codes already: remove them first.")
        repository.put_one_time_secret(session, person.id, sealed)
        audit(session, NAME, tenant, person.login, "one_time_codes.begin", person.login)
    return NewOneTimeCodes(secret=secret, uri=provisioning_uri(secret, person.login))


def confirm_codes(
    database: Database, keys: Keys, tenant: str, person: StoredPerson, code: str
) -> list[str]:
    """Let one-time codes count from now on; return new recovery codes, which are shown once.

    Raises:
        InvalidInput: the code is wrong.
        RateExceeded: there were too many wrong guesses within an hour.
    """
    if not _is_code(database, keys, person.id, code):
        raise InvalidInput(
            "The code is wrong, or was used before: take the next one.", field="code"
        )
    codes = new_codes()
    with database.transaction(PLATFORM) as session:
        repository.replace_recovery_codes(session, person.id, map(digest_of_code, codes))
        audit(session, NAME, tenant, person.login, "one_time_codes.confirm", person.login)
    return codes


def remove_codes(
    database: Database, keys: Keys, tenant: str, person: StoredPerson, code: str
) -> None:
    """End a person's one-time codes and recovery codes.

    Raises:
        NotFound: the person has none.
        Unauthenticated: the code is wrong.
    """
    since = codes_since(database, person.id)
    if since is None:
        raise NotFound("You have no one-time codes.")
    check_code(database, keys, person, code)
    with database.transaction(PLATFORM) as session:
        people.find_person(session, person.id, lock=True)
        require_codes(session, person.id, since)
        repository.delete_one_time_secret(session, person.id)
        audit(session, NAME, tenant, person.login, "one_time_codes.remove", person.login)


def codes_since(database: Database, person_id: UUID) -> datetime | None:
    """Since when a person's sign-in asks for a one-time code; None if it does not."""
    with database.transaction(PLATFORM) as session:
        stored = repository.lock_one_time_secret(session, person_id)
    return None if stored is None else stored.confirmed_at


def require_codes(session: Session, person_id: UUID, since: datetime | None) -> None:
    """Require that a person's sign-in still asks for the codes of which one was checked, or none.

    Args:
        session: of the platform; the codes stay as they are until its transaction ends.
        person_id: whose codes they are.
        since: since when they counted as one was checked; None if none was asked for.

    Raises:
        SecondFactorRequired: codes count by now, and none was checked.
        Unauthenticated: the codes were removed meanwhile, or are others.
    """
    stored = repository.lock_one_time_secret(session, person_id)
    present = None if stored is None else stored.confirmed_at
    if present == since:
        return
    if since is None:
        raise SecondFactorRequired(CODE_MISSING)
    raise Unauthenticated("Your one-time codes have changed meanwhile: sign in again.")


def check_code(database: Database, keys: Keys, person: StoredPerson, code: str) -> str:
    """Use up a one-time code or a recovery code; return which of both it was.

    Raises:
        Unauthenticated: it is neither, or was used before.
        RateExceeded: there were too many wrong guesses within an hour.
    """
    if code.isdecimal():
        if _is_code(database, keys, person.id, code):
            return "code"
        raise Unauthenticated("The code is wrong, or was used before: take the next one.")
    with (
        counted_guess(database, "code", str(person.id)) as guess,
        database.transaction(PLATFORM) as session,
    ):
        digest = digest_of_code(code)
        guess.is_right = repository.use_recovery_code(session, person.id, digest)
    if not guess.is_right:
        raise Unauthenticated("The recovery code is wrong, or was used before.")
    return "recovery-code"


def _is_code(database: Database, keys: Keys, person_id: UUID, code: str) -> bool:
    with (
        counted_guess(database, "code", str(person_id)) as guess,
        database.transaction(PLATFORM) as session,
    ):
        stored = repository.lock_one_time_secret(session, person_id)
        if stored is None:
            return False
        secret = Sealer(keys, IDENTITY_SECRETS).open(stored.secret, place_of(person_id))
        step = accepted_step(secret, code, repository.now(session), stored.last_step)
        if step is not None:
            repository.accept_step(session, person_id, step)
            guess.is_right = True
    return guess.is_right
