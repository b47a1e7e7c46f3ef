"""The messages between a worker and its processes of Apprise: JSON behind its length."""

import struct
from typing import Final

import msgspec

LENGTH: Final = struct.Struct(">I")
"""The bytes of what follows."""


class AppriseOrder(msgspec.Struct, frozen=True):
    """What is to be done.

    Attributes:
        address: of Apprise, with its secrets.
        body: the message; None only tries whether Apprise can read the address.
        allow: what may be reached although it is not public, as `OutboundGrant.parse` reads it.
        seconds: after which the process that sends ends.
    """

    address: str
    body: str | None
    allow: tuple[str, ...]
    seconds: int


class HttpAnswer(msgspec.Struct, frozen=True):
    """What a server answered.

    Attributes:
        origin: scheme, host and port that were asked.
        status: of the answer.
        retry_after: the header, as it was sent.
        body: the beginning of it.
    """

    origin: str
    status: int
    retry_after: str
    body: bytes


class AppriseAnswer(msgspec.Struct, frozen=True):
    """What became of an order.

    Attributes:
        status: name of Apprise's own status; INVALID if it cannot read the address.
        log: what Apprise says about it.
        answers: of the servers, in their order.
        refusal: why an address may not be reached.
        may_have_arrived: a request was sent, and its answer did not come.
    """

    status: str
    log: str = ""
    answers: tuple[HttpAnswer, ...] = ()
    refusal: str | None = None
    may_have_arrived: bool = False
