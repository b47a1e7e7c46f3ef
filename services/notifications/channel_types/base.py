"""What a channel is: one way of telling somebody, as a plug-in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Network

Config = TypeVar("Config", bound=BaseModel)

SHOWN_MATCHES = 50
"""Matches a notification carries at most; the others are behind its link."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What is to be told.

    Attributes:
        id: the delivery's id, the same for every attempt: receivers recognise repetitions by it.
        source: name of the feed that caused it.
        match_count: how many observables matched.
        matches: the highest scored of them, up to `SHOWN_MATCHES`.
        created_at: when the rule matched.
        url: where the delivery with all its matches can be read.
    """

    id: UUID
    tenant: str
    rule_id: UUID
    rule: str
    source: str
    match_count: int
    matches: list[dict[str, Any]]
    created_at: datetime
    url: str


class Gone(UpstreamError):
    """The receiver says that it is gone for good: its channel is switched off."""

    code = "channel-gone"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, retryable=False, **details)


class ChannelKind(Protocol[Config]):
    """One kind of channel: stateless, safe to share.

    Attributes:
        name: how channels refer to it.
        config: model of a channel's configuration; holds no secrets.
        signs: whether each channel has a signing secret.
    """

    name: ClassVar[str]
    config: type[Config]
    signs: ClassVar[bool]

    async def check(self, config: Config, allow: tuple[Network, ...]) -> None:
        """Look at a configuration before it is kept.

        Args:
            config: the validated configuration.
            allow: networks that may be reached although they are private.

        Raises:
            InvalidInput: it can never work here; names the field.
        """

    async def send(
        self, notification: Notification, config: Config, secret: str | None, client: GuardedClient
    ) -> int | None:
        """Tell it once; the caller limits the time and decides about other attempts.

        Returns:
            The receiver's status, where there is such a thing.

        Raises:
            Gone: never try this channel again.
            UpstreamError: it was not taken; `retryable` and `retry_after` say whether and when to try again.
        """
