"""Bounds on the shape of a JSON text, checked before it is parsed.

A parser makes an object of each array and object: eight megabytes of brackets become hundreds of
megabytes, and a nesting as deep as the text is long.
"""

import re
from typing import Final

from shared.errors import InvalidInput, TooLargeInput

MAX_DEPTH: Final = 64
MAX_CONTAINERS: Final = 200_000
"""Arrays and objects of a text."""

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_AS_ARRAYS: Final = bytes.maketrans(b"{}", b"[]")
_OTHERS: Final = bytes(set(range(256)) - set(b"[]{}"))


def check_json(text: bytes) -> None:
    """Check the depth and the number of containers of a JSON text.

    Brackets within strings count as containers, but have no depth. A text that is no JSON may
    pass: its parser tells what is wrong.

    Raises:
        InvalidInput: it is nested too deeply.
        TooLargeInput: it has too many containers.
    """
    containers = text.count(b"[") + text.count(b"{")
    if containers <= MAX_DEPTH:
        return
    if containers > MAX_CONTAINERS:
        raise TooLargeInput(f"A body may have {MAX_CONTAINERS:,} arrays and objects.", field="body")
    brackets = _STRING.sub(b"", text).translate(_AS_ARRAYS, _OTHERS)
    for _ in range(MAX_DEPTH):
        outer = brackets.replace(b"[]", b"")
        is_stuck = len(outer) == len(brackets)
        brackets = outer
        if is_stuck:
            break
    # Each round takes the innermost level away. What is stuck is no JSON, but a parser descends
    # into it before it knows.
    if brackets and not (is_stuck and _depth(brackets) <= MAX_DEPTH):
        raise InvalidInput(f"A body may be nested {MAX_DEPTH} deep.", field="body")


def _depth(brackets: bytes) -> int:
    depth = 0
    deepest = 0
    for bracket in brackets:
        depth += 1 if bracket == ord("[") else -1
        deepest = max(deepest, depth)
    return deepest
