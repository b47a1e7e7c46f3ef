"""Who makes a request at the edge.

A program sends a token, which goes on as it is. Sessions of browsers and API keys are known to the
rooms of identity: they give a gate of their own, whose admission brings a short-lived token for the
service that is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.gateway.routing.request_check import MAX_TOKEN_BYTES
from shared.auth import Principal
from shared.errors import Unauthenticated
from shared.keys import Keys
from shared.web.authentication import authenticate

_AUTHORIZATION: Final = b"authorization"
_OF_GATEWAY: Final = (b"bearer siq_", b"bearer siqs_")


class EdgeAdmission(Protocol):
    """Who was let in."""

    @property
    def principal(self) -> Principal:
        """The actor, its tenant and its role."""

    def bearer(self, service: str) -> str:
        """The token that a service gets."""


class Gate(Protocol):
    """Lets requests in."""

    async def admit(
        self, method: str, headers: Sequence[tuple[bytes, bytes]], peer: str
    ) -> EdgeAdmission:
        """Find out who makes a request.

        Args:
            method: of the request.
            headers: with names in lower case; those that decide anything stand there once.
            peer: the address of the client, behind the proxies that are trusted.

        Raises:
            Unauthenticated: it has no valid token, session or key.
            Forbidden: it comes from a network, or a page, that its session or key does not allow.
        """


@dataclass(frozen=True, slots=True)
class TokenAdmission:
    """Who sent a token of this installation.

    Attributes:
        principal: of the token.
        token: as it was sent.
    """

    principal: Principal
    token: str

    def bearer(self, service: str) -> str:  # noqa: ARG002  # it is for all services
        """The client's own token."""
        return self.token


class TokenGate:
    """Lets in who sends a token that services accept.

    Args:
        keys: of the process.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def admit(
        self,
        method: str,  # noqa: ARG002  # a token is no cookie: no other site can send it
        headers: Sequence[tuple[bytes, bytes]],
        peer: str,  # noqa: ARG002  # a token is valid from everywhere
    ) -> TokenAdmission:
        """Verify the token of a request.

        Raises:
            Unauthenticated: it is missing or not valid.
        """
        value = next((value for name, value in headers if name == _AUTHORIZATION), b"")
        text = value.decode("latin-1")
        principal = authenticate(self._keys, text)
        return TokenAdmission(principal, text.partition(" ")[2])


def is_of_gateway(authorization: bytes | None) -> bool:
    """Whether the gateway alone knows a credential: an API key, or the secret of a session."""
    return authorization is not None and authorization.lower().startswith(_OF_GATEWAY)


def check_credential_size(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse a credential that is longer than any token, before anything is decoded.

    Raises:
        Unauthenticated: it is.
    """
    for name, value in headers:
        if name == _AUTHORIZATION and len(value) > MAX_TOKEN_BYTES:
            raise Unauthenticated(f"A token has {MAX_TOKEN_BYTES:,} bytes at most.")
