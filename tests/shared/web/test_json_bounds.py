"""The shape of JSON, against what a parser says of its depth."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput, TooLargeInput
from shared.web.json_bounds import MAX_CONTAINERS, MAX_DEPTH, check_json

VALUES = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=200,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return 0
    return 1 + max(map(depth, value), default=0)


@given(VALUES, st.integers(0, 70))
def test_what_is_deeper_than_the_limit_is_refused_and_nothing_else(value: Any, around: int) -> None:
    for number in range(around):
        value = [value, "]["] if number % 2 else {"a[": value, "b": ['}"\\']}
    text = json.dumps(value, ensure_ascii=False).encode()
    if depth(value) > MAX_DEPTH:
        with pytest.raises(InvalidInput):
            check_json(text)
    else:
        check_json(text)


@given(st.binary(max_size=2_000) | st.text('[]{}"\\', max_size=2_000).map(str.encode))
def test_bytes_of_any_kind_have_a_verdict(text: bytes) -> None:
    with suppress(InvalidInput):
        check_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 8_000_000,
        b"[[]," * 2_000_000,
        b"[" * MAX_CONTAINERS,
        b'"' * 4_000_000 + b"[" * 100,
        b'"\\' * 4_000_000 + b"[" * 100,
        (b"[" * 60 + b"]" * 60 + b",") * (MAX_CONTAINERS // 60),
    ],
    ids=range(6),
)
def test_no_text_takes_long(text: bytes) -> None:
    started = time.process_time()
    with suppress(InvalidInput, TooLargeInput):
        check_json(text)
    assert time.process_time() - started < 2
