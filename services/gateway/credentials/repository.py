"""SQL of credentials, in transactions of the platform."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.gateway.credentials.models import (
    GUESS,
    ONE_TIME_CODE,
    PASSKEY,
    PASSKEY_CHALLENGE,
    PASSWORD,
    RECOVERY_CODE,
    StoredChallenge,
    StoredOneTimeCode,
    StoredPasskey,
    place_of,
)
from shared.sealed_rows import SealedColumn
from shared.tenants import PLATFORM

_LOCK_SUBJECT: Final = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended('gateway.guess ' || encode(:subject, 'hex'), 0))"
)
_NOW: Final = sa.func.clock_timestamp()
"""The present moment: `now()` is that of the transaction's begin, which waits for the lock."""
_HOUR: Final = sa.text("interval '1 hour'")
_PASSKEY: Final = (
    PASSKEY.c.credential_id,
    PASSKEY.c.person_id,
    PASSKEY.c.name,
    PASSKEY.c.public_key,
    PASSKEY.c.sign_count,
    PASSKEY.c.is_backed_up,
    PASSKEY.c.created_at,
    PASSKEY.c.used_at,
)

ONE_TIME_SECRET: Final = SealedColumn(
    ONE_TIME_CODE, "secret", ("person_id",), lambda row: (place_of(row.person_id),)
)
"""The sealed secrets of one-time codes."""


def now(session: Session) -> float:
    """The database's time, in seconds since 1970."""
    return float(session.scalar(sa.select(sa.func.extract("epoch", _NOW))) or 0)


def find_password(session: Session, person_id: UUID) -> str | None:
    """The hash of a person's password."""
    query = sa.select(PASSWORD.c.hash).where(PASSWORD.c.person_id == person_id)
    return session.scalar(query)


def put_password(session: Session, person_id: UUID, password_hash: str) -> None:
    """Store the hash of a person's password, in the place of the one before."""
    statement = insert(PASSWORD).values(person_id=person_id, tenant=PLATFORM, hash=password_hash)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["person_id"],
            set_={"hash": statement.excluded.hash, "changed_at": sa.func.now()},
        )
    )


def add_guess(
    session: Session, subject: bytes, most: int, *, is_exact: bool = True
) -> tuple[int | None, float]:
    """Count a guess unless there are too many within an hour.

    Args:
        session: of the platform.
        subject: digest of what the guess counts for.
        most: guesses within an hour.
        is_exact: guesses at one subject are counted one after the other; no other subject waits
            for them. Otherwise none waits, and those of the same moment may go beyond `most`.

    Returns:
        The id of the guess, or None and the seconds until another one may be made.
    """
    if is_exact:
        session.execute(_LOCK_SUBJECT, {"subject": subject})
    recent = (GUESS.c.subject == subject, GUESS.c.guessed_at > _NOW - _HOUR)
    wait = sa.func.extract("epoch", sa.func.min(GUESS.c.guessed_at) + _HOUR - _NOW)
    count, seconds = session.execute(sa.select(sa.func.count(), wait).where(*recent)).one()
    if count >= most:
        return None, max(float(seconds), 1.0)
    statement = sa.insert(GUESS).values(tenant=PLATFORM, subject=subject, guessed_at=_NOW)
    return session.execute(statement.returning(GUESS.c.id)).scalar_one(), 0.0


def delete_guesses(session: Session, guess_ids: Iterable[int]) -> None:
    """Count guesses no longer: they were right."""
    session.execute(sa.delete(GUESS).where(GUESS.c.id.in_(list(guess_ids))))


def put_one_time_secret(session: Session, person_id: UUID, sealed: bytes) -> None:
    """Store the secret of codes that a person has not confirmed yet."""
    statement = insert(ONE_TIME_CODE).values(person_id=person_id, tenant=PLATFORM, secret=sealed)
    values = {
        "secret": statement.excluded.secret,
        "created_at": sa.func.now(),
        "confirmed_at": None,
        "last_step": 0,
    }
    session.execute(statement.on_conflict_do_update(index_elements=["person_id"], set_=values))


def lock_one_time_secret(session: Session, person_id: UUID) -> StoredOneTimeCode | None:
    """The secret of a person's codes, locked: of two equal codes at a time the second is late."""
    columns = ONE_TIME_CODE.c
    query = sa.select(
        columns.person_id, columns.secret, columns.confirmed_at, columns.last_step
    ).where(columns.person_id == person_id)
    row = session.execute(query.with_for_update()).one_or_none()
    return None if row is None else StoredOneTimeCode(*row)


