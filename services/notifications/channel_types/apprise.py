"""The Apprise channel: services that we have no channel of our own for, by the library Apprise.

Source: https://github.com/caronc/apprise, 2.3. Which services is a list, because others read files
or talk to this machine; Apprise runs in a process of its own (`apprise_child`).
"""

import json
import re
from dataclasses import replace
from typing import Annotated, ClassVar, Final
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.apprise_orders import AppriseAnswer, AppriseOrder
from services.notifications.channel_types.apprise_process import do_order
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    OutcomeUnknown,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.markup import Markup, compose
from shared.errors import InvalidInput, UpstreamError
from shared.http.client import GuardedClient
from shared.http.errors import ForbiddenTarget
from shared.http.guard import Allowance, OutboundGrant, Target
from shared.http.response import Headers, Response

MAX_CHARACTERS: Final = 4000
"""Of a message, also where the service takes more."""
MAX_BYTES: Final = 7000
"""Of its text in JSON: ntfy makes a file of what is larger."""
SERVICES: Final[dict[str, int]] = {
    **dict.fromkeys(("apprise", "apprises"), MAX_CHARACTERS),
    **dict.fromkeys(("bark", "barks"), MAX_CHARACTERS),
    "dingtalk": MAX_CHARACTERS,
    "feishu": MAX_CHARACTERS,
    "flock": MAX_CHARACTERS,
    "gchat": MAX_CHARACTERS,
    **dict.fromkeys(("gotify", "gotifys"), MAX_CHARACTERS),
    **dict.fromkeys(("hassio", "hassios"), MAX_CHARACTERS),
    "join": 1000,
    "lark": MAX_CHARACTERS,
    "line": MAX_CHARACTERS,
    **dict.fromkeys(("matrix", "matrixs"), MAX_CHARACTERS),
    **dict.fromkeys(("nctalk", "nctalks"), MAX_CHARACTERS),
    **dict.fromkeys(("ntfy", "ntfys"), MAX_CHARACTERS),
    "pbul": MAX_CHARACTERS,
    "pover": 1024,
    "prowl": MAX_CHARACTERS,
    "psafer": MAX_CHARACTERS,
    "pushdeer": MAX_CHARACTERS,
    "push": 1000,
    **dict.fromkeys(("rocket", "rockets"), 1000),
    "schan": MAX_CHARACTERS,
    "signl4": MAX_CHARACTERS,
    **dict.fromkeys(("signal", "signals"), MAX_CHARACTERS),
    "spike": MAX_CHARACTERS,
    **dict.fromkeys(("synology", "synologys"), MAX_CHARACTERS),
    "wecombot": 2048,
    "zulip": MAX_CHARACTERS,
}
"""The schemes that may be used, and the characters that each service takes."""
SEND_SECONDS: Final = 8
"""For Apprise to send a message."""
SECONDS: Final = 10.0
"""For a process to start, too; an attempt has more, and so knows how the message ended."""
_ADDRESS: Final = re.compile(r"^[a-z0-9]+://[\x21-\x7e]+$")
_OWN_OPTIONS: Final = frozenset({"verify", "redirect", "retry", "wait", "cto", "rto", "overflow"})
_ZERO_WIDTH_SPACE: Final = "\u200b"


def _refuse_bad_address(address: str) -> str:
    if not _ADDRESS.match(address):
        raise ValueError("give one address of Apprise, such as ntfys://ntfy.example.com/topic")
    scheme = address.partition(":")[0]
    if scheme not in SERVICES:
        raise ValueError(f"{scheme} is not among the services: {', '.join(SERVICES)}")
    query = parse_qsl(address.partition("?")[2], keep_blank_values=True)
    refused = sorted(_OWN_OPTIONS & {name.lower().lstrip("+-: ") for name, _ in query})
    if refused:
        raise ValueError(f"it sets {', '.join(refused)}, which is not left to addresses")
    return address


class AppriseConfig(BaseModel):
    """Nothing: the address holds everything."""

    model_config = ConfigDict(extra="forbid")


