"""The protocol of push targets, and what they share.

A target takes objects in the order in which their collection got them. It is sent some of them
twice when a worker dies between sending and noting that: the same id and version is the same
object, and each target takes it for the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from shared.errors import InvalidInput
from shared.http.client import GuardedClient
from shared.http.errors import ForbiddenTarget
from shared.http.guard import Allowance, OutboundPolicy
from shared.http.transport import resolve


class PushedObject(NamedTuple):
    """An object on its way to a target.

    Attributes:
        object_id: its STIX id.
        payload: the object as JSON.
    """

    object_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What a target did with objects.

    Attributes:
        refused: how many it did not take, for reasons that another attempt does not change.
        refusal: why it did not take one of them.
    """

    refused: int = 0
    refusal: str = ""


class PushTarget(Protocol):
    """Sends objects to one kind of system.

    Attributes:
        name: the kind.
        config: the model of what a push says of its target.
        credentials: the model of the secrets that it has for it.
    """

    name: str
    config: type[Any]
    credentials: type[Any]

    def place_of(self, config: Any) -> str:
        """Where its credentials may be used: they do not open for another place."""

    async def check(self, config: Any, allow: tuple[Allowance, ...]) -> None:
        """Refuse a target that may not be reached.

        Raises:
            InvalidInput: it is forbidden, with the reason.
        """

    async def send(
        self, objects: Sequence[PushedObject], config: Any, secrets: Any, client: GuardedClient
    ) -> SendOutcome:
        """Send objects, and wait until the target has them.

        Raises:
            UpstreamError: it has not taken all of them; send them again.
        """


class StrictModel(BaseModel):
    """A model that refuses fields that it does not have."""

    model_config = {"extra": "forbid"}


async def require_reachable(
    host: str, port: int, allow: tuple[Allowance, ...], ports: frozenset[int], field: str
) -> None:
    """Refuse a host that no push may reach; a name that does not resolve yet may pass.

    Args:
        host: a name or an address.
        port: of the host.
        allow: what may be reached although it is not public.
        ports: ports that may be reached on public addresses.
        field: the part of the push that holds it, for the error.

    Raises:
        InvalidInput: the host or port is forbidden, with the reason.
    """
    try:
        OutboundPolicy(allow, ports).vet(host, port, await resolve(host, port))
    except ForbiddenTarget as error:
        raise InvalidInput(f"The target's address is refused: {error}.", field=field) from error
    except (OSError, UnicodeError):
        return
