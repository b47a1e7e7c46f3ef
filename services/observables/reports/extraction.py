"""The observables and ATT&CK ids in a document, each once, with the places that name it."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

import msgspec

from shared.documents import Document
from shared.stix.extract import Match, attack_ids, extract

MAX_POSITIONS: Final = 100
"""Places kept of one value; all are counted."""

MAX_DISTINCT: Final = 100_000
"""Observables, and ATT&CK ids, taken from one document: no report names as many."""

MAX_PLACES: Final = 200_000
"""Places kept of all values together; beyond, only the first of each value."""

MAX_CHARACTERS: Final = 16_000_000
"""Characters of all values and spellings, at which no new value is taken: it bounds the answer."""

# Invisible marks at which long words may be broken: they would cut a name in two.
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")


class Position(msgspec.Struct, omit_defaults=True, frozen=True):
    """One mention.

    Attributes:
        start: where it begins, in characters of the document's text, from 0.
        end: behind its last character.
        page: of a PDF, the page from 1 it begins on.
        written: the text of the mention if it differs from the value: defanged, in capitals,
            without scheme.
    """

    start: int
    end: int
    page: int | None = None
    written: str | None = None


class ExtractedValue(msgspec.Struct):
    """A value that a document names.

    Attributes:
        type: an `ObservableType`; of an ATT&CK id its kind, such as "attack-technique".
        value: canonical value.
        count: how often it is named.
        positions: where, in order; the first `MAX_POSITIONS`.
    """

    type: str
    value: str
    count: int
    positions: list[Position]


class Extraction(msgspec.Struct):
    """The values in a document, each type and value once, in the order of the first mentions.

    Attributes:
        observables: CVE ids are among them, as type "vulnerability".
        attack: ATT&CK ids.
        characters: length of the text the positions are in.
        pages: of a PDF.
        notes: what of the document was not read.
    """

    observables: list[ExtractedValue]
    attack: list[ExtractedValue]
    characters: int
    pages: int | None
    notes: list[str]


def extract_from(document: Document) -> Extraction:
    """Extract up to the limits above, in time linear in the length of the document."""
    text = _VisibleText(document)
    notes = list(document.notes)
    return Extraction(
        observables=_collect(text, extract(text.visible), "observables", notes),
        attack=_collect(text, attack_ids(text.visible), "ATT&CK ids", notes),
        characters=len(document.text),
        pages=None if document.pages is None else len(document.pages),
        notes=notes,
    )


class _VisibleText:
    """The text without invisible marks, and the way from its places to those in the document.

    Attributes:
        visible: the text without the marks.
    """

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._pages = document.pages
        # The places in the visible text before which a mark was left out, one for each mark: a
        # search tells how many marks are before any place.
        self._gaps: list[int] = []
        pieces = []
        at = 0
        for mark in _INVISIBLE.finditer(document.text):
            pieces.append(document.text[at : mark.start()])
            self._gaps.append(mark.start() - len(self._gaps))
            at = mark.end()
        self.visible = "".join([*pieces, document.text[at:]]) if at else document.text

    def position(self, match: Match) -> Position:
        """Where a mention stands in the document."""
        start = match.start
        end = match.end
        if self._gaps:
            start += bisect_right(self._gaps, start)
            # A mark right behind the last character is no part of the mention.
            end += bisect_right(self._gaps, end - 1)
        written = self._text[start:end]
        page = None if self._pages is None else bisect_right(self._pages, start)
        return Position(start, end, page, None if written == match.value else written)


def _collect(
    text: _VisibleText, matches: Iterable[Match], kind: str, notes: list[str]
) -> list[ExtractedValue]:
    """Each value once; reached limits are added to `notes`."""
    values: dict[tuple[str, str], ExtractedValue] = {}
    places = 0
    characters = 0
    first_without_place: Match | None = None
    for match in matches:
        key = (match.type, match.value)
        value = values.get(key)
        if value is None:
            if len(values) == MAX_DISTINCT or characters >= MAX_CHARACTERS:
                notes.append(
                    f"{kind} were taken up to character {match.start:,}: "
                    f"{len(values):,} are as many as fit"
                )
                break
            value = values[key] = ExtractedValue(str(match.type), match.value, 0, [])
            characters += len(match.value)
        value.count += 1
        positions = value.positions
        if not positions or (
            len(positions) < MAX_POSITIONS and places < MAX_PLACES and characters < MAX_CHARACTERS
        ):
            position = text.position(match)
            positions.append(position)
            places += 1
            characters += len(position.written or "")
        elif len(positions) < MAX_POSITIONS:
            first_without_place = first_without_place or match
    if first_without_place:
        notes.append(
            f"of {kind}, places behind character {first_without_place.start:,} are told only "
            "where they are the first"
        )
    return list(values.values())
