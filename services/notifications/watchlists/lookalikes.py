"""Names that look like a brand's, as plain functions over labels of domain names.

A label looks like a brand when it is the brand in other letters (`paypa1`, or Cyrillic ones), when
one character is missing, surplus, replaced or swapped (`payapl`), or when words are added to it
(`paypal-login`, `securepaypal`). Short brands are matched strictly: of fewer than five characters
only other letters count, of fewer than six no words without a hyphen.
"""

import unicodedata
from collections.abc import Iterable
from typing import Final

_LOOKS: Final = (
    # Digits, signs, and the letter that looks like two others.
    ("01345789|!$@i", "oleastbgllsal"),
    # Cyrillic letters.
    ("\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501", "aceopxyljsd"),
    ("\u0261\u04bb\u043a\u043c\u043d\u0442\u0432\u051b\u051d\u04cf", "ghkmhtbqwl"),
    # Greek letters.
    ("\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7", "aelkvoptux"),
    # Latin letters without a decomposition.
    ("\u0131\u0142\u00f8\u0111", "llod"),
)
"""Letters, and those that they look like."""
_CONFUSABLES: Final = str.maketrans(
    "".join(letters for letters, _ in _LOOKS), "".join(looks for _, looks in _LOOKS)
)
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_SHORTEST_EDIT: Final = 5
_SHORTEST_JOINED: Final = 6


def skeleton(label: str) -> str:
    """What a label looks like: letters that look alike become the same one."""
    decomposed = unicodedata.normalize("NFKD", label.lower())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    text = plain.translate(_CONFUSABLES)
    for pair, letter in _PAIRS:
        text = text.replace(pair, letter)
    return text


def shortened(text: str) -> set[str]:
    """The text, and what is left of it without one of its characters.

    Texts that differ in one character, or in two neighbours that are swapped, share one of these.
    """
    return {text, *(text[:place] + text[place + 1 :] for place in range(len(text)))}


class BrandIndex:
    """Brands, prepared so that a label is compared with all of them at once.

    Args:
        brands: in lower case, without a suffix: `paypal`.
    """

    def __init__(self, brands: Iterable[str]) -> None:
        self._brands = {skeleton(brand): brand for brand in brands}
        self._names = frozenset(self._brands.values())
        self._shortened: dict[str, list[str]] = {}
        self._lengths = sorted({len(look) for look in self._brands})
        for look in self._brands:
            if len(look) >= _SHORTEST_EDIT:
                for text in shortened(look):
                    self._shortened.setdefault(text, []).append(look)

    def __len__(self) -> int:
        return len(self._brands)

    def brand_of(self, label: str) -> str | None:
        """The brand that a label looks like; None if it looks like none.

        A label that is the brand itself counts: under another suffix it is somebody else's.
        """
        look = skeleton(label)
        if brand := self._brands.get(look):
            return brand
        if brand := self._with_words(look):
            return brand
        return self._by_edit(look)

    def _with_words(self, look: str) -> str | None:
        if "-" in look:
            for word in look.split("-"):
                if brand := self._brands.get(word):
                    return brand
        for length in self._lengths:
            if _SHORTEST_JOINED <= length < len(look):
                brand = self._brands.get(look[:length]) or self._brands.get(look[-length:])
                if brand:
                    return brand
        return None

    def _by_edit(self, look: str) -> str | None:
        if len(look) < _SHORTEST_EDIT - 1:
            return None
        for text in shortened(look):
            for brand in self._shortened.get(text, ()):
                if _is_near(look, brand):
                    return self._brands[brand]
        return None


def _is_near(first: str, second: str) -> bool:
    """Whether two texts differ in one character, or in two neighbours that are swapped."""
    if abs(len(first) - len(second)) > 1:
        return False
    start = 0
    shorter = min(len(first), len(second))
    while start < shorter and first[start] == second[start]:
        start += 1
    rest = first[start:]
    other = second[start:]
    if len(first) == len(second):
        swapped = rest[:2] == other[1::-1] and rest[2:] == other[2:]
        return rest[1:] == other[1:] or swapped
    longer, short = (rest, other) if len(rest) > len(other) else (other, rest)
    return longer[1:] == short
