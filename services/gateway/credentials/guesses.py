"""How often anybody may guess, counted in PostgreSQL: by account, by address, and by all strangers.

The bound of an account ends guessing at it; that of an address, and that of strangers, end the
trying of few passwords at many accounts, of which each account sees little.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy.orm import Session

from services.gateway.credentials import repository
from shared.database import PLATFORM, Database
from shared.errors import RateExceeded
from shared.telemetry.logging import get_logger
from shared.web.connections import peer_name

log = get_logger(__name__)

MAX_GUESSES: Final = 10
"""Wrong guesses at one account within an hour, from all addresses together."""
MAX_OF_ADDRESS: Final = 100
"""Wrong sign-ins from one address, or one IPv6 network of 64 bits, within an hour: an office has
one address for all its people."""
MAX_OF_STRANGERS: Final = 1_000
"""Wrong sign-ins within an hour from all addresses together. Beyond it only addresses go on from
which somebody has signed in before: whoever guesses from many addresses locks no office out."""
_ALL: Final = sha256(b"all addresses").digest()


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
            repository.delete_guesses(session, [guess_id])


@contextmanager
def counted_attempt(
    database: Database, address: str, is_familiar: Callable[[Session, str], bool]
) -> Iterator[Guess]:
    """Count a sign-in at its address before it is looked at; the block says whether it is right.

    Args:
        database: the gateway's.
        address: of the client.
        is_familiar: whether somebody has signed in before from an address or IPv6 network; it is
            asked when strangers have used up what they have together.

    Raises:
        RateExceeded: there were too many wrong ones within an hour.
    """
    peer = peer_name(address)
    with database.transaction(PLATFORM) as session:
        guess_ids = _add_attempt(session, peer, is_familiar)
    attempt = Guess()
    try:
        yield attempt
    finally:
        if attempt.is_right:
            with database.transaction(PLATFORM) as session:
                repository.delete_guesses(session, guess_ids)


def _add_attempt(
    session: Session, peer: str, is_familiar: Callable[[Session, str], bool]
) -> list[int]:
    """Count an attempt for its address and for all; a refusal leaves nothing counted."""
    subject = sha256(f"address {peer}".encode()).digest()
    own_id, seconds = repository.add_guess(session, subject, MAX_OF_ADDRESS)
    if own_id is None:
        raise _too_many("address", "Too many wrong sign-ins came from this address.", seconds)
    # Not exact: all who sign in would wait for each other.
    shared_id, seconds = repository.add_guess(session, _ALL, MAX_OF_STRANGERS, is_exact=False)
    if shared_id is not None:
        return [own_id, shared_id]
    if not is_familiar(session, peer):
        reason = "Too many wrong sign-ins came from addresses where nobody has signed in before."
        raise _too_many("strangers", reason, seconds)
    return [own_id]


def _too_many(bound: str, reason: str, seconds: float) -> RateExceeded:
    log.warning("sign_in.limited", bound=bound)
    error = RateExceeded(f"{reason} Wait, or use a passkey.")
    error.retry_after = seconds
    return error
