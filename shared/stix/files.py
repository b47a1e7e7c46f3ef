"""Where files lie: absolute paths of Windows and of Unix."""

import re

from shared.stix.vocabulary import NotAnObservable, excerpt

WINDOWS = re.compile(r"(?:[A-Za-z]:|%[A-Za-z][A-Za-z0-9_()]*%|\\\\[^\\/]+)[\\/]+[^\\/]", re.ASCII)
_MAX = 4096


def file_path(text: str) -> str:
    r"""Canonical path: on Windows with backslashes and the drive in capitals, no doubled or trailing separators.

    `%APPDATA%\x.exe` and `\\server\share\x.exe` are paths of Windows too.

    Raises:
        NotAnObservable: not absolute, or the root itself.
    """
    if len(text) > _MAX:
        raise NotAnObservable("too long", f"{len(text)} characters, at most {_MAX} are kept")
    if WINDOWS.match(text):
        share = text.startswith("\\\\")
        value = re.sub(r"[\\\s]+$", "", re.sub(r"[\\/]+", r"\\", text))
        if not WINDOWS.match(f"\\{value}" if share else value):
            raise NotAnObservable("malformed file path", f"{excerpt(text)}: names no file")
        return f"\\{value}" if share else value[0].upper() + value[1:] if value[1] == ":" else value
    if text.startswith("/"):
        value = re.sub(r"[/\s]+$", "", re.sub("/+", "/", text))
        if value:
            return value
    raise NotAnObservable("malformed file path", f"{excerpt(text)}: an absolute path expected")
