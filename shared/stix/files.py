"""Canonical names of things on a machine: files, paths, registry keys, and what programs call themselves."""

import re

from shared.stix.vocabulary import MAX_LENGTH, NotAnObservable, excerpt

_HIVES = {
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKCU": "HKEY_CURRENT_USER",
    "HKCR": "HKEY_CLASSES_ROOT",
    "HKU": "HKEY_USERS",
    "HKCC": "HKEY_CURRENT_CONFIG",
}
_HIVE_NAMES = frozenset(_HIVES.values())
_MAX_NAME = 255
_MAX_USER_AGENT = 2048
_NAMESPACE = re.compile(r"\\\\[?.]\\(?:UNC(\\))?", re.IGNORECASE)
# Where a Windows path begins: a drive, a share, a variable.
_WINDOWS = re.compile(
    r"([A-Za-z]:|\\\\[^\\/:*?\"<>|\s]{1,255}[\\/][^\\/:*?\"<>|]{1,80}|%[A-Za-z0-9_()]{1,64}%)(?:[\\/]|$)", re.ASCII
)
_POSIX = re.compile(r"(~|\$[A-Za-z_][A-Za-z0-9_]{0,63}|)/")
# Never in a name on Windows; a colon only before the name of a stream.
_IMPOSSIBLE = re.compile(r"[<>\"|?*]|^:|:$")

WINDOWS_PATH = re.compile(r"[A-Za-z]:(?:\\|/(?!/))|\\\\[^\\/\s]+\\|%[A-Za-z0-9_()]{1,64}%\\", re.ASCII)
"""What only paths on Windows begin with."""


def registry_key(text: str) -> str:
    """Canonical registry key: the hive's full name, no backslash at the end."""
    while (shorter := text.rstrip("\\").rstrip()) != text:
        text = shorter
    hive, _, rest = text.partition("\\")
    hive = _HIVES.get(hive.upper(), hive.upper())
    if hive not in _HIVE_NAMES or not rest:
        raise NotAnObservable("malformed registry key", f"{excerpt(text)}: a hive, a backslash and a key expected")
    if len(hive) + len(rest) >= MAX_LENGTH:
        raise NotAnObservable("too long", f"{len(hive) + len(rest) + 1} characters, at most {MAX_LENGTH} are kept")
    return f"{hive}\\{rest}"


def file_name(text: str) -> str:
    """A file's name. Directories before it go: the same file lies in another one on the next machine."""
    value = re.split(r"[\\/]", text)[-1].strip()
    if value in ("", ".", ".."):
        raise NotAnObservable("malformed file name", excerpt(text))
    if len(value) > _MAX_NAME:
        raise NotAnObservable("name too long", f"a file name of {len(value)} characters, at most {_MAX_NAME} expected")
    return value


def file_path(text: str) -> str:
    r"""Canonical path that says where it begins: `C:\…`, `\\server\share\…`, `%APPDATA%\…`, `/…`, `~/…`, `$HOME/…`.

    On Windows with backslashes, drive and variable in upper case, without `\\?\`; everywhere without doubled separators,
    `.` and `..`, and separators at the end. The case of names is kept.

    Raises:
        NotAnObservable: a path that is relative, names nothing but its root, or holds placeholders or a command's
            arguments.
    """
    path = _NAMESPACE.sub(lambda found: "\\\\" if found[1] else "", text, count=1) if text[:2] == "\\\\" else text
    # Escaped once more than meant, as in JSON within JSON; a share keeps its two.
    if windows := _WINDOWS.match(path):
        root, rest, sign = windows[1].replace("/", "\\"), path[windows.end(1) :].replace("/", "\\"), "\\"
        root = root if root[0] == "\\" else root.upper()
    elif posix := _POSIX.match(path):
        root, rest, sign = posix[1], path[posix.end(1) :], "/"
    else:
        raise NotAnObservable("malformed file path", f"{excerpt(text)}: no absolute path")
    names = _names(rest.split(sign), rooted=root[:1] not in ("%", "$", "~"))
    if not names or names[-1] == "..":
        raise NotAnObservable("malformed file path", f"{excerpt(text)}: names no file")
    for name in names:
        if sign == "\\" and (_IMPOSSIBLE.search(name) or name != name.strip()):
            raise NotAnObservable("malformed file path", f"{excerpt(name)!r} is no name on Windows")
        if len(name) > _MAX_NAME:
            raise NotAnObservable("name too long", f"a name of {len(name)} characters, at most {_MAX_NAME} expected")
    return f"{root}{sign}{sign.join(names)}"


def _names(parts: list[str], *, rooted: bool) -> list[str]:
    names: list[str] = []
    for part in parts:
        if part in ("", "."):
            continue
        if part != "..":
            names.append(part)
        elif names and names[-1] != "..":
            names.pop()
        elif not rooted:
            names.append(part)
    return names


def parted(path: str) -> tuple[str, str]:
    """Directory and name of a canonical path."""
    at = path.rfind("/" if path[0] in "/~$" else "\\")
    directory = path[:at]
    return directory + path[at] if directory == "" or directory[-1] == ":" else directory, path[at + 1 :]


def user_agent(text: str) -> str:
    """Canonical user agent: one blank between words, case kept, as the server logs it."""
    value = " ".join(text.split())
    if not value.isprintable() or not any(sign.isalnum() for sign in value):
        raise NotAnObservable("malformed user agent", excerpt(text))
    if len(value) > _MAX_USER_AGENT:
        raise NotAnObservable("too long", f"a user agent of {len(value)} characters, at most {_MAX_USER_AGENT} are kept")
    return value


def mutex(text: str) -> str:
    """A mutex is called what it is called."""
    return text
