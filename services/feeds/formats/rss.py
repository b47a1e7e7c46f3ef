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
    MalformedDocument,
    Note,
    ParsedBatch,
    ParsedIndicator,
    batched,
    read_options,
)
from services.feeds.formats.html import text_of
from services.feeds.formats.report import Options, Prose, host_of
from services.feeds.formats.streams import document

_END = re.compile(
    rb"</(?:[A-Za-z]+:)?(?:rss|feed|RDF)\s*>\s*(?:<!--.{0,1000}-->\s*)*$", re.DOTALL | re.IGNORECASE
)
_TAIL = 2048


class RssFormat:
    """RSS and Atom. Of each entry title, summary and content count; `ref` is its link, `description` its title.

    The hosts of the feed and of its entries' links are no indicators.
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
            MalformedDocument: also when it is no feed, or cut off.
        """
        prose = Prose(read_options(Options, options).types)
        return batched(_items(stream, prose))


def _items(stream: BinaryIO, prose: Prose) -> Iterator[ParsedIndicator | Note]:
    data = document(stream)
    # A stream, for a text could be taken for an address or the name of a file.
    feed = feedparser.parse(io.BytesIO(data), sanitize_html=False, resolve_relative_uris=False)
    if not feed.get("version"):
        raise MalformedDocument("this is neither RSS nor Atom")
    if not _END.search(data[-_TAIL:]):
        raise MalformedDocument(
            "the feed is cut off: its last tag is not closed", f"byte {len(data)}"
        )
    if feed.get("bozo") and not isinstance(
        feed.bozo_exception, feedparser.CharacterEncodingOverride
    ):
        yield Note(
            f"the feed is not well-formed and was read as far as it goes: {fields.words(str(feed.bozo_exception), 200)}"
        )
    hosts = {host_of(_text(feed.feed, "link"))} | {
        host_of(_text(entry, "link")) for entry in feed.entries
    }
    own = frozenset(host for host in hosts if host)
    for entry in feed.entries:
        yield from _entry(entry, prose, own)
    yield from prose.notes()


def _entry(entry: Any, prose: Prose, own: frozenset[str]) -> Iterator[ParsedIndicator]:
    title = text_of(_text(entry, "title"))
    texts = dict.fromkeys(
        [_text(entry, "summary"), *(_text(piece, "value") for piece in entry.get("content") or ())]
    )
    context = {
        "ref": fields.words(_text(entry, "link")) or fields.words(_text(entry, "id")),
        "first_seen": _moment(
            dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
        ),
    }
    if words := fields.words(" ".join(title.split())):
        context["description"] = words
    for text in (title, *map(text_of, texts)):
        yield from prose.indicators(text, own=own, **context)


def _text(part: Any, name: str) -> str:
    value = dict.get(part, name)
    return value if isinstance(value, str) else ""


def _moment(parsed: Any) -> str | None:
    try:
        return (
            fields.timestamp(datetime.fromtimestamp(calendar.timegm(parsed), UTC).isoformat())
            if parsed
            else None
        )
    except (ValueError, OverflowError, TypeError):
        return None
