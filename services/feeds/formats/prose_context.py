"""Observables that prose names and does not mean: of mail headers, and beside defanged ones.

Who defangs the indicators of a report leaves links to himself and to others as they are. A report
that was sent on begins with the names of those who sent it.
"""

import re
from collections.abc import Sequence
from typing import Final

from shared.stix import ObservableType
from shared.stix.defang import refang
from shared.stix.extract import Match

NOT_DEFANGED: Final = "not defanged beside defanged ones"
IN_MAIL_HEADER: Final = "in the header of a mail"

_T = ObservableType
_SHARE: Final = 0.2
"""The share of distinct values that are defanged from which a text defangs what it means."""

_FAMILIES: Final = {
    _T.DOMAIN: "name",
    _T.URL: "name",
    _T.EMAIL: "name",
    _T.IPV4: "address",
    _T.IPV6: "address",
}
_MARK: Final = re.compile(
    r"\[\.|\.\]|\(\.\)|\{\.\}|[\[({]dot|\[:|\[/|[\[({]at[\])}]|[\[({]@|h[x*_t]{2}p|\\\."
    r"|<dot>|\sDOT\s",
    re.IGNORECASE,
)
_FIELD: Final = re.compile(
    r"(?:>[ \t]?)*(?:Received|Return-Path|Message-ID|In-Reply-To|References|From|Sender|Reply-To|To"
    r"|Cc|Bcc|Date|Sent|Subject|Delivered-To|MIME-Version|Content-[A-Za-z-]{1,30}|User-Agent"
    r"|X-[\w-]{1,40}"
    r"|Authentication-Results|DKIM-Signature|ARC-[\w-]{1,30}|Received-SPF|List-[A-Za-z-]{1,30}"
    r"|Von|An|Kopie|Betreff|Datum|Gesendet|Antwort an|De|\u00c0|Envoy\u00e9|Objet|Para|Asunto"
    r"|Enviado(?: el)?|Assunto|Enviada em)[ \t]?:[ \t\u00a0]*\S?",
    re.IGNORECASE,
)
_SENDER: Final = re.compile(
    r"^(?:>[ \t]?)*(?:Received|Return-Path|Message-ID|From|Von|De)[ \t]?:",
    re.IGNORECASE | re.MULTILINE,
)
_CONTINUED: Final = re.compile(r"(?:>[ ]?)*[ \t]+\S")
"""A line that goes on with the field above it."""

_MAX_NAME: Final = 80
"""Characters of a line that may name a field."""


def context_kinds(text: str, matches: Sequence[Match]) -> list[str]:
    """For each mention of a text why it is context; empty for one that is meant."""
    kinds = [""] * len(matches)
    spellings = [is_defanged(text[match.start : match.end]) for match in matches]
    families = [_FAMILIES.get(ObservableType(match.type), "") for match in matches]
    defanging = _defanging_families(matches, families, spellings)
    defanged = {match.value for match, spelt in zip(matches, spellings, strict=True) if spelt}
    spans = mail_headers(text)
    at = 0
    for number, match in enumerate(matches):
        while at < len(spans) and spans[at][1] <= match.start:
            at += 1
        if spellings[number] or match.value in defanged:
            continue
        if at < len(spans) and spans[at][0] <= match.start:
            kinds[number] = IN_MAIL_HEADER
        elif families[number] in defanging and not _is_in_brackets(text, match):
            kinds[number] = NOT_DEFANGED
    return kinds


def may_hold_context(text: str) -> bool:
    """Whether a text has defanged values or the header of a mail, so that others may be context."""
    return _MARK.search(text) is not None or bool(mail_headers(text))


def is_defanged(spelling: str) -> bool:
    """Whether a mention is written so that no program makes it a link."""
    return refang(spelling) != spelling or " DOT " in spelling


def _is_in_brackets(text: str, match: Match) -> bool:
    """Whether a mention stands in brackets of its own, which breaks a link as well."""
    return text[match.start - 1 : match.start] == "[" and text[match.end : match.end + 1] == "]"


def _defanging_families(
    matches: Sequence[Match], families: Sequence[str], spellings: Sequence[bool]
) -> set[str]:
    """The families of observables of which a text defangs what it means."""
    values: dict[str, dict[str, bool]] = {}
    for match, family, spelt in zip(matches, families, spellings, strict=True):
        if family:
            distinct = values.setdefault(family, {})
            distinct[match.value] = distinct.get(match.value, False) or spelt
    return {
        family
        for family, distinct in values.items()
        if sum(distinct.values()) >= max(len(distinct) * _SHARE, 1)
    }


def mail_headers(text: str) -> list[tuple[int, int]]:
    """The places of the headers of mails: lines `Name: value`, one of which names a sender."""
    spans: list[tuple[int, int]] = []
    if _SENDER.search(text) is None:
        return spans
    start = at = 0
    fields = 0
    has_sender = False
    for line in text.splitlines(keepends=True):
        name = line[:_MAX_NAME]
        if _FIELD.match(name):
            fields += 1
            has_sender = has_sender or _SENDER.match(name) is not None
        elif not (fields and _CONTINUED.match(line)):
            if fields > 1 and has_sender:
                spans.append((start, at))
            fields = 0
            has_sender = False
        at += len(line)
        if not fields:
            start = at
    if fields > 1 and has_sender:
        spans.append((start, at))
    return spans
