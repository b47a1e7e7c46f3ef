"""The formats there are, and which one a document probably is."""

import re
from functools import cache
from importlib.metadata import entry_points

from services.feeds.formats import columns
from services.feeds.formats.base import Format
from services.feeds.formats.csv import Csv
from services.feeds.formats.json import Json
from services.feeds.formats.misp import Misp
from services.feeds.formats.reading import HEAD, refuse_foreign
from services.feeds.formats.stix import Stix
from services.feeds.formats.text import Text, values
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, detect

GROUP = "sentineliq.formats"
"""Entry points of this group are classes that keep `Format`; their names must not be taken."""

FORMATS: dict[str, Format] = {one.name: one for one in (Text(), Csv(), Json(), Stix(), Misp())}
"""What comes with SentinelIQ. `formats()` has third parties' as well."""

_STIX = re.compile(rb'"type"\s*:\s*"bundle"|"spec_version"\s*:\s*"2\.|"objects"\s*:\s*\[')
_MISP = re.compile(rb'"Event"\s*:\s*\{')
_ENDINGS = Text.media[1:]


@cache
def formats() -> dict[str, Format]:
    """All formats by name: ours, and those that installed packages offer.

    Raises:
        ValueError: a package offers a name that is taken.
    """
    found = dict(FORMATS)
    for point in entry_points(group=GROUP):
        if point.name in found:
            raise ValueError(f"{point.value} offers the feed format {point.name!r}, which there is already")
        found[point.name] = point.load()()
    return found


def find(name: str) -> Format:
    """The format of that name.

    Raises:
        InvalidInput: there is none; says which there are.
    """
    try:
        return formats()[name]
    except KeyError:
        raise InvalidInput(f"{name!r} is no format; one of {', '.join(formats())}", field="format") from None


def guess(name: str, head: bytes) -> tuple[str, str]:
    """The probable format of a document, and why.

    Args:
        name: file name or address; only its ending counts, and only where the content leaves a choice.
        head: the first bytes, 64 KiB are enough.

    Raises:
        MalformedDocument: binary data, another encoding, or an HTML page.
        InvalidInput: text, but of none of our formats.
    """
    head = head[:HEAD].removeprefix(b"\xef\xbb\xbf")
    refuse_foreign(head)
    text = head.decode("utf-8", "replace")
    if text.lstrip()[:1] in ("{", "["):
        return _guess_json(head)
    data = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not data:
        raise InvalidInput("the document holds no data to tell its format by; name the format", field="format")
    ending = re.sub(r"[?#].*", "", name).rpartition(".")[2].lower()
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
    raise InvalidInput("this is text, but neither a list of observables nor a table", field="format")


def _holds_observable(line: str) -> bool:
    for token in values(line):
        try:
            detect(token)
        except NotAnObservable:
            return False
    return True
