"""Sigma rules: one for each kind of log that tells of entries. Format: https://sigmahq.io/docs/.

Sigma compares without case, which is right for addresses, names and digests. A URL has to be
compared by case (`cased`), which few converters can say: URLs are there if the list asks for them.
Wildcards of a value are escaped, so that it stands for itself alone.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from services.observables.list_formats.base import (
    FileAccount,
    ListVersion,
    OptionCheck,
    Pages,
    PlainTextFormat,
    Row,
    head_comment,
)

_NAMESPACE: Final = UUID("7c1f0c0e-9a64-4d0e-8f83-2f5f7d7f3c51")


class _Place(NamedTuple):
    """Where a log tells of a value.

    Attributes:
        category: the kind of log.
        field: of its events, with modifiers.
        prefix: what stands there before the value.
    """

    category: str
    field: str
    prefix: str = ""


_ADDRESSES: Final = _Place("network_connection", "DestinationIp")
_NETWORKS: Final = _Place("network_connection", "DestinationIp|cidr")
_URLS: Final = _Place("proxy", "c-uri|cased")
_URLS_IN_ANY_CASE: Final = _Place("proxy", "c-uri")
_DIGESTS: Final = "Hashes|contains"
_PLACES: Final[Mapping[str, _Place]] = {
    "ipv4-addr": _ADDRESSES,
    "ipv6-addr": _ADDRESSES,
    "domain-name": _Place("dns_query", "QueryName"),
    "url": _URLS,
    "file-md5": _Place("process_creation", _DIGESTS, "MD5="),
    "file-sha1": _Place("process_creation", _DIGESTS, "SHA1="),
    "file-sha256": _Place("process_creation", _DIGESTS, "SHA256="),
}
_SPECIAL: Final = re.compile(r"[\\*?]")
"""What stands for more than itself in a value of Sigma."""
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_SUBJECTS: Final[Mapping[str, str]] = {
    "network_connection": "Connections to addresses",
    "dns_query": "Queries for names",
    "proxy": "Requests for URLs",
    "process_creation": "Processes of files",
}


def _check_urls(value: str) -> None:
    if value not in {"cased", "any-case"}:
        raise ValueError("say cased or any-case")


class SigmaListFormat(PlainTextFormat):
    """A document of YAML for each rule. The id of a rule stays the same from version to version."""

    name = "sigma"
    summary = "Sigma rules: connections, DNS queries, requests of proxies, processes by digest."
    media_type = "application/yaml; charset=utf-8"
    types = frozenset(_PLACES)
    needs_values_alone = True
    options: Mapping[str, str] = {
        "urls": "cased: URLs, compared by case; any-case: without, which is wider than the URL. "
        "Without it URLs are left out.",
    }
    checks: Mapping[str, OptionCheck] = {"urls": _check_urls}

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the rules."""
        urls = version.options.get("urls")
        values: dict[tuple[str, str], list[str]] = defaultdict(list)
        for page in pages:
            for row in self.speakable(page, account):
                place = _place_of(row, urls)
                if place is None:
                    account.left_out["URL without the option urls"] += 1
                    continue
                account.entries += 1
                values[place.category, place.field].append(f"{place.prefix}{row[1]}")
        lines = head_comment("#", version)
        if urls == "any-case":
            lines.append("# URLs are compared without case")
        for category in _SUBJECTS:
            fields = {field: texts for (kind, field), texts in values.items() if kind == category}
            if fields:
                lines += _rule(category, fields, version)
        yield "".join(f"{line}\n" for line in lines).encode()


def _place_of(row: Row, urls: str | None) -> _Place | None:
    """Where a log tells of a row; None if the list does not ask for that."""
    place = _PLACES[row[0]]
    if place is _ADDRESSES and "/" in row[1]:
        return _NETWORKS
    if place is _URLS and urls != "cased":
        return None if urls is None else _URLS_IN_ANY_CASE
    return place


def _rule(
    category: str, fields: Mapping[str, Sequence[str]], version: ListVersion
) -> Iterator[str]:
    yield "---"
    yield f"title: {quote(f'{_SUBJECTS[category]} of the list {version.name}')}"
    yield f"id: {uuid5(_NAMESPACE, f'{version.list_id} {category}')}"
    yield "status: stable"
    yield f"description: {quote(f'Version {version.number} of the list in SentinelIQ.')}"
    yield "author: SentinelIQ"
    yield f"date: {version.timestamp[:10]}"
    if version.tlp:
        tag = f"tlp.{version.tlp.replace('+', '-')}"
        yield f"tags: [{quote(tag)}]"
    yield f"logsource: {{category: {category}}}"
    yield "detection:"
    for number, (field, texts) in enumerate(sorted(fields.items()), 1):
        yield f"  entries{number}:"
        yield f"    {field}:"
        yield from (f"      - {quote(_SPECIAL.sub(_escape, text))}" for text in texts)
    yield "  condition: 1 of entries*"
    yield "level: high"


def _escape(match: re.Match[str]) -> str:
    return f"\\{match[0]}"


def quote(text: str) -> str:
    """A text between double quotes of YAML, in ASCII: no reader takes a part for something else."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "backslashreplace")
    printable = _UNPRINTABLE.sub(_name, escaped.decode())
    return f'"{printable}"'


def _name(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"
