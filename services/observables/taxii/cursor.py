"""The `next` of a page: where the following page begins, and all filters of the request.

Some clients send it without the filters of the request before. It is authenticated, so that nobody
reads with it what the server did not mean to page through.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import msgspec

from services.observables.taxii.page_request import PageRequest
from shared.errors import InvalidInput
from shared.keys import Key

_LABEL: Final = b"taxii next 1"
_TAG_BYTES: Final = 16
_MAX_LENGTH: Final = 62_000


class _Content(msgspec.Struct, array_like=True):
    collection: UUID
    resource: str
    request: PageRequest


def encode_next(keys: Sequence[Key], collection: UUID, resource: str, request: PageRequest) -> str:
    """The `next` that leads to a request.

    Args:
        keys: the service's secret keys, the one to use first.
        collection: its id.
        resource: what is paged through: "objects", "manifest", "versions".
        request: for the following page.
    """
    content = msgspec.msgpack.encode(_Content(collection, resource, request))
    tag = _tag(keys[0], content)
    return base64.urlsafe_b64encode(tag + content).rstrip(b"=").decode()


def decode_next(keys: Iterable[Key], collection: UUID, resource: str, text: str) -> PageRequest:
    """The request that a `next` leads to.

    Raises:
        InvalidInput: it is not one that was issued for this collection and resource.
    """
    refusal = InvalidInput(
        "This is not the next of a page of this collection; begin with added_after.", field="next"
    )
    if len(text) > _MAX_LENGTH:
        raise refusal
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise refusal from None
    tag = packed[:_TAG_BYTES]
    content = packed[_TAG_BYTES:]
    if not any(hmac.compare_digest(tag, _tag(key, content)) for key in keys):
        raise refusal
    issued = msgspec.msgpack.decode(content, type=_Content)
    if issued.collection != collection or issued.resource != resource:
        raise refusal
    return issued.request


def _tag(key: Key, content: bytes) -> bytes:
    own = hmac.digest(key.material, _LABEL, "sha256")
    return hmac.digest(own, content, "sha256")[:_TAG_BYTES]
