"""The kind of threat that an assertion is about, by its tags and its malware family. No I/O."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_KINDS: Final = (
    ("exploited", re.compile(r"exploited|kev|exploit[ _-]?kit|in[ _-]the[ _-]wild")),
    (
        "phishing",
        re.compile(r"phish(?:ing)?|credential[ _-]?(?:theft|harvesting)|fake[ _-]?login"),
    ),
    (
        "scanner",
        re.compile(
            r"scan(?:ner|ning)?|brute[ _-]?force(?:r|login)?"
            r"|ssh|telnet|sip|vnc|rdp|ftp|imap|attack"
        ),
    ),
    ("spam", re.compile(r"spam(?:mer|ming)?|comment[ _-]?spam")),
    ("c2", re.compile(r"c2|c&c|cnc|command[ _-]and[ _-]control|botnet(?:[ _-]?cc)?")),
    (
        "delivery",
        re.compile(r"malware[ _-]?(?:download|distribution|hosting|url)|payload[ _-]?delivery"),
    ),
)


def threat_kind(tags: Sequence[str], malware: str | None) -> str:
    """The kind of threat: the first that a tag names; `malware` for a family; otherwise empty."""
    return _kind_of(tuple(tags)) or ("malware" if malware else "")


@lru_cache(maxsize=16_384)
def _kind_of(tags: tuple[str, ...]) -> str:
    words = [tag.rpartition(":")[2].strip("\"'").lower() for tag in tags]
    for kind, pattern in _KINDS:
        if any(pattern.fullmatch(word) for word in words):
            return kind
    return ""
