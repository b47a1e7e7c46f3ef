"""Observables that prose names; `report`, `html`, `pdf` and `rss` bring their texts here."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedIndicator,
    excerpt,
)
from services.feeds.formats.prose_context import context_kinds, may_hold_context
from services.feeds.formats.unit_account import UnitAccount
from shared.errors import InvalidInput
from shared.stix.extract import Match, attack_ids, extract
from shared.stix.markings import UNKNOWN_MARKING, tlp_tag

MAX_DOCUMENT = 128 * 1024 * 1024
"""Bytes of a page or PDF, which is read as a whole."""

LOST_LETTER = "\ufffd"
"""Stands where a byte could not be read."""

_CONTEXT_LENGTH = 100
"""Characters of description on either side of a mention."""

_MAX_IDS_IN_NOTE = 100
_MAX_NAMED = 10
# Marks where a long word may be broken; readers do not see them.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_LEVELS = {
    "tlp": re.compile(
        r"\bTLP\s?[:=]\s?(WHITE|CLEAR|GREEN|AMBER\s?[+-]\s?STRICT|AMBER|RED)\b", re.IGNORECASE
    ),
    "pap": re.compile(r"\bPAP\s?[:=]\s?(WHITE|CLEAR|GREEN|AMBER|RED)\b", re.IGNORECASE),
}
"""A document's labels, as https://www.first.org/tlp/ and MISP's taxonomy PAP demand them."""
_UNKNOWN_LEVEL = re.compile(r"\b(?:TLP|PAP):[A-Z]{3,20}\b")
"""A label with a level that nobody knows: it closes where no known one of its scheme stands."""
_HOST = re.compile(r"(?:[a-z][a-z0-9+-]*://)?(?:[^/@?#]*@)?([^/:?#]+)", re.IGNORECASE)


class ProseOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of prose.

    Attributes:
        types: the types of observables to take; all if not set.
        context: whether what is not defanged beside defanged values, and what stands in the header
            of a mail, is taken as well.
    """

    types: list[str] | None = None
    context: bool = False


