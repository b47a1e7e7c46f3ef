"""Defanging: how reports write indicators so that they are not links, and back.

`refang` reaches its fixed point in one pass: it removes all brackets around a mark together, so
that its result contains no further mark. Canonical values depend on that.
"""

import re

# [.] (.) {.} [dot] [:] [://] [/] [@] [at], also doubled [[.]], escaped \[.\] and with blanks around
# them; <.> and <dot>; [. or .] with one bracket missing; and evil\.com of regular expressions.
_MARK = re.compile(
    r"[ \t]{0,2}(?<![\[({])[\[({]++(\.|dot|://|:|/|@|at)[\])}]++[ \t]{0,2}"
    r"|(?<=\w)\[(\.)(?=\w)|(?<=\w)(\.)\](?=\w)",
    re.IGNORECASE | re.ASCII,
)
_MARK_WITH_ESCAPES = re.compile(
    r"[ \t]{0,2}(?<![\[({])\\{0,2}+[\[({]++(\\*+\.|dot|://|:|/|@|at)\\{0,2}+[\])}]++[ \t]{0,2}"
    r"|(?<=\w)(?:\\++|\[)(\.)(?=\w)|(?<=\w)(\.)\](?=\w)",
    re.IGNORECASE | re.ASCII,
)
_ANGLE_MARK = re.compile(r"(?<=\w)[ \t]{0,2}<(?:\.|dot)>[ \t]{0,2}(?=\w)", re.IGNORECASE | re.ASCII)
_WORDS = {"dot": ".", "at": "@"}
# hxxp hXXp h**p hxtp htxp h__p, and fxp for ftp; http__ and http:__ for http://.
_SCHEME = re.compile(
    r"^(?:h(?:[tx*_]{2})p(s?)|(s?)fxp)(?:(?=:)(:__(?=\w))?|(__)(?=\w))", re.IGNORECASE | re.ASCII
)


def _unmark(match: re.Match[str]) -> str:
    mark = (match[1] or match[2] or match[3]).lower().lstrip("\\")
    return _WORDS.get(mark, mark)


def _scheme(match: re.Match[str]) -> str:
    secure = (match[1] or "").lower()
    name = f"{(match[2] or '').lower()}ftp" if match[2] is not None else f"http{secure}"
    return f"{name}://" if match[3] or match[4] else name


def refang(text: str) -> str:
    """Undo defanging: `hxxp://evil[.]com` becomes `http://evil.com`."""
    # These tests take a quarter of the pattern's time.
    if "<" in text:
        text = _ANGLE_MARK.sub(".", text)
    if "\\" in text:
        text = _MARK_WITH_ESCAPES.sub(_unmark, text)
    elif "[" in text or "(" in text or "{" in text or "]" in text:
        text = _MARK.sub(_unmark, text)
    return _SCHEME.sub(_scheme, text)


def defang(value: str) -> str:
    """Write a canonical address, name, URL or e-mail address so that no program makes it a link.

    `refang` undoes it exactly; the path of a URL stays as it is.
    """
    scheme, separator, rest = value.partition("://")
    if not separator:
        if value.count(":") > 1:
            return value.replace(":", "[:]")
        return value.replace("@", "[at]").replace(".", "[.]")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if "[" not in host:
        host = host.replace(".", "[.]")
    scheme = scheme.replace("http", "hxxp").replace("ftp", "fxp")
    return f"{scheme}://{user}{at}{host}{slash}{path}"
