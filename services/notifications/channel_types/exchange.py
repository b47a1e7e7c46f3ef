"""One request of a channel to a vendor's HTTP interface, and what its answer means."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from services.notifications.channel_types.base import ChannelGone, OutcomeUnknown, Receipt
from shared.errors import InvalidInput, UpstreamError
from shared.http.client import GuardedClient
from shared.http.errors import ForbiddenTarget, TooLarge, UpstreamStatus
from shared.http.guard import Allowance, OutboundPolicy, Target
from shared.http.limits import Limits
from shared.http.response import Response
from shared.http.transport import resolve

Secrets = TypeVar("Secrets", bound=BaseModel)

MAX_ANSWER: Final = 2000
"""Characters of an answer that a receipt keeps."""
_MAX_BODY: Final = 1 << 20
"""Bytes of an answer: some vendors answer with what they were sent."""
_LIMITS: Final = Limits(total=15.0, max_bytes=_MAX_BODY, max_expanded=_MAX_BODY, redirects=0)
_PERMANENT: Final = frozenset({400, 405, 413, 414, 415, 422})
"""The document itself is refused: another attempt is refused, too."""
_AMBIGUOUS: Final = frozenset({500, 502, 504})
"""A proxy answers so although the server behind it may have accepted the request."""


async def check_target(url: str, allow: tuple[Allowance, ...], field: str) -> None:
    """Refuse an address that no attempt may reach; a name that does not resolve yet may pass.

    Args:
        url: the address.
        allow: what may be reached although it is not public.
        field: the part of the channel that holds it, for the error.

    Raises:
        InvalidInput: the address is forbidden, with the reason.
    """
    try:
        target = Target.parse(url)
        addresses = await resolve(target.host, target.port)
        OutboundPolicy(allow).vet(target.host, target.port, addresses)
    except ForbiddenTarget as error:
        raise InvalidInput(f"The channel's address is refused: {error}.", field=field) from error
    except (OSError, UnicodeError):
        return


def credentials_of(model: type[Secrets], secret: str | None) -> Secrets:
    """A channel's credentials.

    Raises:
        InvalidInput: it has none, or its kind takes others now.
    """
    try:
        return model.model_validate_json(secret or "{}")
    except ValidationError:
        raise InvalidInput(
            "The channel's credentials are missing or of another form: set them anew.",
            field="credentials",
        ) from None


async def send_json(
    client: GuardedClient,
    url: str,
    content: bytes,
    *,
    auth_headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> Response:
    """Send a JSON document and return the answer, whatever its status.

    Raises:
        OutcomeUnknown: the answer is larger than any that a vendor gives.
    """
    try:
        return await client.request(
            method,
            url,
            headers={"content-type": "application/json", "accept": "application/json"},
            content=content,
            auth_headers=auth_headers,
            limits=_LIMITS,
            max_body=_MAX_BODY,
        )
    except TooLarge as error:
        unknown = OutcomeUnknown(f"{error.message}: whether it was accepted is not clear.")
        unknown.retryable = False
        raise unknown from error


async def get_json(
    client: GuardedClient, url: str, *, auth_headers: Mapping[str, str] | None = None
) -> Any:
    """Ask for a JSON document.

    Raises:
        UpstreamError: the answer is no success, or no JSON.
    """
    response = await client.request(
        "GET",
        url,
        headers={"accept": "application/json"},
        auth_headers=auth_headers,
        limits=_LIMITS,
        max_body=_MAX_BODY,
    )
    raise_unless_accepted(response)
    return response.json()


def answer_text(response: Response) -> str:
    """The beginning of what the receiver said."""
    return response.content[: MAX_ANSWER * 4].decode("utf-8", "replace")[:MAX_ANSWER]


def answer_json(response: Response) -> dict[str, Any]:
    """The answer as a JSON object; empty if it is none."""
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def raise_unless_accepted(response: Response) -> None:
    """Raise unless the status is 2xx.

    Raises:
        ChannelGone: 410.
        OutcomeUnknown: the status does not say whether the request had its effect.
        UpstreamError: any other status; `retryable` says whether another attempt may succeed.
    """
    origin = response.target.origin
    status = response.status
    answer = answer_text(response)
    if status == 410:
        raise ChannelGone(
            f"{origin} answered 410: it does not want any more.",
            upstream_status=410,
            answer=answer,
        )
    if 300 <= status < 400:
        raise UpstreamError(
            f"{origin} redirects; redirects are not followed. Give the channel the final address.",
            retryable=False,
            upstream_status=status,
        )
    if status in _AMBIGUOUS:
        raise OutcomeUnknown(
            f"{origin} answered with HTTP {status}.", upstream_status=status, answer=answer
        )
    try:
        response.raise_for_status()
    except UpstreamStatus as error:
        error.retryable = status not in _PERMANENT
        error.details["answer"] = answer
        raise


def receipt_of(response: Response, reference: str | None = None) -> Receipt:
    """The receipt of an accepted message."""
    return Receipt(response.status, reference, answer_text(response))


def encode(document: object) -> bytes:
    """A document as JSON; a character that JSON cannot carry is replaced."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return json.dumps(document, ensure_ascii=True, default=str).encode()
