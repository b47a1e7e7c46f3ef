"""The formats by name, and the guess which format a document has."""

import re
from functools import cache
from importlib import import_module
from typing import Final

from services.feeds.formats import table_layout
from services.feeds.formats.base import Format, MalformedDocument
from services.feeds.formats.streams import HEAD, refuse_foreign
from services.feeds.formats.text import TextFormat, plain_texts
from shared.errors import InvalidInput
from shared.plugins import load_plugins
from shared.stix import NotAnObservable, detect

GROUP: Final = "sentineliq.formats"
"""Entry points of this group are classes that implement `Format`."""

_BUILT_IN: Final = {
    "text": "text:TextFormat",
    "csv": "csv:CsvFormat",
    "json": "json:JsonFormat",
    "stix": "stix:StixFormat",
    "misp": "misp:MispFormat",
    "rss": "rss:RssFormat",
    "html": "html:HtmlFormat",
    "pdf": "pdf:PdfFormat",
    "report": "report:ProseFormat",
}
"""Module and class of each format. Modules are imported late: some need large libraries."""

_STIX = re.compile(rb'"type"\s*:\s*"bundle"|"spec_version"\s*:\s*"2\.')
_STIX_OBJECTS = re.compile(rb'"objects"\s*:\s*\[')
_NO_OBJECTS = re.compile(rb'"objects"\s*:\s*\[\s*(?:\]|$)')
_STIX_ID = re.compile(rb'"id"\s*:\s*"[a-z0-9-]{2,60}--[0-9a-fA-F]{8}-')
_MISP_EVENT = re.compile(rb'"Event"\s*:\s*\{')
_MISP_ATTRIBUTES = re.compile(rb'"Attribute"\s*:\s*\[')
_NO_INDICATORS = (
    (b'"matching_attributes"', "a warning list of MISP: its values are known to be harmless"),
    (b'"meta-category"', "an object template of MISP, which holds no values"),
)
"""Properties of JSON documents that are often beside feeds and are none."""
_SYNDICATION = re.compile(
    rb"(?:\s|<\?[^>]*\?>|<!--.{0,2000}?-->)*<(?:rss|feed|(?:[A-Za-z]+:)?RDF)\b",
    re.IGNORECASE | re.DOTALL,
)
_LIST_ENDINGS = TextFormat.media[1:]
_WEB_PAGES = ("html", "htm", "xhtml")


def format_names() -> list[str]:
    """Names of all formats: the built-in ones, then those of installed packages."""
    return [*_BUILT_IN, *_plugins()]


@cache
def _plugins() -> dict[str, Format]:
    return load_plugins(GROUP, _BUILT_IN)


@cache
def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        InvalidInput: there is no such format; the message lists the formats.
    """
    if name in _BUILT_IN:
        module, _, class_name = _BUILT_IN[name].partition(":")
        format_class = getattr(import_module(f"services.feeds.formats.{module}"), class_name)
        format_: Format = format_class()
        return format_
    if name in _plugins():
        return _plugins()[name]
    raise InvalidInput(f"{name!r} is no format; one of {', '.join(format_names())}", field="format")


def guess_format(name: str, head: bytes) -> tuple[str, str]:
    """The probable format of a document, and the reason for it.

    Args:
        name: file name or address; its ending decides only where the content leaves a choice.
        head: the first bytes; 64 KiB are enough.

    Raises:
        MalformedDocument: the document is binary, of another encoding, or an HTML page.
        InvalidInput: it is text, but of no built-in format.
    """
    head = head[:HEAD].removeprefix(b"\xef\xbb\xbf")
    ending = re.sub(r"[?#].*", "", name).rpartition(".")[2].lower()
    if head.startswith(b"%PDF-"):
        return "pdf", "it begins as a PDF document does"
    if _SYNDICATION.match(head):
        return "rss", "it begins as RSS or Atom does"
    if ending in _WEB_PAGES:
        return "html", f"its name ends in .{ending}"
    # A web page under another name is no report: more often it tells that the list is missing.
    refuse_foreign(head)
    text = head.decode("utf-8", "replace")
    if text.lstrip()[:1] in ("{", "["):
        return _guess_json(head)
    return _guess_lines(text, ending)


def _guess_json(head: bytes) -> tuple[str, str]:
    if _MISP_EVENT.search(head):
        return "misp", 'it is JSON with an "Event"'
    if _MISP_ATTRIBUTES.search(head) and b'"to_ids"' in head:
        return "misp", "it is JSON with attributes of a MISP event"
    has_stix_objects = _STIX_OBJECTS.search(head) and _STIX_ID.search(head)
    if _STIX.search(head) or _NO_OBJECTS.search(head) or has_stix_objects:
        return "stix", "it is JSON with a bundle of objects"
    for name, words in _NO_INDICATORS:
        if name in head:
            raise MalformedDocument(f"this is {words}; name the format to read it all the same")
    return "json", "it is JSON, and neither a STIX bundle nor a MISP event"


def _guess_lines(text: str, ending: str) -> tuple[str, str]:
    lines = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise InvalidInput(
            "the document holds no data to tell its format by; name the format", field="format"
        )
    if ending in ("csv", "tsv"):
        return "csv", f"its name ends in .{ending}"
    delimiter = table_layout.guess_delimiter(lines)
    table = table_layout.rows(lines, delimiter)
    names, _ = table_layout.header(lines, "", delimiter, has_header=None)
    if len(names) > 1 and all(len(row) == len(names) for row in table[:20]):
        return "csv", f"its first line names {len(names)} columns, and every row has as many"
    hits = sum(_holds_observable(line.strip()) for line in lines)
    if hits * 10 >= len(lines):
        return "text", f"{hits} of its first {len(lines)} lines begin with an observable"
    if f".{ending}" in _LIST_ENDINGS and all(len(line.split()) == 1 for line in lines):
        return "text", f"its name ends in .{ending}, and every line holds one word"
    widths = {len(row) for row in table[:20]}
    if len(widths) == 1 and widths.pop() > 2:
        return "csv", "every row has the same number of columns"
    raise InvalidInput(
        "this is text, but neither a list of observables nor a table", field="format"
    )


def _holds_observable(line: str) -> bool:
    for text in plain_texts(line):
        try:
            detect(text)
        except NotAnObservable:
            return False
    return True
