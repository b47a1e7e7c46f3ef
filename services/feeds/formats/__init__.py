"""Feed formats: bytes in, records out. One file each behind one protocol; `registry` knows them all."""

from services.feeds.formats.base import (
    DroppedItem,
    Format,
    MalformedDocument,
    ParsedBatch,
    ParsedIndicator,
)
from services.feeds.formats.registry import format_named, format_names, guess_format

__all__ = [
    "DroppedItem",
    "Format",
    "MalformedDocument",
    "ParsedBatch",
    "ParsedIndicator",
    "format_named",
    "format_names",
    "guess_format",
]
