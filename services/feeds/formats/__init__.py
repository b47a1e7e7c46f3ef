"""Feed formats: bytes in, records out. One file each behind one protocol; `registry` knows them all."""

from services.feeds.formats.base import Batch, Dropped, Format, MalformedDocument, Record
from services.feeds.formats.registry import FORMATS, find, formats, guess

__all__ = ["FORMATS", "Batch", "Dropped", "Format", "MalformedDocument", "Record", "find", "formats", "guess"]
