"""RSS and Atom: the prose of the entries."""

import calendar
import io
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, ClassVar

import feedparser

from services.feeds.formats import fields
from services.feeds.formats.base import (
    DroppedItem,
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    read_options,
)
from services.feeds.formats.html import text_of_markup
from services.feeds.formats.prose import ProseOptions, ProseReader, host_of
from services.feeds.formats.streams import read_text_document
from services.feeds.formats.unit_account import UnitAccount

_LAST_TAG = re.compile(
    rb"</(?:[A-Za-z]++:)?(?:rss|feed|RDF)\s*+>\s*+(?:<!--(?>.{0,1000}?-->)\s*+)*+$",
    re.DOTALL | re.IGNORECASE,
)
_TAIL_LENGTH = 2048


class RssFormat:
    """RSS and Atom: title, summary and content of each entry.

    `ref` is the entry's link, the description its title. The hosts of the feed and of its entries'
    links are no indicators.
    """

    name: ClassVar[str] = "rss"
    incremental: ClassVar[bool] = True
    media: ClassVar[tuple[str, ...]] = (
        "application/rss+xml",
        "application/atom+xml",
        ".rss",
        ".atom",
    )

    def parse(self, stream: BinaryIO, options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        """See `Format.parse`.

        Raises:
            MalformedDocument: also if the document is cut off.
        """
        prose = ProseReader(read_options(ProseOptions, options), has_entries=True)
        return batched(_items(stream, prose))


def _items(
    stream: BinaryIO, prose: ProseReader
) -> Iterator[ParsedIndicator | DroppedItem | Note | UnitAccount]:
    data = read_text_document(stream)
    # feedparser takes a text for an address or a file name, but never a stream.
    try:
        feed = feedparser.parse(io.BytesIO(data), sanitize_html=False, resolve_relative_uris=False)
    except ValueError as error:  # an encoding whose name is none
        raise MalformedDocument(f"the feed cannot be decoded: {error}") from None
    if not feed.get("version"):
        raise MalformedDocument("this is neither RSS nor Atom")
    if not _LAST_TAG.search(data[-_TAIL_LENGTH:]):
        raise MalformedDocument(
            "the feed is cut off: its last tag is not closed", f"byte {len(data)}"
        )
    if feed.get("bozo") and not isinstance(
        feed.bozo_exception, feedparser.CharacterEncodingOverride
    ):
        problem = fields.short_text(str(feed.bozo_exception), 200)
        yield Note(f"the feed is not well-formed and was read as far as it goes: {problem}")
    links = [_text(feed.feed, "link"), *(_text(entry, "link") for entry in feed.entries)]
    own_hosts = frozenset(host for link in links if (host := host_of(link)))
    for entry in feed.entries:
        yield from _entry_indicators(entry, prose, own_hosts)
    yield from prose.end()


def _entry_indicators(
    entry: Any, prose: ProseReader, own_hosts: frozenset[str]
) -> Iterator[ParsedIndicator | DroppedItem]:
    title = text_of_markup(_text(entry, "title"))
    stated = [
        time
        for name in ("published_parsed", "updated_parsed")
        if (time := _timestamp(dict.get(entry, name)))
    ]
    context = {
        "ref": fields.short_text(_text(entry, "link")) or fields.short_text(_text(entry, "id")),
        "first_seen": stated[0] if stated else None,
        "last_seen": max(stated, default=None),
    }
    if description := fields.short_text(" ".join(title.split())):
        context["description"] = description
    # The summary often repeats the content: equal texts are read once.
    bodies = [_text(entry, "summary")]
    bodies += [_text(piece, "value") for piece in entry.get("content") or ()]
    texts = [title, *map(text_of_markup, dict.fromkeys(bodies))]
    prose.begin_entry(texts)
    for text in texts:
        yield from prose.indicators(text, own_hosts=own_hosts, **context)


def _text(part: Any, name: str) -> str:
    value = dict.get(part, name)  # a feedparser dict would look under other names as well
    return value if isinstance(value, str) else ""


def _timestamp(parsed: Any) -> str | None:
    if not parsed:
        return None
    try:
        moment = datetime.fromtimestamp(calendar.timegm(parsed), UTC)
        return fields.timestamp(moment.isoformat())
    except (ValueError, OverflowError, TypeError):
        return None
