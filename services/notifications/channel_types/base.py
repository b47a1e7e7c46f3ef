"""The protocol that every channel type implements.

A channel type is a stateless class with `name`, `config`, `signs`, `check` and `send`: it sends a
`Notification` to the receiver that a channel's configuration names. To write one, copy `log.py` or
`webhook.py`, add the class to `registry.py` or to an entry point of the group
`sentineliq.channels`, and test it with a class that inherits `ChannelContract`.

What a receiver can do beyond taking messages is said by further protocols, which a class may
implement as well: `RenderingChannel` (its documents are known before they are sent, and their
limits), `ThreadingChannel` (it changes or closes what it was sent before), `FindingChannel` (it can
be asked whether a message has arrived), `RecognisingChannel` (it takes a repeated message for the
same one), `CredentialedChannel` (it needs secrets of the receiver), `CredentialCheckingChannel` (it
tries them before they are stored), `InnerChannel` (its messages stay inside the product).
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Protocol, TypeVar, runtime_checkable
from uuid import UUID

from pydantic import BaseModel

from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

Config = TypeVar("Config", bound=BaseModel)

MAX_MATCHES: Final = 50
"""Matches in a notification; its link leads to the others."""

NotificationKind = Literal["open", "update", "close", "summary", "digest", "reminder"]
"""open: a group, or an event by itself, is new; update: more has matched; close: the opposite has
arrived; summary: what a silence or quiet hours held; digest: what has matched until a due time;
reminder: nobody has acknowledged the group in time."""

Severity = Literal["low", "medium", "high", "critical"]


@dataclass(frozen=True, slots=True)
class Notification:
    """The message to a receiver.

    Attributes:
        id: the delivery's id. It is the same in every attempt, so that receivers recognise repeats.
        source: name of the feed that caused it; empty where it tells of several.
        match_count: number of observables that this notification tells of.
        matches: those with the highest scores, up to `MAX_MATCHES`.
        created_at: when the rule matched.
        url: the address of the delivery with all its matches.
        kind: what it tells.
        group_id: the group, the same in all notifications of it; None for an event by itself.
        total_count: observables of the whole group so far; `match_count` of them are told here.
        severity: the rule's.
        labels: what the group has in common, by field, such as `source.name`.
        reason: why a group is closed, or what held a summary.
        due_at: when a digest was due.
        is_late: whether a digest comes more than a minute after that.
        receipt: what the channel answered to the message that opened the group, for `update` and
            `close`; None if there is none.
        acknowledge_url: a signed address by which the reader acknowledges the group.
        unsubscribe_url: a signed address by which the receiver switches the channel off.
        text: what the rule's template has written, in place of the channel's own words.
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
    kind: NotificationKind = "open"
    group_id: UUID | None = None
    total_count: int = 0
    severity: Severity = "medium"
    labels: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    due_at: datetime | None = None
    is_late: bool = False
    receipt: str | None = None
    acknowledge_url: str | None = None
    unsubscribe_url: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What a receiver takes; None means that it names no limit.

    Attributes:
        bytes: of a document.
        characters: of a document's text.
        matches: most that a message shows one by one.
        per_minute: most messages to one channel in a minute; the dispatcher keeps to it.
    """

    bytes: int | None = None
    characters: int | None = None
    matches: int = MAX_MATCHES
    per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """The documents of a notification, just as they are sent.

    Attributes:
        parts: one document, or several in their order where the limit asks for it.
        media_type: of each.
        shown_count: the matches that they show; the link leads to the others.
    """

    parts: tuple[bytes, ...]
    media_type: str
    shown_count: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receiver answered.

    Attributes:
        status: the receiver's status, if the protocol has one.
        reference: the receiver's name of the message, with which it can be changed later.
        answer: the beginning of what it said, for the ledger.
    """

    status: int | None = None
    reference: str | None = None
    answer: str | None = None


class ChannelGone(UpstreamError):
    """The receiver wants no more notifications; its channel is switched off."""

    code = "channel-gone"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, retryable=False, **details)


class OutcomeUnknown(UpstreamError):
    """The message was sent, and whether it was accepted is not known."""

    code = "outcome-unknown"


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
    ) -> int | Receipt | None:
        """Send a notification once; the caller limits the time and repeats it if necessary.

        Returns:
            The receiver's status, if the protocol has one, or a receipt.

        Raises:
            ChannelGone: the channel must not be used again.
            OutcomeUnknown: it may have been accepted. The errors of the guarded client say so by
                themselves.
            UpstreamError: the receiver did not accept it. `retryable` and `retry_after` tell
                whether and when to repeat it.
        """


@runtime_checkable
class RenderingChannel(Protocol):
    """A channel type whose documents can be seen before they are sent.

    Attributes:
        limits: what the receiver takes.
    """

    limits: ClassVar[MessageLimits]

    def render(self, notification: Notification, config: Any) -> RenderedMessage:
        """Write the documents within the limits: pure, without I/O, the same each time."""


@runtime_checkable
class ThreadingChannel(Protocol):
    """A channel type that changes, answers or closes what it was sent before.

    Without a receipt in the notification it does what `send` does.
    """

    async def update(
        self, notification: Notification, config: Any, secret: str | None, client: GuardedClient
    ) -> int | Receipt | None:
        """Tell that more has matched (`update`, `reminder`); as `send` otherwise."""

    async def close(
        self, notification: Notification, config: Any, secret: str | None, client: GuardedClient
    ) -> int | Receipt | None:
        """Tell that the group is closed; as `send` otherwise."""


@runtime_checkable
class FindingChannel(Protocol):
    """A channel type whose receiver can be asked whether a message has arrived."""

    async def find(
        self, notification: Notification, config: Any, secret: str | None, client: GuardedClient
    ) -> Receipt | None:
        """The receipt of a message that was accepted; None if it was not."""


@runtime_checkable
class RecognisingChannel(Protocol):
    """A channel type whose receiver takes a repeated message for the same one, by its id.

    Attributes:
        recognises_repeats: whether it does.
    """

    recognises_repeats: ClassVar[bool]


@runtime_checkable
class InnerChannel(Protocol):
    """A channel type whose messages stay inside the product, whatever they are marked with.

    Attributes:
        stays_inside: whether they do.
    """

    stays_inside: ClassVar[bool]


@runtime_checkable
class CredentialedChannel(Protocol):
    """A channel type that needs secrets of the receiver, such as a token.

    `send` and its like get them as the JSON text that `credentials` has written. If they have a
    field `url`, it is vetted before they are stored.

    Attributes:
        credentials: model of the secrets.
    """

    credentials: type[BaseModel]


@runtime_checkable
class CredentialCheckingChannel(Protocol):
    """A channel type that can tell whether secrets are of any use before they are stored."""

    async def check_credentials(self, credentials: Any, allow: tuple[Allowance, ...]) -> None:
        """Check secrets, without sending anything.

        Args:
            credentials: the validated secrets.
            allow: what may be reached although it is not public.

        Raises:
            InvalidInput: they can never work; `field` names the part of them.
        """
