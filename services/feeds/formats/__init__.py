"""Feed formats: bytes in, records out. One file each behind one protocol; `registry` knows them all."""

from services.feeds.formats.base import Batch, Dropped, Format, MalformedDocument, Record
from services.feeds.formats.registry import find, format_names, guess

__all__ = [
    "Batch",
    "Dropped",
    "Format",
    "MalformedDocument",
    "Record",
    "find",
    "format_names",
    "guess",
]