def accept_step(session: Session, person_id: UUID, step: int) -> None:
    """Note the time step of an accepted code, which also confirms the secret."""
    columns = ONE_TIME_CODE.c
    confirmed_at = sa.func.coalesce(columns.confirmed_at, sa.func.now())
    statement = sa.update(ONE_TIME_CODE).where(columns.person_id == person_id)
    session.execute(statement.values(last_step=step, confirmed_at=confirmed_at))


def delete_one_time_secret(session: Session, person_id: UUID) -> None:
    """Delete the secret of a person's codes, and the recovery codes that stand in for it."""
    session.execute(sa.delete(ONE_TIME_CODE).where(ONE_TIME_CODE.c.person_id == person_id))
    session.execute(sa.delete(RECOVERY_CODE).where(RECOVERY_CODE.c.person_id == person_id))


def replace_recovery_codes(session: Session, person_id: UUID, digests: Iterable[bytes]) -> None:
    """Store recovery codes in the place of those before."""
    session.execute(sa.delete(RECOVERY_CODE).where(RECOVERY_CODE.c.person_id == person_id))
    rows = [{"person_id": person_id, "digest": digest, "tenant": PLATFORM} for digest in digests]
    session.execute(sa.insert(RECOVERY_CODE), rows)


def use_recovery_code(session: Session, person_id: UUID, digest: bytes) -> bool:
    """Use up a recovery code; return whether there was one."""
    columns = RECOVERY_CODE.c
    statement = (
        sa.update(RECOVERY_CODE)
        .where(columns.person_id == person_id, columns.digest == digest)
        .where(columns.used_at.is_(None))
        .values(used_at=sa.func.now())
    )
    return session.execute(statement.returning(columns.digest)).one_or_none() is not None


def count_recovery_codes(session: Session, person_id: UUID) -> int:
    """The recovery codes that a person has left."""
    columns = RECOVERY_CODE.c
    query = sa.select(sa.func.count()).where(
        columns.person_id == person_id, columns.used_at.is_(None)
    )
    return session.scalar(query) or 0


def insert_challenge(
    session: Session, challenge_id: UUID, person_id: UUID | None, challenge: bytes
) -> None:
    """Store a challenge, which is valid for five minutes."""
    expires_at = sa.func.now() + sa.text("interval '5 minutes'")
    statement = sa.insert(PASSKEY_CHALLENGE).values(
        id=challenge_id,
        tenant=PLATFORM,
        person_id=person_id,
        challenge=challenge,
        expires_at=expires_at,
    )
    session.execute(statement)


def take_challenge(session: Session, challenge_id: UUID) -> StoredChallenge | None:
    """A challenge that is still valid; it is gone after that, whatever becomes of the answer."""
    columns = PASSKEY_CHALLENGE.c
    statement = (
        sa.delete(PASSKEY_CHALLENGE)
        .where(columns.id == challenge_id, columns.expires_at > sa.func.now())
        .returning(columns.id, columns.person_id, columns.challenge)
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else StoredChallenge(*row)


def insert_passkey(session: Session, **values: Any) -> StoredPasskey | None:
    """Store a passkey; None if it is registered already, by whomever."""
    statement = insert(PASSKEY).values(tenant=PLATFORM, **values).on_conflict_do_nothing()
    row = session.execute(statement.returning(*_PASSKEY)).one_or_none()
    return None if row is None else StoredPasskey(*row)


def list_passkeys(session: Session, person_id: UUID) -> list[StoredPasskey]:
    """The passkeys of a person, oldest first."""
    query = sa.select(*_PASSKEY).where(PASSKEY.c.person_id == person_id)
    return [StoredPasskey(*row) for row in session.execute(query.order_by(PASSKEY.c.created_at))]


def lock_passkey(session: Session, credential_id: bytes) -> StoredPasskey | None:
    """A passkey, locked until the transaction ends."""
    query = sa.select(*_PASSKEY).where(PASSKEY.c.credential_id == credential_id)
    row = session.execute(query.with_for_update()).one_or_none()
    return None if row is None else StoredPasskey(*row)


def note_passkey_use(session: Session, credential_id: bytes, sign_count: int) -> None:
    """Note that a passkey was used, and its counter."""
    statement = sa.update(PASSKEY).where(PASSKEY.c.credential_id == credential_id)
    session.execute(statement.values(sign_count=sign_count, used_at=sa.func.now()))


def delete_passkey(session: Session, person_id: UUID, credential_id: bytes) -> bool:
    """Delete a passkey of a person; return whether there was one."""
    place = (PASSKEY.c.person_id == person_id, PASSKEY.c.credential_id == credential_id)
    statement = sa.delete(PASSKEY).where(*place).returning(PASSKEY.c.person_id)
    return session.execute(statement).one_or_none() is not None
