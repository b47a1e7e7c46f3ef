r"""Lines of pairs of key and value: `key=value` of logs, and the extensions of CEF and LEEF.

Sources: ArcSight Common Event Format, "CEF Extension" (values hold blanks; a backslash stands
before `=` and itself); IBM QRadar Log Event Extended Format 1.0 and 2.0 (pairs between tabs, or the
character that the header of 2.0 names, also as `x7C` or `0x7C`). Syslog may have put a prefix
before them.
"""

import re
from typing import Final

_KEY: Final = r"[A-Za-z][\w.-]{0,40}+="
_URL: Final = r"[A-Za-z][A-Za-z0-9+.-]{0,30}+(?:://|\[:\]//|\[://\])"


def _pairs(behind_comma: str, behind_semicolon: str) -> str:
    """The text of a pattern; a comma or semicolon ends a value, but a URL only before these."""
    return (
        rf"(?<![^\s|,;])([A-Za-z][\w.-]{{0,40}}+)=(\"[^\"]*\"|(?={_URL})"
        rf"(?:[^\s|,;]|,(?!{behind_comma}|\s|$)|;(?!{behind_semicolon}|\s|$))*+|[^\s|,;]*+)"
    )


_PAIR: Final = re.compile(_pairs(f"{_KEY}|{_URL}", f"{_KEY}|{_URL}"))
_PAIR_OF_A_QUERY: Final = re.compile(_pairs(f"{_KEY}|{_URL}", _URL))
_PAIR_BETWEEN_BLANKS: Final = re.compile(_pairs(_URL, _URL))
_NEXT_BLANK: Final = re.compile(rf"[\s|](?={_KEY})")
_NEXT_MARK: Final = re.compile(rf"[,;]\s*+(?={_KEY})")
_MAX_PREFIX: Final = 300
"""Characters before the header of CEF or LEEF: a time, a host, a priority."""
_CEF: Final = re.compile(r"\bCEF:\d\|")
_LEEF: Final = re.compile(r"\bLEEF:([12])\.0\|")
_CEF_FIELD: Final = re.compile(r"(?:[^|\\]|\\.)*+\|")
_CEF_KEY: Final = re.compile(r"(?:(?<=\s)|^)([A-Za-z][\w.\[\]-]{0,60}+)=")
_CEF_FIELDS: Final = 6
"""Fields of its header behind the version."""
_LEEF_FIELDS: Final = 4
_DELIMITER: Final = re.compile(r"(?:0?[xX]([0-9A-Fa-f]{1,4})|(.))\|")


def pairs_of(line: str) -> list[tuple[str, str]]:
    """The pairs of a line in their order; values come without quotes and escapes."""
    if "|" in line:
        if header := _CEF.search(line, 0, _MAX_PREFIX):
            return _cef_pairs(line, header.end())
        if header := _LEEF.search(line, 0, _MAX_PREFIX):
            return _leef_pairs(line[header.end() :], header[1])
    return [(key, value.strip('"')) for key, value in _pattern(line).findall(line)]


def _pattern(line: str) -> re.Pattern[str]:
    """The pattern of a line's pairs: in URLs `,` and `;` may stand before a key as well.

    Where blanks part the pairs, and no comma or semicolon does before the first URL, these belong
    to it; where a lone pair has a query, its semicolons do (RFC 3986 §3.4).
    """
    before, scheme, rest = line.partition("://")
    if not scheme or _NEXT_MARK.search(before):
        return _PAIR
    if _NEXT_BLANK.search(line):
        return _PAIR_BETWEEN_BLANKS
    return _PAIR_OF_A_QUERY if "?" in rest.partition(";")[0] else _PAIR


def _cef_pairs(line: str, at: int) -> list[tuple[str, str]]:
    for _ in range(_CEF_FIELDS):
        field = _CEF_FIELD.match(line, at)
        if field is None:
            return []
        at = field.end()
    extension = line[at:]
    keys = list(_CEF_KEY.finditer(extension))
    ends = [*(key.start() for key in keys[1:]), len(extension)]
    return [
        (key[1], re.sub(r"\\([\\=])", r"\1", extension[key.end() : end].strip()))
        # Without a key there is still the end of the line.
        for key, end in zip(keys, ends, strict=False)
    ]


def _leef_pairs(text: str, version: str) -> list[tuple[str, str]]:
    fields = text.split("|", _LEEF_FIELDS)
    if len(fields) <= _LEEF_FIELDS:
        return []
    body = fields[-1]
    delimiter = "\t"
    if version == "2" and (named := _DELIMITER.match(body)):
        delimiter = chr(int(named[1], 16)) if named[1] else named[2]
        body = body[named.end() :]
    pairs = (piece.partition("=") for piece in body.split(delimiter))
    return [(key.strip(), value.strip()) for key, sign, value in pairs if sign]
