"""Times expressions in a child process, which ends when one of them does not."""

import re
import time
from collections.abc import Iterator
from typing import Any

import msgspec


class TimingOrder(msgspec.Struct):
    """An expression, and the texts to time it with.

    Attributes:
        pattern: its source; a text in UTF-8, with surrogates.
        is_bytes: whether it is one of bytes.
        flags: its flags.
        methods: by which it is used.
        texts: the texts, first a long one and then a short one of the same shape.
    """

    pattern: bytes
    is_bytes: bool
    flags: int
    methods: list[str]
    texts: list[tuple[str, str]]


class Timing(msgspec.Struct):
    """Seconds of processor time with a long text; with the short one only if that is much."""

    long: float
    short: float


ENOUGH = 0.03
"""Seconds of processor time below which a long text is no matter of concern."""


def timing_job(request: bytes, _files: list[int]) -> Iterator[bytes]:
    """Time an expression with each text; a frame for each, before and after."""
    order = msgspec.msgpack.decode(request, type=TimingOrder)
    source: Any = order.pattern
    if not order.is_bytes:
        source = order.pattern.decode("utf-8", "surrogatepass")
    pattern = re.compile(source, order.flags)
    for long, short in order.texts:
        yield b""
        seconds = _seconds(pattern, order, long)
        timing = Timing(seconds, 0.0)
        if seconds > ENOUGH:
            timing = Timing(
                min(seconds, _seconds(pattern, order, long)),
                max(_seconds(pattern, order, short) for _ in range(3)),
            )
        yield msgspec.msgpack.encode(timing)


def _seconds(pattern: re.Pattern[Any], order: TimingOrder, text: str) -> float:
    content: Any = text.encode("latin-1", "replace") if order.is_bytes else text
    started = time.process_time()
    for method in order.methods:
        if method in {"match", "fullmatch"}:
            getattr(pattern, method)(content)
        else:
            for _ in pattern.finditer(content):
                pass
    return time.process_time() - started
