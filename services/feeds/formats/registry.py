"""The formats by name, and the guess which format a document has."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

import msgspec

from services.feeds.formats.base import Format, MalformedDocument, read_options
from services.feeds.formats.line_guess import guess_lines
from services.feeds.formats.streams import HEAD, refuse_foreign, text_head
from shared.errors import InvalidInput
from shared.plugins import load_plugins

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
    "xml": "xml:XmlFormat",
    "spreadsheet": "spreadsheet:SpreadsheetFormat",
}
"""Module and class of each format. Modules are imported late: some need large libraries."""

_OPTIONS: Final = {
    "text": "text:TextOptions",
    "csv": "csv:CsvOptions",
    "spreadsheet": "spreadsheet:SpreadsheetOptions",
    "json": "json:JsonOptions",
    "xml": "json:JsonOptions",
    "misp": "misp:MispOptions",
    "stix": "stix:StixOptions",
    "html": "html:HtmlOptions",
    "report": "prose:ProseOptions",
    "rss": "prose:ProseOptions",
    "pdf": "prose:ProseOptions",
}
"""Module and class of the options of each built-in format."""

_JSON = re.compile(
    rb"""\s*+(?:\{\s*+(?:["}]|$)
      |\[\s*+(?:[{\["\]]|-?[0-9.]++\s*+[,\]]|(?:true|false|null)\b|$))""",
    re.VERBOSE,
)
_XML = re.compile(rb"\s*+<(?:\?xml\b|!--|[A-Za-z])")
_TAG = re.compile(rb"<[A-Za-z!?]")
_HTML_PIECE = re.compile(
    rb"\s*+<(div|dl|h[1-6]|li|ol|p|pre|span|ul|tr|td"
    rb"|table(?=[^>]*+>\s*+<(?:caption|colgroup|t)))\b",
    re.IGNORECASE,
)
"""Elements of web pages with which a piece of one may begin."""
_STIX = re.compile(rb'"type"\s*:\s*"bundle"')
_STIX_OBJECTS = re.compile(rb'"objects"\s*:\s*\[')
_ENVELOPE_PROPERTY = (
    rb'"(?:type|id|spec_version|more|next)"\s*+:\s*+(?:"[^"]*+"|true|false|null)\s*+'
)
_NO_OBJECTS = re.compile(
    rb'\s*+\{\s*+(?:%b,\s*+)*+"objects"\s*+:\s*+\[\s*+(?:$|\]\s*+(?:,\s*+%b)*+\}\s*+$)'
    % (_ENVELOPE_PROPERTY, _ENVELOPE_PROPERTY)
)
"""An envelope or bundle of no objects, which has no other list."""
_STIX_ID = re.compile(rb'"id"\s*:\s*"[a-z0-9-]{2,60}--[0-9a-fA-F]{8}-')
_STIX_INDICATOR = re.compile(rb'"id"\s*:\s*"indicator--[0-9a-fA-F]{8}-')
_FIRST_TYPE = re.compile(rb'\s*+(?:\[\s*+)?\{[^{}\[\]]*"type"\s*:\s*"([a-z0-9-]{2,60})"')
"""The type of an object, or of the first of a list, without a bundle around it."""
_MISP_EVENT = re.compile(
    rb"""  "Event"\s*+:\s*+\{[^{}]*?
      "(?:Attribute|Object|Orgc|Tag|Org|orgc_id|info|uuid|threat_level_id)"\s*:""",
    re.VERBOSE,
)
"""With a property of MISP's events: logs of other programs hold an "Event", too."""
_MISP_ATTRIBUTES = re.compile(rb'"Attribute"\s*:\s*\[')
_FIRST_PROPERTIES = re.compile(rb"\s*+(?:\[\s*+)?\{[^{}\[\]]*+")
_MISP_ATTRIBUTE = re.compile(
    rb"""  "to_ids"\s*:|"category"\s*:\s*"(?:Antivirus\ detection|Artifacts\ dropped|Attribution
      |External\ analysis|Financial\ fraud|Internal\ reference|Network\ activity|Payload\ delivery
      |Payload\ installation|Payload\ type|Persistence\ mechanism|Support\ Tool
      |Targeting\ data)" """,
    re.VERBOSE,
)
"""Among the first properties of an attribute, or of a list of attributes, without an event."""
_ATTRIBUTE_PROPERTIES = (re.compile(rb'"type"\s*:'), re.compile(rb'"value"\s*:'))
_NO_INDICATORS = (
    (b'"matching_attributes"', "a warning list of MISP: its values are known to be harmless"),
    (b'"meta-category"', "an object template of MISP, which holds no values"),
)
"""Properties of JSON documents that are often beside feeds and are none."""
_SYNDICATION = re.compile(
    rb"\A(?:\s++|<\?[^>]*+>|<!--(?>.{0,2000}?-->))*+<(?:rss|feed|(?:[A-Za-z]++:)?RDF)\b",
    re.IGNORECASE | re.DOTALL,
)
_BEGINNINGS = (
    ("pdf", re.compile(rb"%PDF-"), "it begins as a PDF document does"),
    (
        "spreadsheet",
        re.compile(
            rb"PK\x03\x04.{26}(?:\[Content_Types\]|_rels/|docProps/|xl/"
            rb"|mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet)|\xd0\xcf\x11\xe0",
            re.DOTALL,
        ),
        "it begins as a spreadsheet does",
    ),
    ("rss", _SYNDICATION, "it begins as RSS or Atom does"),
)
"""Formats whose documents are known by their first bytes."""
_BINARY = frozenset({"pdf", "spreadsheet"})
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


def check_options(format_name: str | None, options: Mapping[str, Any]) -> None:
    """Check the names and types of a format's options, as far as they are known.

    Args:
        format_name: the format; None if it is guessed later: any built-in format may have them.
        options: the options.

    Raises:
        InvalidInput: there is no such option, or it has another type; the message lists them.
    """
    if format_name is not None:
        if format_name in _OPTIONS:
            read_options(_options_of(format_name), options)
        return
    names = {name: _option_names(_options_of(name)) for name in _OPTIONS}
    available = {option for listed in names.values() for option in listed}
    for option in options:
        if option not in available:
            lists = "; ".join(f"{name}: {', '.join(listed)}" for name, listed in names.items())
            raise InvalidInput(
                f"No format has an option `{option}`; there are: {lists}.", field="options"
            )


@cache
def _options_of(format_name: str) -> type[msgspec.Struct]:
    module, _, class_name = _OPTIONS[format_name].partition(":")
    options: type[msgspec.Struct] = getattr(
        import_module(f"services.feeds.formats.{module}"), class_name
    )
    return options


def _option_names(options: type[msgspec.Struct]) -> list[str]:
    return [option.name for option in msgspec.structs.fields(options)]


def guess_format(name: str, head: bytes) -> tuple[str, str]:
    """The probable format of a document, and the reason for it.

    The content comes first: JSON whose name ends in .html is JSON, and a log whose name ends in
    .csv is a log.

    Args:
        name: file name or address; its ending decides only where the content leaves a choice.
        head: the first bytes; 64 KiB are enough.

    Raises:
        MalformedDocument: the document is binary, an HTML page, or of a kind without indicators.
        InvalidInput: it is text, but of no built-in format; or several ways to read it are as good.
    """
    raw = head[:HEAD]
    head = text_head(raw)
    ending = re.sub(r"[?#].*", "", name).rpartition(".")[2].lower()
    for format_name, pattern, reason in _BEGINNINGS:
        if pattern.match(raw if format_name in _BINARY else head):
            return format_name, reason
    if ending in _WEB_PAGES and _TAG.search(head) and not _JSON.match(head):
        return "html", f"its name ends in .{ending}"
    # A web page under another name is no report: more often it tells that the list is missing.
    refuse_foreign(raw)
    if piece := _HTML_PIECE.match(head):
        raise MalformedDocument(
            f"this is a piece of a web page, which begins with <{piece[1].decode()}>; "
            "`--format html` reads it",
            "line 1",
        )
    if _XML.match(head):
        return "xml", "it begins as XML does"
    # A list may begin with `[2001:db8::1]:443` or `[Adblock Plus 2.0]`.
    if _JSON.match(head):
        return _guess_json(head)
    return guess_lines(head.decode("utf-8", "replace"), ending)


def _guess_json(head: bytes) -> tuple[str, str]:
    if _MISP_EVENT.search(head):
        return "misp", 'it is JSON with an "Event"'
    if _MISP_ATTRIBUTES.search(head) and b'"to_ids"' in head:
        return "misp", "it is JSON with attributes of a MISP event"
    if _is_misp_attribute(head):
        return "misp", "it is JSON with attributes as MISP writes them"
    first_type = _FIRST_TYPE.match(head)
    if first_type and re.search(rb'"id"\s*:\s*"' + first_type[1] + rb"--[0-9a-fA-F]{8}-", head):
        return "stix", "it is JSON with STIX objects"
    has_stix_objects = _STIX_OBJECTS.search(head) and _STIX_ID.search(head)
    is_bundle = _STIX.search(head) and (b'"objects"' in head or b'"bundle--' in head)
    has_indicator = _STIX_INDICATOR.search(head) and b'"pattern"' in head
    if is_bundle or _NO_OBJECTS.match(head) or has_stix_objects or has_indicator:
        return "stix", "it is JSON with a bundle of objects"
    for name, words in _NO_INDICATORS:
        if name in head:
            raise MalformedDocument(f"this is {words}; name the format to read it all the same")
    return "json", "it is JSON, and neither a STIX bundle nor a MISP event"


def _is_misp_attribute(head: bytes) -> bool:
    """Whether a document is an attribute of MISP, or a list of them, without an event around."""
    first = _FIRST_PROPERTIES.match(head)
    if first is None or _MISP_ATTRIBUTE.search(first[0]) is None:
        return False
    return all(name.search(first[0]) for name in _ATTRIBUTE_PROPERTIES)