class ProseReader:
    """Reads the texts of one document and collects the ATT&CK ids that they name.

    Args:
        options: what is taken.
        has_entries: whether there are entries, each of which `begin_entry` begins: a label of TLP
            or PAP marks its entry alone and not what follows.

    Attributes:
        account: of the observables and ATT&CK ids that the texts mention, each time they do.
    """

    def __init__(self, options: ProseOptions, *, has_entries: bool = False) -> None:
        types = options.types
        self._takes_context = options.context
        self._kinds: frozenset[Any] | None = None
        if types is not None:
            self._kinds = frozenset(fields.type_option(name, "options.types") for name in types)
            if not self._kinds:
                raise InvalidInput("an empty list of types takes nothing", field="options.types")
        self.account = UnitAccount("mention")
        self._attack_ids: dict[str, None] = {}
        self._has_entries = has_entries
        self._markings: dict[str, str] = {}
        self._set_aside: dict[str, None] = {}

    def begin_entry(self, texts: Iterable[str]) -> None:
        """Begin an entry: the labels in any of its texts mark all of them, and nothing else."""
        self._markings = {}
        for text in texts:
            self._read_labels(_INVISIBLE.sub("", text))

    def _read_labels(self, text: str) -> None:
        # The label stands on top of each page; words about TLP come further down.
        for scheme, levels in _LEVELS.items():
            if scheme in self._markings:
                continue
            if stated := levels.search(text):
                level = re.sub(r"\s", "", stated[1]).replace("-", "+").lower()
                self._markings[scheme] = tlp_tag(level) if scheme == "tlp" else f"pap:{level}"
        if not self._markings and _UNKNOWN_LEVEL.search(text):
            self._markings["unknown"] = UNKNOWN_MARKING

    def indicators(
        self, text: str, *, own_hosts: frozenset[str] = frozenset(), **context: Any
    ) -> Iterator[ParsedIndicator | DroppedItem]:
        """The observables that a text names, each described by the words around it.

        Args:
            text: prose.
            own_hosts: hosts that publish the text; they and their subdomains are no indicators.
            context: other fields of the indicators; a `description` replaces the words around.
        """
        account = self.account
        text = _INVISIBLE.sub("", text)
        if not self._has_entries:
            self._read_labels(text)
        if self._markings:
            context = {**context, "tags": (*context.get("tags", ()), *self._markings.values())}
        for technique in attack_ids(text):
            self._attack_ids[technique.value] = None
            account.total += 1
            account.count_context("ATT&CK id")
        doubts: list[Match] = []
        for (kind, value, start, end), reason in self._mentions(text, doubts):
            account.total += 1
            if reason:
                account.count_context(reason)
                self._set_aside[value] = None
                continue
            if self._kinds is not None and kind not in self._kinds:
                account.count_context("type that is not taken")
                continue
            if own_hosts and is_under(value, own_hosts):
                account.count_context("publisher's own host")
                continue
            account.read += 1
            fields_ = {"description": surrounding_text(text, start, end), **context}
            yield ParsedIndicator(kind, value, **fields_)
        for _, reason, start, end in doubts:
            account.total += 1
            account.count(reason)
            yield DroppedItem(f"character {start + 1}", excerpt(text[start:end]), reason)

    def count_context(self, text: str, kind: str) -> None:
        """Count the mentions of a text that is context."""
        mentions = sum(1 for _ in extract(_INVISIBLE.sub("", text)))
        self.account.total += mentions
        self.account.count_context(kind, mentions)

    def _mentions(self, text: str, doubts: list[Match]) -> Iterator[tuple[Match, str]]:
        """The mentions of a text, each with the kind of context that it is, if it is any."""
        if self._takes_context or not may_hold_context(text):
            for match in extract(text, doubts):
                yield match, ""
            return
        matches = list(extract(text, doubts))
        yield from zip(matches, context_kinds(text, matches), strict=True)

    def end(self) -> Iterator[Note | UnitAccount]:
        """The account, the document's marking, and notes on what was not taken.

        ATT&CK ids are the subject, and no observables.
        """
        yield self.account
        if self._markings and not self._has_entries:
            yield Note(f"marked {', '.join(self._markings.values())}: its first label")
        if self._set_aside:
            shown = list(self._set_aside)[:_MAX_NAMED]
            rest = len(self._set_aside) - len(shown)
            more = f" and {rest} more" if rest else ""
            yield Note(
                f"{', '.join(shown)}{more}: context, as they are in the header of a mail, or not "
                "defanged beside values that are; `--option context=true` takes them, too"
            )
        if not self._attack_ids:
            return
        ids = list(self._attack_ids)
        rest = len(ids) - _MAX_IDS_IN_NOTE
        more = f" and {rest} more" if rest > 0 else ""
        yield Note(f"names ATT&CK {', '.join(ids[:_MAX_IDS_IN_NOTE])}{more}")


def surrounding_text(text: str, start: int, end: int) -> str | None:
    """The line of `text[start:end]`; of a long line the words next to it."""
    line_start = text.rfind("\n", max(0, start - _CONTEXT_LENGTH), start) + 1
    first = max(line_start, start - _CONTEXT_LENGTH, 0)
    last = text.find("\n", end, end + _CONTEXT_LENGTH)
    if last < 0:
        last = min(len(text), end + _CONTEXT_LENGTH)
    # Where the line is cut, it is cut at a blank.
    if first and text[first - 1] != "\n" and (blank := text.find(" ", first, start)) >= 0:
        first = blank
    if last < len(text) and text[last] != "\n" and (blank := text.rfind(" ", end, last)) >= 0:
        last = blank
    return fields.short_text(" ".join(text[first:last].split()))


def host_of(address: Any) -> str | None:
    """The host of an address without its `www.`; None if it has none."""
    if not isinstance(address, str) or "://" not in address:
        return None
    match = _HOST.match(address)
    return match[1].lower().removeprefix("www.") if match else None


def is_under(value: str, hosts: frozenset[str]) -> bool:
    """Whether a name, URL or e-mail address belongs to one of some hosts or their subdomains."""
    match = _HOST.match(value)
    host = match[1] if match else ""
    while host:
        if host in hosts:
            return True
        host = host.partition(".")[2]
    return False


def read_binary_document(stream: BinaryIO) -> bytes:
    """All of a document that need not be text.

    Raises:
        MalformedDocument: it is empty, or larger than `MAX_DOCUMENT`.
    """
    parts: list[bytes] = []
    size = 0
    while piece := stream.read(1 << 20):
        size += len(piece)
        if size > MAX_DOCUMENT:
            raise MalformedDocument(f"larger than {MAX_DOCUMENT} bytes")
        parts.append(piece)
    if not size:
        raise MalformedDocument("the document is empty")
    return b"".join(parts)
