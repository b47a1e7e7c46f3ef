"""What a document names: observables and ATT&CK ids, each once, with all the places it stands at."""

import re
from bisect import bisect_right
from collections.abc import Iterable

import msgspec

from shared.documents import Document
from shared.stix.extract import Match, attack_ids, extract

POSITIONS = 100
"""Places kept of one thing; all are counted."""

MAX_DISTINCT = 100_000
"""Observables, and ATT&CK ids, taken from one document: a report never has as many, and a list is for a feed."""

MAX_PLACES = 200_000
"""Places kept of all things; beyond, the first of each."""

MAX_TOLD = 16_000_000
"""Characters of all values and spellings, at which nothing new is taken: the answer has to stay within bounds."""

# Marks for where a word may be broken, put into long ones: nothing that is seen, and it would cut a name in two.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")


class Position(msgspec.Struct, omit_defaults=True, frozen=True):
    """One mention.

    Attributes:
        start: where it begins, in characters of the document's text, from 0.
        end: behind its last character.
        page: of a PDF, the page from 1 it begins on.
        written: the text as it stands there, when that is not the value itself: defanged, in capitals, without scheme.
    """

    start: int
    end: int
    page: int | None = None
    written: str | None = None


class Mentioned(msgspec.Struct):
    """Something a document names.

    Attributes:
        type: an `ObservableType`; of an ATT&CK id what it names, such as "attack-technique".
        value: canonical value.
        count: how often it is named.
        positions: where, in order; the first `POSITIONS`.
    """

    type: str
    value: str
    count: int
    positions: list[Position]


class Extraction(msgspec.Struct):
    """What a document names, each type and value once, in the order of the first mentions.

    Attributes:
        observables: CVE ids, as type "vulnerability", among them.
        attack: ATT&CK ids: what the document says of the observables.
        characters: length of the text the positions are in.
        pages: how many a PDF has.
        notes: what of the document was not read.
    """

    observables: list[Mentioned]
    attack: list[Mentioned]
    characters: int
    pages: int | None
    notes: list[str]


def extract_from(document: Document) -> Extraction:
    """The observables and ATT&CK ids a document names, up to the limits above; in time linear in its length."""
    places, notes = _Places(document), list(document.notes)
    return Extraction(
        observables=_collected(places, extract(places.seen), "observables", notes),
        attack=_collected(places, attack_ids(places.seen), "ATT&CK ids", notes),
        characters=len(document.text),
        pages=None if document.pages is None else len(document.pages),
        notes=notes,
    )


class _Places:
    """From places in the text as it is seen, without invisible marks, to places in the document.

    Attributes:
        seen: the text without them.
    """

    def __init__(self, document: Document) -> None:
        self._text, self._pages = document.text, document.pages
        # In the seen text, where marks were left out; how many up to and with each.
        self._gaps: list[int] = []
        pieces, at = [], 0
        for mark in _INVISIBLE.finditer(document.text):
            pieces.append(document.text[at : mark.start()])
            self._gaps.append(mark.start() - len(self._gaps))
            at = mark.end()
        self.seen = "".join([*pieces, document.text[at:]]) if at else document.text

    def position(self, found: Match) -> Position:
        """Where a mention stands in the document."""
        start, end = found.start, found.end
        if self._gaps:
            start += bisect_right(self._gaps, start)
            # A mark right behind the last character is no part of it.
            end += bisect_right(self._gaps, end - 1)
        written = self._text[start:end]
        page = None if self._pages is None else bisect_right(self._pages, start)
        return Position(start, end, page, None if written == found.value else written)


def _collected(
    places: _Places, mentions: Iterable[Match], kind: str, notes: list[str]
) -> list[Mentioned]:
    """Each thing once; `notes` takes where one of the limits was met."""
    known: dict[tuple[str, str], Mentioned] = {}
    kept = told = 0
    passed: Match | None = None
    for found in mentions:
        key = (found.type, found.value)
        mentioned = known.get(key)
        if mentioned is None:
            if len(known) == MAX_DISTINCT or told >= MAX_TOLD:
                notes.append(
                    f"{kind} were taken up to character {found.start:,}: {len(known):,} are as many as fit"
                )
                break
            mentioned = known[key] = Mentioned(str(found.type), found.value, 0, [])
            told += len(found.value)
        mentioned.count += 1
        if not mentioned.positions or (
            len(mentioned.positions) < POSITIONS and kept < MAX_PLACES and told < MAX_TOLD
        ):
            place = places.position(found)
            mentioned.positions.append(place)
            kept += 1
            told += len(place.written or "")
        elif len(mentioned.positions) < POSITIONS:
            passed = passed or found
    if passed:
        notes.append(
            f"of {kind}, places behind character {passed.start:,} are told only where they are the first"
        )
    return list(known.values())
