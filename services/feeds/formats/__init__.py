"""Feed formats: one module each behind the protocol in `base`; `registry` knows them by name."""

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
