"""Pages of a list, and the opaque cursors that lead from one page to the next.

A list is ordered by a key that is unique within it: `(created_at, id)`, `(name, id)`. The cursor of
a page holds the key of its last item, so that the next page begins behind it, no matter which rows
were added or removed in between.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec
from pydantic import BaseModel

from shared.errors import InvalidInput

Item = TypeVar("Item")
Other = TypeVar("Other")
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list, as a repository or service returns it.

    A route declares a schema as its response, a subclass of `PageSchema`: FastAPI does not validate
    the items of a dataclass, so that `response_model=Page[View]` would send all fields of a row.

    Attributes:
        next: the cursor of the following page; None on the last page.
    """

    items: list[Item]
    next: str | None = None

    def map(self, convert: Callable[[Item], Other]) -> "Page[Other]":
        """Return the same page with each item converted."""
        return Page([convert(item) for item in self.items], self.next)


class PageSchema(BaseModel, Generic[Item]):
    """One page of a list; `next`, sent back as `after`, gives the following page."""

    items: list[Item]
    next: str | None


def paginate(
    rows: Sequence[Item], limit: int, key: Callable[[Item], Sequence[object]]
) -> Page[Item]:
    """Cut a page from a list.

    Args:
        rows: up to `limit + 1` rows, beginning with the page's first; one more than `limit` shows
            that another page follows.
        limit: the number of items of a full page.
        key: returns the key of a row: strings, numbers, datetimes and UUIDs.
    """
    items = list(rows[:limit])
    return Page(items, encode_cursor(*key(items[-1])) if len(rows) > limit else None)


def encode_cursor(*key: object) -> str:
    """Return the cursor of the page behind the item with a key.

    It is base64url, without padding, of a JSON array.
    """
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(after: str | None, key: type[Key]) -> Key | None:
    """Return the key in a cursor; None for the first page.

    Args:
        after: the cursor; None or an empty text on the first page.
        key: the type of the list's keys, for instance `tuple[datetime, UUID]`.

    Raises:
        InvalidInput: the list does not issue such cursors.
    """
    if not after:
        return None
    try:
        text = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=key)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidInput(
            "This is not a cursor of this list; send the `next` of its page before.", field="after"
        ) from None
