"""How often anybody may guess: counted in PostgreSQL, by what is guessed and not by who guesses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from services.gateway.credentials import repository
from shared.database import PLATFORM, Database
from shared.errors import RateExceeded
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

MAX_GUESSES: Final = 10
"""Wrong guesses at one account within an hour, from all addresses together."""


@dataclass(slots=True)
class Guess:
    """A guess that is counted, unless it turns out to be right.

    Attributes:
        is_right: set it when it is.
    """

    is_right: bool = False


@contextmanager
def counted_guess(database: Database, kind: str, subject: str) -> Iterator[Guess]:
    """Count a guess before it is looked at; the block says whether it is right.

    A process that is killed in between leaves it counted.

    Args:
        database: the gateway's.
        kind: what is guessed: a password, or a code.
        subject: of which account. An account that does not exist counts like any other.

    Raises:
        RateExceeded: there were too many within an hour.
    """
    digest = sha256(f"{kind} {subject}".encode()).digest()
    with database.transaction(PLATFORM) as session:
        guess_id, seconds = repository.add_guess(session, digest, MAX_GUESSES)
    if guess_id is None:
        log.warning("guess.refused", kind=kind)
        error = RateExceeded(
            "Too many wrong guesses for this account; wait, use a passkey, or ask an admin for a "
            "link that resets the password."
        )
        error.retry_after = seconds
        raise error
    guess = Guess()
    yield guess
    if guess.is_right:
        with database.transaction(PLATFORM) as session:
            repository.delete_guess(session, guess_id)
