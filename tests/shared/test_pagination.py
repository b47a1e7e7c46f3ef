"""Cursors survive the way to the caller and back, and pages cover a list once."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shared.errors import InvalidInput
from shared.pagination import Page, PageSchema, decode_cursor, encode_cursor, paginate

Key = tuple[datetime, str, int, UUID]
KEYS = st.tuples(
    st.datetimes(timezones=st.just(UTC)),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**63 - 1),
    st.uuids(),
)


@given(KEYS)
def test_a_cursor_gives_its_key_back(key: Key) -> None:
    cursor = encode_cursor(*key)
    assert decode_cursor(cursor, Key) == key
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("after", [None, ""])
def test_without_a_cursor_a_list_begins_at_its_start(after: str | None) -> None:
    assert decode_cursor(after, Key) is None


@pytest.mark.parametrize(
    "after",
    [
        "nonsense",
        "x",
        "é",
        "W10",  # []
        "WzFd!",
        encode_cursor("a"),
        encode_cursor("2026-01-01T00:00:00Z"),
        encode_cursor("2026-01-01T00:00:00Z", "not a uuid"),
        encode_cursor("2026-01-01T00:00:00Z", UUID(int=1), "more"),
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(after: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_cursor(after, tuple[datetime, UUID])
    assert refused.value.details["field"] == "after"


@given(st.lists(st.integers(0, 1000), unique=True), st.integers(1, 7))
def test_pages_cover_a_list_once(numbers: list[int], limit: int) -> None:
    numbers = sorted(numbers)
    collected: list[int] = []
    after: str | None = None
    while True:
        key = decode_cursor(after, tuple[int])
        rest = [number for number in numbers if key is None or number > key[0]]
        page = paginate(rest[: limit + 1], limit, lambda number: (number,))
        collected += page.items
        after = page.next
        if after is None:
            break
        assert len(page.items) == limit
    assert collected == numbers


class _View(BaseModel):
    name: str


def test_a_page_fits_its_schema() -> None:
    page = Page(["a", "b"], "next").map(lambda name: _View(name=name))
    schema = PageSchema[_View].model_validate(page, from_attributes=True)
    assert schema.model_dump() == {"items": [{"name": "a"}, {"name": "b"}], "next": "next"}