class AppriseCredentials(BaseModel):
    """The address of Apprise, with the tokens in it."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[str, AfterValidator(_refuse_bad_address)] = Field(
        min_length=1, max_length=1000, title="Such as ntfys://ntfy.example.com/topic"
    )


def _broken_mention(text: str) -> str:
    """A text that calls nobody where `<` begins a mention."""
    return text.replace("<", f"<{_ZERO_WIDTH_SPACE}")


_MARKUP: Final = Markup(escape=_broken_mention)


class AppriseChannel:
    """Sends plain text to one of the services of Apprise that are on the list."""

    name: ClassVar[str] = "apprise"
    config: type[AppriseConfig] = AppriseConfig
    credentials: type[AppriseCredentials] = AppriseCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(
        bytes=MAX_BYTES, characters=MAX_CHARACTERS, per_minute=60
    )

    async def check(self, config: AppriseConfig, allow: tuple[Allowance, ...]) -> None:
        """Accept it: there is nothing to check."""

    async def check_credentials(
        self, credentials: AppriseCredentials, allow: tuple[Allowance, ...]
    ) -> None:
        """Refuse an address that Apprise cannot read.

        Raises:
            InvalidInput: with the reason.
        """
        order = AppriseOrder(credentials.address, None, _texts(allow), SEND_SECONDS)
        if (await do_order(order, SECONDS)).status == "INVALID":
            raise _unreadable()

    def render(
        self,
        notification: Notification,
        config: AppriseConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The text for a service that takes `MAX_CHARACTERS`; others show fewer matches."""
        text, shown = _text(notification, MAX_CHARACTERS)
        return RenderedMessage((text.encode(),), "text/plain", shown)

    async def send(
        self,
        notification: Notification,
        config: AppriseConfig,  # noqa: ARG002  # part of the protocol
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Send the message once.

        Raises:
            ChannelGone: the service answered 410.
            OutcomeUnknown: the service may have accepted it.
            UpstreamError: it did not.
        """
        address = exchange.credentials_of(AppriseCredentials, secret).address
        scheme = address.partition(":")[0]
        text, _ = _text(notification, SERVICES[scheme])
        order = AppriseOrder(address, text, _texts(client.allow), SEND_SECONDS)
        return _receipt(await do_order(order, SECONDS), scheme)


def _text(notification: Notification, most: int) -> tuple[str, int]:
    """The text with as many matches as fit; where names alone are too long, without these."""

    def write(count: int) -> str:
        return compose(notification, count, _MARKUP)

    def is_small(text: str) -> bool:
        return wording.utf16_length(text) <= most and len(json.dumps(text)) <= MAX_BYTES

    text, shown = wording.fit(notification, write, is_small)
    if is_small(text):
        return text, shown
    return compose(replace(notification, labels={}, source="", text=None), 0, _MARKUP), 0


def _receipt(answer: AppriseAnswer, scheme: str) -> Receipt:
    """What Apprise and the servers said, as a receipt or an error."""
    if answer.status == "INVALID":
        raise _unreadable()
    if answer.refusal is not None:
        raise ForbiddenTarget(answer.refusal)
    last = answer.answers[-1] if answer.answers else None
    if answer.status == "SUCCESS":
        return Receipt(last.status if last else None, None, answer.log)
    refused = last is not None and not 200 <= last.status < 300
    if last is not None and refused and len(answer.answers) == 1 and not answer.may_have_arrived:
        headers = Headers([(b"retry-after", last.retry_after.encode("latin-1", "replace"))])
        target = Target.parse(last.origin)
        exchange.raise_unless_accepted(Response(last.status, headers, target, last.body))
    message = f"Apprise could not send to {scheme}."
    # Of several requests some may have had their effect; so may one without an answer.
    if answer.may_have_arrived or len(answer.answers) > 1 or answer.status == "TIMEOUT":
        raise OutcomeUnknown(message, answer=answer.log)
    raise UpstreamError(message, answer=answer.log)


def _unreadable() -> InvalidInput:
    return InvalidInput(
        "Apprise cannot read this address: something is missing in it.", field="credentials.address"
    )


def _texts(allow: tuple[Allowance, ...]) -> tuple[str, ...]:
    """Allowances as `OutboundGrant.parse` reads them."""
    return tuple(each.text() if isinstance(each, OutboundGrant) else str(each) for each in allow)
