"""Observables in short, and their STIX ids."""

from uuid import UUID

import msgspec

from services.observables.scoring.score import Verdict
from shared.errors import InvalidInput


class Reference(msgspec.Struct):
    """An observable in short, where another one is asked for."""

    id: str
    type: str
    value: str
    score: int
    verdict: Verdict


def uuid_of(identity: str) -> str:
    """The UUID of a STIX id.

    Raises:
        InvalidInput: the text is no STIX id.
    """
    try:
        return str(UUID(identity.partition("--")[2]))
    except ValueError:
        raise InvalidInput(f"{identity!r} is no STIX id of an observable.", field="id") from None
