"""Canonical file paths: absolute paths of Windows and Unix."""

import re

from shared.stix.vocabulary import NotAnObservable, excerpt

WINDOWS = re.compile(r"(?:[A-Za-z]:|%[A-Za-z][A-Za-z0-9_()]*%|\\\\[^\\/]+)[\\/]+[^\\/]", re.ASCII)
_MAX = 4096


def file_path(text: str) -> str:
    r"""Return the canonical path, without doubled or trailing separators.

    On Windows it has backslashes and an upper-case drive. `%APPDATA%\x.exe` and
    `\\server\share\x.exe` are paths of Windows too.

    Raises:
        NotAnObservable: not absolute, or a root.
    """
    if len(text) > _MAX:
        raise NotAnObservable("too long", f"{len(text)} characters, at most {_MAX} are kept")
    if WINDOWS.match(text):
        share = text.startswith("\\\\")
        value = re.sub(r"(?<![\\\s])[\\\s]++$", "", re.sub(r"[\\/]+", r"\\", text))
        if not WINDOWS.match(f"\\{value}" if share else value):
            raise NotAnObservable("malformed file path", f"{excerpt(text)}: names no file")
        if share:
            return f"\\{value}"
        return value[0].upper() + value[1:] if value[1] == ":" else value
    if text.startswith("/"):
        value = re.sub(r"(?<![/\s])[/\s]++$", "", re.sub("/+", "/", text))
        if value:
            return value
    raise NotAnObservable("malformed file path", f"{excerpt(text)}: an absolute path expected")
