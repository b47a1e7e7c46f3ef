"""Regular expressions of others, searched all at once in time linear in the text.

They are fetched from lists that anyone may have a change accepted to. RE2 compiles them to
automata: none can be written that takes long, and what RE2 does not have (look-around, references
to groups) is left out. https://github.com/google/re2/wiki/syntax has its syntax.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import re2

_PHP_EXPRESSION: Final = re.compile(r"/(.*)/([a-zA-Z]*)", re.DOTALL)
_FLAGS: Final = frozenset("ims")
"""Letters behind an expression of PHP that mean the same in RE2."""
_MAX_MEMORY: Final = 8 << 20
"""Bytes of the automaton of a set: RE2 refuses a set that needs more."""
MAX_TEXT_LENGTH: Final = 512
"""Characters of a text that is searched."""


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    return options


def re2_source(text: str) -> str | None:
    """An expression as PHP writes it, `/…/i`, or bare, in RE2's syntax; None when it has none."""
    slashed = _PHP_EXPRESSION.fullmatch(text)
    pattern, letters = slashed.groups() if slashed else (text, "")
    if "x" in letters:  # blanks and comments within it mean nothing, which RE2 does not know
        return None
    flags = "".join(sorted(_FLAGS.intersection(letters)))
    source = f"(?{flags}:{pattern})" if flags else pattern
    try:
        re2.compile(source, _options())
    except (re2.error, UnicodeEncodeError):
        return None
    return source


class ExpressionIndex:
    """Some expressions, by their places.

    Args:
        texts: the expressions, as `re2_source` takes them; those that it refuses match nothing.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._places: list[int] = []
        self._set = re2.Set.SearchSet(_options())
        for place, text in enumerate(texts):
            if (source := re2_source(text)) is not None:
                self._set.Add(source)
                self._places.append(place)
        if self._places:
            self._set.Compile()

    def find(self, values: Sequence[str]) -> Iterator[tuple[int, int]]:
        """The place of each value that an expression matches, and the place of the expression."""
        if not self._places:
            return
        for number, value in enumerate(values):
            if len(value) <= MAX_TEXT_LENGTH:
                for at in sorted(self._set.Match(value) or ()):
                    yield number, self._places[at]
