"""Previews and comparisons in a child process: a document stays there, a few records come back."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from services.feeds.payloads.unpack import unpack
from services.feeds.previews.comparison import (
    compare_parsers,
    guess_document_format,
    preview_document,
)
from services.feeds.snapshots.parse_job import payload_content
from services.feeds.snapshots.snapshot import FeedSnapshot
from shared.sandbox.files import reopened


class PreviewOrder(msgspec.Struct):
    """A document to preview: its file, and one for its unpacked content.

    Attributes:
        name: its file name or address, which may tell its format.
        format: guessed when None.
        options: the format's.
    """

    name: str
    format: str | None
    options: dict[str, Any]


class ComparisonOrder(msgspec.Struct):
    """A stored payload to read in another way: its file, then that of the feed's snapshot.

    Attributes:
        name: of the file, else the feed's address or name.
        format: guessed when None.
        options: the format's.
    """

    name: str
    format: str | None
    options: dict[str, Any]


def preview_job(request: bytes, files: list[int]) -> Iterator[bytes]:
    """Preview a document, in the child."""
    order = msgspec.msgpack.decode(request, type=PreviewOrder)
    source_file, content = files
    with (
        reopened(source_file) as source,
        os.fdopen(content, "wb", closefd=False) as sink,
    ):
        unpacked = unpack(source, sink)
    preview = preview_document(
        partial(reopened, content),
        name=order.name,
        format_name=order.format,
        options=order.options,
        size=unpacked.size,
    )
    yield msgspec.msgpack.encode(preview)


def comparison_job(request: bytes, files: list[int]) -> Iterator[bytes]:
    """Compare a payload, read in another way, with a snapshot, in the child."""
    order = msgspec.msgpack.decode(request, type=ComparisonOrder)
    document = partial(payload_content, files[0])
    before = None
    if len(files) > 1:
        with reopened(files[1]) as file:
            before = FeedSnapshot.read(file)
    format_name = order.format
    if format_name is None:
        format_name, _ = guess_document_format(document, order.name)
    yield msgspec.msgpack.encode(compare_parsers(document, before, format_name, order.options))
