"""The formats there are, and which one a document probably is."""

import re
from functools import cache
from importlib import import_module

from services.feeds.formats import columns
from services.feeds.formats.base import Format
from services.feeds.formats.streams import HEAD, refuse_foreign
from services.feeds.formats.text import TextFormat, values
from shared.errors import InvalidInput
from shared.plugins import load_plugins
from shared.stix import NotAnObservable, detect

GROUP = "sentineliq.formats"
"""Entry points of this group are classes that keep `Format`."""

_OURS = {
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
"""What comes with SentinelIQ: module and class. What reads web pages and PDF is imported when it is first needed."""

_STIX = re.compile(rb'"type"\s*:\s*"bundle"|"spec_version"\s*:\s*"2\.|"objects"\s*:\s*\[')
_MISP = re.compile(rb'"Event"\s*:\s*\{')
_SYNDICATION = re.compile(
    rb"(?:\s|<\?[^>]*\?>|<!--.{0,2000}?-->)*<(?:rss|feed|(?:[A-Za-z]+:)?RDF)\b",
    re.IGNORECASE | re.DOTALL,
)
_ENDINGS = TextFormat.media[1:]
_WEB_PAGES = ("html", "htm", "xhtml")


def format_names() -> list[str]:
    """Names of all formats: ours, and those that installed packages offer."""
    return [*_OURS, *_offered()]


@cache
def _offered() -> dict[str, Format]:
    return load_plugins(GROUP, _OURS)


@cache
def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        InvalidInput: there is none; says which there are.
    """
    if name in _OURS:
        module, _, kind = _OURS[name].partition(":")
        found: Format = getattr(import_module(f"services.feeds.formats.{module}"), kind)()
        return found
    if name in _offered():
        return _offered()[name]
    raise InvalidInput(f"{name!r} is no format; one of {', '.join(format_names())}", field="format")


def guess_format(name: str, head: bytes) -> tuple[str, str]:
    """The probable format of a document, and why.

    Args:
        name: file name or address; only its ending counts, and only where the content leaves a choice.
        head: the first bytes, 64 KiB are enough.

    Raises:
        MalformedDocument: binary data, another encoding, or an HTML page.
        InvalidInput: text, but of none of our formats.
    """
    head = head[:HEAD].removeprefix(b"\xef\xbb\xbf")
    ending = re.sub(r"[?#].*", "", name).rpartition(".")[2].lower()
    if head.startswith(b"%PDF-"):
        return "pdf", "it begins as a PDF document does"
    if _SYNDICATION.match(head):
        return "rss", "it begins as RSS or Atom does"
    if ending in _WEB_PAGES:
        return "html", f"its name ends in .{ending}"
    # A web page of another name is no report: more often it says that the list is not there.
    refuse_foreign(head)
    text = head.decode("utf-8", "replace")
    if text.lstrip()[:1] in ("{", "["):
        return _guess_json(head)
    data = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    if not data:
        raise InvalidInput(
            "the document holds no data to tell its format by; name the format", field="format"
        )
    if ending in ("csv", "tsv"):
        return "csv", f"its name ends in .{ending}"
    return _guess_lines(data, ending)


def _guess_json(head: bytes) -> tuple[str, str]:
    if _MISP.search(head):
        return "misp", 'it is JSON with an "Event"'
    if _STIX.search(head):
        return "stix", "it is JSON with a bundle of objects"
    return "json", "it is JSON, and neither a STIX bundle nor a MISP event"


def _guess_lines(data: list[str], ending: str) -> tuple[str, str]:
    sign = columns.delimiter(data)
    table = columns.rows(data, sign)
    names, _ = columns.header(data, "", sign, None)
    if len(names) > 1 and all(len(row) == len(names) for row in table[:20]):
        return "csv", f"its first line names {len(names)} columns, and every row has as many"
    hits = sum(_holds_observable(line.strip()) for line in data)
    if hits * 10 >= len(data):
        return "text", f"{hits} of its first {len(data)} lines begin with an observable"
    if f".{ending}" in _ENDINGS and all(len(line.split()) == 1 for line in data):
        return "text", f"its name ends in .{ending}, and every line holds one word"
    widths = {len(row) for row in table[:20]}
    if len(widths) == 1 and widths.pop() > 2:
        return "csv", "every row has the same number of columns"
    raise InvalidInput(
        "this is text, but neither a list of observables nor a table", field="format"
    )


def _holds_observable(line: str) -> bool:
    for token in values(line):
        try:
            detect(token)
        except NotAnObservable:
            return False
    return True
