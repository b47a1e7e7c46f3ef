"""The words of a filter: names, literals and operators, each with its place."""

import re
from typing import Final, Literal, NamedTuple

from shared.filters.errors import FilterError

MAX_BYTES: Final = 4096
"""Of a filter, in UTF-8."""

TokenKind = Literal["name", "text", "integer", "decimal", "operator", "end"]

_WORD: Final = re.compile(
    r"""(?P<space>[ \t\r\n]++|//[^\n]*+)
      | (?P<raw>[rR](?:"[^"\n]*+"|'[^'\n]*+'))
      | (?P<text>"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+')
      | (?P<decimal>[0-9]++\.[0-9]++(?:[eE][+-]?[0-9]++)?|[0-9]++[eE][+-]?[0-9]++)
      | (?P<integer>0[xX][0-9a-fA-F]++|[0-9]++)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*+)
      | (?P<operator>&&|\|\||[=!<>]=|[-!<>()\[\].,+])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))")
_ESCAPED: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "?": "?",
    "`": "`",
}
_MAX_NAME: Final = 64
_MAX_INTEGER: Final = 2**63 - 1


class Token(NamedTuple):
    """A word of a filter.

    Attributes:
        text: as it is written.
        value: of a literal.
        position: characters before it.
    """

    kind: TokenKind
    text: str
    value: str | int | float | None
    position: int


def tokenize(text: str) -> list[Token]:
    """Divide a filter into words; the last is the end.

    Raises:
        FilterError: it is too long, or something in it is no word of the language.
    """
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise FilterError(f"A filter has {MAX_BYTES} bytes at most.", text, MAX_BYTES)
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _WORD.match(text, position)
        if match is None:
            raise FilterError(_reason(text[position]), text, position)
        if match.lastgroup != "space":
            tokens.append(_token(text, match))
        position = match.end()
    tokens.append(Token("end", "", None, len(text)))
    return tokens


def _reason(character: str) -> str:
    if character in "\"'":
        return "The text that begins here does not end on its line."
    hints = {
        "=": "Write == to compare.",
        "&": "Write && for and.",
        "|": "Write || for or.",
        "?": "Write the two cases with && and ||.",
    }
    return hints.get(character, f"{character!r} is no part of a filter.")


def _token(text: str, match: "re.Match[str]") -> Token:
    word = match.group()
    position = match.start()
    kind = match.lastgroup
    if kind == "name":
        if len(word) > _MAX_NAME:
            raise FilterError("No name is so long.", text, position, _MAX_NAME)
        return Token("name", word, None, position)
    if kind == "operator":
        return Token("operator", word, None, position)
    if kind == "raw":
        return Token("text", word, _storable(text, word[2:-1], position), position)
    if kind == "text":
        value = _unescaped(text, word[1:-1], position)
        return Token("text", word, _storable(text, value, position), position)
    return _number(text, word, position, is_decimal=kind == "decimal")


def _number(text: str, word: str, position: int, *, is_decimal: bool) -> Token:
    following = text[position + len(word) : position + len(word) + 1]
    if following.isalnum() or following == "_":
        reason = f'A number ends before {following!r}; write a time span as duration("7d").'
        raise FilterError(reason, text, position + len(word))
    if is_decimal:
        decimal = float(word)
        if decimal == float("inf"):
            raise FilterError("The number is too large.", text, position, len(word))
        return Token("decimal", word, decimal, position)
    integer = int(word, 16) if word[:2] in ("0x", "0X") else int(word)
    if integer > _MAX_INTEGER:
        raise FilterError("The number is too large.", text, position, len(word))
    return Token("integer", word, integer, position)


def _unescaped(text: str, content: str, position: int) -> str:
    def character(match: "re.Match[str]") -> str:
        short, long, byte, letter = match.groups()
        if letter is not None:
            if letter not in _ESCAPED:
                place = position + 1 + match.start()
                reason = rf'\{letter} means nothing here. Write \\{letter}, or r"…" for a pattern.'
                raise FilterError(reason, text, place, 2)
            return _ESCAPED[letter]
        code = int(short or long or byte, 16)
        if code > 0x10FFFF:
            raise FilterError("There is no such character.", text, position + 1 + match.start())
        return chr(code)

    return _ESCAPE.sub(character, content)


def _storable(text: str, value: str, position: int) -> str:
    """Refuse characters that no text in the database has."""
    if "\0" in value or any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        reason = "No value has the character NUL or half of a surrogate pair."
        raise FilterError(reason, text, position)
    return value
