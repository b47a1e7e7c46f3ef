"""Extracting what a document names, in a child process."""

import os
from collections.abc import Iterator
from typing import Final

import msgspec

from services.observables.reports.extraction import ExtractedValue, Extraction, extract_from
from shared import documents

_VALUES_PER_FRAME: Final = 5_000


class ExtractionHeader(msgspec.Struct):
    """An extraction without its observables, which follow as lists of `ExtractedValue`.

    Attributes:
        attack: ATT&CK ids.
        characters: see `Extraction`.
        pages: see `Extraction`.
        notes: see `Extraction`.
    """

    attack: list[ExtractedValue]
    characters: int
    pages: int | None
    notes: list[str]


def extraction_job(media_type: bytes, files: list[int]) -> Iterator[bytes]:
    """Extract from a file: the header, then lists of values.

    Raises:
        InvalidInput: the document cannot be read.
    """
    extraction = _extract(media_type.decode(), files[0])
    header = ExtractionHeader(
        extraction.attack, extraction.characters, extraction.pages, extraction.notes
    )
    yield msgspec.msgpack.encode(header)
    for start in range(0, len(extraction.observables), _VALUES_PER_FRAME):
        yield msgspec.msgpack.encode(extraction.observables[start : start + _VALUES_PER_FRAME])


def _extract(media_type: str, descriptor: int) -> Extraction:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        # The content has no name here, so its memory is freed before the text is searched.
        document = documents.read(file.read(), media_type)
    return extract_from(document)
