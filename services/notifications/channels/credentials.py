"""Secrets of receivers: checked against their kind's model, kept as sealed JSON."""

from typing import Any

from services.notifications.channel_types import ChannelType
from services.notifications.channel_types.base import (
    CredentialCheckingChannel,
    CredentialedChannel,
)
from services.notifications.channel_types.exchange import check_target
from services.notifications.channels.patches import validated
from shared.errors import InvalidInput
from shared.http.guard import Allowance


def refuse_useless_secret(
    kind: ChannelType[Any], secret: str | None, credentials: dict[str, Any] | None
) -> None:
    """Refuse secrets that a kind of channel does not use.

    Raises:
        InvalidInput: `field` names it.
    """
    if secret is not None and not kind.signs:
        raise InvalidInput(
            f"A channel of kind {kind.name} signs nothing and has no secret.", field="secret"
        )
    if credentials is not None and not isinstance(kind, CredentialedChannel):
        raise InvalidInput(
            f"A channel of kind {kind.name} needs no credentials.", field="credentials"
        )


async def credentials_text(
    kind: ChannelType[Any], credentials: dict[str, Any] | None, allow: tuple[Allowance, ...]
) -> str | None:
    """Credentials as they are sealed; None for a kind that needs none.

    Args:
        kind: the kind of channel.
        credentials: as they were sent.
        allow: what may be reached although it is not public.

    Raises:
        InvalidInput: they are missing or wrong, or name an address that may not be reached.
    """
    if not isinstance(kind, CredentialedChannel):
        return None
    valid = validated(kind.credentials, credentials or {}, "credentials")
    url = getattr(valid, "url", None)
    if isinstance(url, str):
        await check_target(url, allow, "credentials.url")
    if isinstance(kind, CredentialCheckingChannel):
        await kind.check_credentials(valid, allow)
    return valid.model_dump_json(exclude_none=True)
