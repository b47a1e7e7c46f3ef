"""Signed addresses by which the reader of a message acts without a token of the API.

An address names one act on one thing of one tenant, and ends at a time. The signature is an
HMAC-SHA256 (RFC 2104) under a key that derives from the one that seals channels' secrets.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal, cast
from uuid import UUID

from shared.errors import Unauthenticated
from shared.keys import CHANNEL_SECRETS, Keys, keys_of
from shared.settings import Settings

PATH: Final = "/v1/links"
EDGE_PATH: Final = "/links"
"""The same at the gateway."""

LinkVerb = Literal["acknowledge", "unsubscribe"]
_VERBS: Final = ("acknowledge", "unsubscribe")
_CONTEXT: Final = b"sentineliq/notifications/links"
_MAX_TOKEN: Final = 1000


@dataclass(frozen=True, slots=True)
class SignedLink:
    """What an address lets its reader do.

    Attributes:
        verb: acknowledge a group, or unsubscribe from (switch off) a channel.
        tenant: whose.
        subject_id: the group or the channel.
        channel_id: through which the address was sent.
        until: when it ends.
    """

    verb: LinkVerb
    tenant: str
    subject_id: UUID
    channel_id: UUID
    until: datetime

    def token(self, keys: Keys) -> str:
        """The link as the parameter of its address."""
        seconds = int(self.until.timestamp())
        parts = [self.verb, self.tenant, str(self.subject_id), str(self.channel_id), seconds]
        body = urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=")
        key = keys.secret(CHANNEL_SECRETS)[0].material
        return f"{body.decode()}.{_encode(_signature(key, body))}"

    def address(self, settings: Settings) -> str:
        """The link as an address: of the gateway where people reach it, else of the API.

        Args:
            settings: name the addresses, and have the keys.
        """
        base = f"{settings.service_url('notifications')}{PATH}"
        if settings.public_url:
            base = f"{settings.public_url.rstrip('/')}{EDGE_PATH}"
        return f"{base}?token={self.token(keys_of(settings))}"


def read_link(token: str, keys: Keys, now: datetime) -> SignedLink:
    """The link of a token.

    Args:
        token: the parameter of the address.
        keys: of the process.
        now: the time.

    Raises:
        Unauthenticated: the token was not signed here, was changed, or has ended.
    """
    body, _, signature = token.partition(".")
    if len(token) > _MAX_TOKEN or not token.isascii() or not _is_signed(body, signature, keys):
        raise Unauthenticated("This address is not one of ours, or a part of it is missing.")
    padded = body + "=" * (-len(body) % 4)
    verb, tenant, subject, channel, seconds = json.loads(urlsafe_b64decode(padded))
    until = datetime.fromtimestamp(seconds, UTC)
    if verb not in _VERBS or until <= now:
        raise Unauthenticated("This address has ended.")
    return SignedLink(cast("LinkVerb", verb), tenant, UUID(subject), UUID(channel), until)


def _is_signed(body: str, signature: str, keys: Keys) -> bool:
    for key in keys.secret(CHANNEL_SECRETS):
        expected = _encode(_signature(key.material, body.encode()))
        if hmac.compare_digest(expected.encode(), signature.encode()):
            return True
    return False


def _signature(material: bytes, body: bytes) -> bytes:
    key = hmac.digest(material, _CONTEXT, sha256)
    return hmac.digest(key, body, sha256)


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
