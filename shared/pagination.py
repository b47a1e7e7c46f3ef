"""Pages of a list, and the opaque cursors that lead from one page to the next.

A list is ordered by a key that is unique within it: `(created_at, id)`, `(name, id)`. The cursor of a page holds the
key of its last item, so that the next page begins behind it whatever was added or removed in between.
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

    A route names a schema of its own as its response (`PageSchema`): FastAPI does not filter the fields of a `Page`
    that holds something else than it was declared with.

    Attributes:
        next: the cursor of the page behind this one; None when this is the last.
    """

    items: list[Item]
    next: str | None = None

    def map(self, convert: Callable[[Item], Other]) -> "Page[Other]":
        """The same page with each item converted."""
        return Page([convert(item) for item in self.items], self.next)


class PageSchema(BaseModel, Generic[Item]):
    """One page of a list; `next`, sent back as `after`, gives the page behind it."""

    items: list[Item]
    next: str | None


def paginate(
    rows: Sequence[Item], limit: int, key: Callable[[Item], Sequence[object]]
) -> Page[Item]:
    """Cut a page from a list.

    Args:
        rows: `limit + 1` rows from the page's first on, or fewer when the list ends before.
        limit: items of a full page.
        key: a row's place in the list's order: strings, numbers, datetimes and UUIDs.
    """
    items = list(rows[:limit])
    return Page(items, encode_cursor(*key(items[-1])) if len(rows) > limit else None)


def encode_cursor(*key: object) -> str:
    """The cursor of the page behind the item that has this key: base64url of a JSON array, without padding."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def decode_cursor(after: str | None, key: type[Key]) -> Key | None:
    """The key that a cursor holds.

    Args:
        after: the cursor; None or an empty text for the first page.
        key: the tuple that the list is ordered by: `tuple[datetime, UUID]`.

    Raises:
        InvalidInput: the list gives no such cursor.
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
