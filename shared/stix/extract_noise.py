"""Recognises files, code, ends of sentences and versions that look like names or addresses.

Only names and addresses that are not defanged need this: files are never defanged.
"""

import re

# Endings of files that are top-level domains as well. `setup.py` is a file and `www.example.py` a
# site in Paraguay: names of two labels with these endings are files. A site of two labels matches
# if it is defanged, behind http://, or before a path. Endings that are more often domains of
# malware than files in prose (.cc, .ml, .in) are not among them.
_FILES = frozenset(
    ("app", "cab", "dot", "java", "md", "mk", "pl", "pm", "ps", "pub", "py", "rs", "sh", "so", "tf")
)
_ARCHIVES = frozenset({"zip", "mov"})
"""Endings of files with any number of labels."""

_CODE = frozenset((
    "args", "asp", "config", "console", "ctx", "data", "document", "event", "file", "http",
    "https", "item", "java", "javax", "json", "math", "module", "obj", "object", "os", "path",
    "process", "re", "req", "request", "response", "result", "row", "self", "session", "socket",
    "string", "super", "sys", "system", "this", "user", "vb", "window",
))  # fmt: skip
"""First labels of attributes (`self.name`, `window.open`): of two labels, such a name is code."""

_REVERSED = frozenset({"com", "org", "net", "java", "javax", "android", "androidx", "kotlin"})
"""First labels of reversed names, as of packages: `com.example.app`."""

_VERSION = re.compile(
    r"(?:\bv|\bver|\bversions?|\bbuild|\brelease|\brev|\brevision|\bfirmware|\bpatch|\bsection"
    r"|\bsec|\bchapter|\boid|\u00a7)[\s:=.#-]{0,3}$",
    re.IGNORECASE,
)
_LOOK_BACK = 16
"""Characters before an address that are searched for a word that makes it a version."""


def no_name(text: str, start: int, end: int) -> bool:
    """Whether the dotted name `text[start:end]` is a file, code, or the end of a sentence."""
    name = text[start:end]
    head, _, last = name.rpartition(".")
    if text.startswith("(", end) or in_path(text, start):
        return True
    if sentence_end(last) or last == "NET":
        return True
    kind = last.lower()
    first = head.partition(".")[0].lower()
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
    """Whether a name is within a path: behind a slash or backslash, except as a URL's host."""
    before = text[max(0, start - 3) : start]
    if before[-2:] in ("//", "\\\\"):
        return len(before) == 3 and not before[0].isspace() and before[0] not in "\"'(=:"
    return before[-1:] in ("/", "\\", "$")


def _has_path(text: str, end: int) -> bool:
    return text.startswith("/", end) and text[end + 1 : end + 2].isalnum()
