"""What looks like a name or an address in prose and is none: files, code, ends of sentences, versions.

A defanged name or address is none of it: nobody defangs a file. So this is asked about plain ones only.
"""

import re

# Endings of files that are top-level domains as well. `setup.py` is a file and `www.example.py` a site in Paraguay:
# of plain names with these endings those of two labels are files. A site of two labels is found when it is defanged,
# behind http:// or before a path. Endings that malware uses more as a domain than prose as a file (.cc, .ml, .in) are
# not among them.
_FILES = frozenset(
    ("app", "cab", "dot", "java", "md", "mk", "pl", "pm", "ps", "pub", "py", "rs", "sh", "so", "tf")
)
_ARCHIVES = frozenset({"zip", "mov"})
"""Endings that are files however many labels are before them."""

_CODE = frozenset((
    "args", "asp", "config", "console", "ctx", "data", "document", "event", "file", "http", "https", "item", "java",
    "javax", "json", "math", "module", "obj", "object", "os", "path", "process", "re", "req", "request", "response",
    "result", "row", "self", "session", "socket", "string", "super", "sys", "system", "this", "user", "vb",
    "window",
))  # fmt: skip
"""First labels of attributes (`self.name`, `window.open`): of two labels, such a name is code."""

_REVERSED = frozenset({"com", "org", "net", "java", "javax", "android", "androidx", "kotlin"})
"""First labels of packages, `com.example.app`: names that begin at their root."""

_VERSION = re.compile(
    r"(?:\bv|\bver|\bversions?|\bbuild|\brelease|\brev|\brevision|\bfirmware|\bpatch|\bsection|\bsec|\bchapter|\boid"
    r"|\u00a7)[\s:=.#-]{0,3}$",
    re.IGNORECASE,
)
_LOOK_BACK = 16
"""Characters before an address in which the word may stand that makes it a version."""


def no_name(text: str, start: int, end: int) -> bool:
    """Whether the plain, dotted name `text[start:end]` is a file, code or two sentences without a blank between."""
    name = text[start:end]
    head, _, last = name.rpartition(".")
    if text.startswith("(", end) or in_path(text, start):
        return True
    if sentence_end(last) or last == "NET":
        return True
    kind, first = last.lower(), head.partition(".")[0].lower()
    if kind in _ARCHIVES:
        return True
    if "." in head:
        return first in _REVERSED
    return first in _CODE or (kind in _FILES and not _has_path(text, end))


def no_address(text: str, start: int) -> bool:
    """Whether the dotted number at `start` is a version: behind "version", or `Product/1.2.3.4`."""
    if text[start - 1 : start] == "/" and start > 1 and text[start - 2].isalpha():
        return True
    return bool(_VERSION.search(text[max(0, start - _LOOK_BACK) : start]))


def sentence_end(label: str) -> bool:
    """Whether a last label is the first word of the next sentence, as in `was infected.In May`."""
    return label[:1].isupper() and label[1:].islower()


def in_path(text: str, start: int) -> bool:
    """Whether a name stands within a path: behind a slash or a backslash, except where hosts stand."""
    before = text[max(0, start - 3) : start]
    if before[-2:] in ("//", "\\\\"):
        return len(before) == 3 and not before[0].isspace() and before[0] not in "\"'(=:"
    return before[-1:] in ("/", "\\", "$")


def _has_path(text: str, end: int) -> bool:
    return text.startswith("/", end) and text[end + 1 : end + 2].isalnum()
