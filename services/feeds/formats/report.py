"""Reports: prose that names observables. Here as plain text; `html`, `pdf` and `rss` bring their texts here too."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import msgspec

from services.feeds.formats import fields
from services.feeds.formats.base import (
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    read_options,
)
from services.feeds.formats.streams import document
from shared.errors import InvalidInput
from shared.stix.extract import attack_ids, extract

MAX_DOCUMENT = 128 * 1024 * 1024
"""Bytes of a page or PDF; reports are read as a whole."""

_CONTEXT = 100
"""Characters kept on either side of a mention."""

_IDS_NAMED = 100
# Marks for where a word may be broken, put into long ones: nothing that is seen.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of prose.

    Attributes:
        types: the types to take; all when not given.
    """

    types: list[str] | None = None


class Prose:
    """Takes texts of one document; knows afterwards which ATT&CK ids they named.

    Attributes:
        kinds: the types to take; None for all.
    """

    def __init__(self, types: Iterable[str] | None) -> None:
        kinds = (
            None if types is None else [fields.type_option(name, "options.types") for name in types]
        )
        if kinds is not None and not kinds:
            raise InvalidInput("an empty list of types takes nothing", field="options.types")
        self.kinds = None if kinds is None else frozenset(kinds)
        self._attack: dict[str, None] = {}

    def indicators(
        self, text: str, *, own: frozenset[str] = frozenset(), **context: Any
    ) -> Iterator[ParsedIndicator]:
        """The observables a text names, each described by the words around it.

        Args:
            text: prose.
            own: hosts that the text is published on: they and what lies under them are not indicators.
            context: other fields of the records; a `description` replaces the words around.
        """
        text = _INVISIBLE.sub("", text)
        for technique in attack_ids(text):
            self._attack[technique.value] = None
        for kind, value, start, end in extract(text):
            if (self.kinds is None or kind in self.kinds) and not (own and is_under(value, own)):
                described = {"description": around(text, start, end), **context}
                yield ParsedIndicator(kind, value, **described)

    def notes(self) -> Iterator[Note]:
        """The ATT&CK ids that were named: what a report is about, and no observables."""
        if self._attack:
            more = (
                f" and {len(self._attack) - _IDS_NAMED} more"
                if len(self._attack) > _IDS_NAMED
                else ""
            )
            yield Note(f"names ATT&CK {', '.join(list(self._attack)[:_IDS_NAMED])}{more}")


class ProseFormat:
    """Plain text. Each record is described by the line it stands in, or the part of it around."""

    name: ClassVar[str] = "report"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = ("text/markdown", ".md", ".report")

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`."""
        prose = Prose(read_options(Options, options).types)
        return batched(_items(stream, prose))


def _items(stream: BinaryIO, prose: Prose) -> Iterator[ParsedIndicator | Note]:
    yield from prose.indicators(document(stream).decode("utf-8", "replace"))
    yield from prose.notes()


def around(text: str, start: int, end: int) -> str | None:
    """The line `text[start:end]` stands in, or of a long line the words next to it."""
    first = max(text.rfind("\n", max(0, start - _CONTEXT), start) + 1, start - _CONTEXT, 0)
    last = text.find("\n", end, end + _CONTEXT)
    if last < 0:
        last = min(len(text), end + _CONTEXT)
    if first and text[first - 1] != "\n" and (blank := text.find(" ", first, start)) >= 0:
        first = blank
    if last < len(text) and text[last] != "\n" and (blank := text.rfind(" ", end, last)) >= 0:
        last = blank
    return fields.words(" ".join(text[first:last].split()))


_HOST = re.compile(r"(?:[a-z][a-z0-9+-]*://)?(?:[^/@?#]*@)?([^/:?#]+)", re.IGNORECASE)


def host_of(address: Any) -> str | None:
    """The host of an address, without its `www.`; None when it has none."""
    found = _HOST.match(address) if isinstance(address, str) and "://" in address else None
    return found[1].lower().removeprefix("www.") if found else None


def is_under(value: str, hosts: frozenset[str]) -> bool:
    """Whether a name, URL or e-mail address belongs to one of some hosts or lies under one."""
    found = _HOST.match(value)
    host = found[1] if found else ""
    while host:
        if host in hosts:
            return True
        host = host.partition(".")[2]
    return False


def whole(stream: BinaryIO) -> bytes:
    """All of a document that need not be text.

    Raises:
        MalformedDocument: empty, or larger than `MAX_DOCUMENT`.
    """
    parts, size = [], 0
    while piece := stream.read(1 << 20):
        size += len(piece)
        if size > MAX_DOCUMENT:
            raise MalformedDocument(f"larger than {MAX_DOCUMENT} bytes")
        parts.append(piece)
    if not size:
        raise MalformedDocument("the document is empty")
    return b"".join(parts)
