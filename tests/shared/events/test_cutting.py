"""Bulk is cut by the bytes that it has as JSON: nothing is lost, nothing exceeds an event."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.events.chunks import MAX_ITEMS, cut_by_size


class Item(msgspec.Struct):
    text: str


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(st.text(max_size=40), max_size=60),
    repetitions=st.integers(1, 60),
    capacity=st.integers(300, 3_000),
)
def test_every_list_fits_the_order_stays_and_nothing_is_lost(
    texts: list[str], repetitions: int, capacity: int
) -> None:
    items = [Item(text) for text in texts] * repetitions
    chunks = list(cut_by_size(items, capacity))
    assert [item for chunk in chunks for item in chunk.items] == items
    for chunk in chunks:
        assert len(bytes(chunk.encoded)) <= capacity
        assert 0 < len(chunk.items) <= MAX_ITEMS
        assert msgspec.json.decode(bytes(chunk.encoded), type=list[Item]) == list(chunk.items)


def test_small_items_share_one_list_of_a_thousand() -> None:
    sizes = [len(chunk.items) for chunk in cut_by_size([Item("x")] * 2_500, 512 * 1024)]
    assert sizes == [1_000, 1_000, 500]


def test_an_item_that_fits_exactly_is_kept_and_one_byte_more_is_refused() -> None:
    exact = Item("x" * 100)
    capacity = len(msgspec.json.encode([exact]))
    assert [list(chunk.items) for chunk in cut_by_size([exact, exact], capacity)] == [[exact]] * 2
    with pytest.raises(InvalidInput, match="bytes"):
        list(cut_by_size([exact], capacity - 1))


def test_an_item_that_is_too_large_is_shortened_where_the_caller_knows_how() -> None:
    items = [Item("a"), Item("b" * 500), Item("c")]
    chunks = list(cut_by_size(items, 200, lambda item: Item(item.text[:100])))
    assert [item for chunk in chunks for item in chunk.items] == [
        Item("a"),
        Item("b" * 100),
        Item("c"),
    ]
