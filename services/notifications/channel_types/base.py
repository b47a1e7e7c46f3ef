"""The protocol that every channel type implements.

A channel type is a stateless class with `name`, `config`, `signs`, `check` and `send`: it sends a
`Notification` to the receiver that a channel's configuration names. To write one, copy `log.py` or
`webhook.py`, add the class to `registry.py` or to an entry point of the group
`sentineliq.channels`, and test it with a class that inherits `ChannelContract`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

Config = TypeVar("Config", bound=BaseModel)

MAX_MATCHES: Final = 50
"""Matches in a notification; its link leads to the others."""


@dataclass(frozen=True, slots=True)
class Notification:
    """The message to a receiver.

    Attributes:
        id: the delivery's id. It is the same in every attempt, so that receivers recognise repeats.
        source: name of the feed that caused it.
        match_count: number of observables that matched.
        matches: those with the highest scores, up to `MAX_MATCHES`.
        created_at: when the rule matched.
        url: the address of the delivery with all its matches.
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


class ChannelGone(UpstreamError):
    """The receiver wants no more notifications; its channel is switched off."""

    code = "channel-gone"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, retryable=False, **details)


class ChannelType(Protocol[Config]):
    """One channel type. Stateless: one instance serves all channels, also in parallel.

    Attributes:
        name: its name in channels and in the API.
        config: model of a channel's configuration, which holds no secrets.
        signs: whether each channel has a signing secret.
    """

    name: ClassVar[str]
    config: type[Config]
    signs: ClassVar[bool]

    async def check(self, config: Config, allow: tuple[Allowance, ...]) -> None:
        """Check a configuration before it is stored.

        Args:
            config: the validated configuration.
            allow: what may be reached although it is not public.

        Raises:
            InvalidInput: the configuration can never work; `field` names the part of it.
        """

    async def send(
        self, notification: Notification, config: Config, secret: str | None, client: GuardedClient
    ) -> int | None:
        """Send a notification once; the caller limits the time and repeats it if necessary.

        Returns:
            The receiver's status, if the protocol has one.

        Raises:
            ChannelGone: the channel must not be used again.
            UpstreamError: the receiver did not accept it. `retryable` and `retry_after` tell
                whether and when to repeat it.
        """
