"""External lists of firewalls: Palo Alto Networks, Fortinet, Cisco, Check Point.

A list of one kind each, since firewalls read them so. Sources: PAN-OS administrator's guide,
"Formatting Guidelines for an External Dynamic List"; FortiOS administration guide, "External
resources"; Cisco Secure Firewall, "Security Intelligence lists and feeds"; Check Point, "IoC
feeds".
"""

from collections.abc import Sequence
from typing import Final

import ada_url

from services.observables.list_formats.base import (
    ADDRESSES,
    DOMAINS,
    FileAccount,
    LineListFormat,
    ListVersion,
    Row,
    refuse,
)
from services.observables.list_formats.names import UNWRITABLE, NameListFormat, is_writable

_HASHES: Final = frozenset({"file-md5", "file-sha1", "file-sha256"})
_PANOS_URL: Final = 2_047
"""Characters that PAN-OS takes of an entry."""


class AddressListFormat(LineListFormat):
    """Addresses and networks, one a line.

    Args:
        name: of the format.
        summary: for people.
        comment: what begins a comment.
    """

    types = ADDRESSES

    def __init__(self, name: str, summary: str, comment: str | None = "#") -> None:
        self.name = name
        self.summary = summary
        self.comment = comment

    def lines(
        self,
        rows: Sequence[Row],
        version: ListVersion,  # noqa: ARG002  # the protocol's
        account: FileAccount,  # noqa: ARG002
    ) -> list[str]:
        """The values."""
        return [row[1] for row in rows]


class DomainListFormat(NameListFormat):
    """Names, one a line.

    Args:
        name: of the format.
        summary: for people.
        comment: what begins a comment.
    """

    def __init__(self, name: str, summary: str, comment: str | None = "#") -> None:
        self.name = name
        self.summary = summary
        self.comment = comment

    def name_lines(self, name: str, version: ListVersion) -> Sequence[str]:  # noqa: ARG002
        """The line of a name."""
        return (name,)


class HashListFormat(LineListFormat):
    """Hashes of files, one a line."""

    types = _HASHES

    def __init__(self, name: str, summary: str, comment: str | None = "#") -> None:
        self.name = name
        self.summary = summary
        self.comment = comment

    def lines(
        self,
        rows: Sequence[Row],
        version: ListVersion,  # noqa: ARG002  # the protocol's
        account: FileAccount,  # noqa: ARG002
    ) -> list[str]:
        """The values."""
        return [row[1] for row in rows]


class MacListFormat(LineListFormat):
    """Addresses of network cards, one a line."""

    name = "fortinet-mac"
    summary = "FortiGate: MAC addresses."
    types = frozenset({"mac-addr"})

    def line(self, row: Row, version: ListVersion) -> str:  # noqa: ARG002  # the protocol's
        """The line of an address."""
        return row[1]


class UrlListFormat(LineListFormat):
    """URLs without scheme, one a line; a host alone ends with a slash.

    Without the slash PAN-OS takes a host for the beginning of longer names. Characters that it
    takes for wildcards cannot be said, and are left out.

    Args:
        name: of the format.
        summary: for people.
        keeps_scheme: whether the reader wants URLs as they are.
        room: characters of an entry.
    """

    types = frozenset({"url"})

    def __init__(
        self, name: str, summary: str, *, keeps_scheme: bool = False, room: int = _PANOS_URL
    ) -> None:
        self.name = name
        self.summary = summary
        self._keeps_scheme = keeps_scheme
        self._room = room

    def line(self, row: Row, version: ListVersion) -> str:  # noqa: ARG002  # the protocol's
        """The line of a URL."""
        try:
            url = ada_url.URL(row[1])
        except ValueError:
            return refuse(UNWRITABLE)
        if url.protocol not in {"http:", "https:"} or url.username or url.hash or url.password:
            return refuse("not a URL of the web as firewalls see it")
        text = f"{url.host}{url.pathname}{url.search}"
        if set(text) & set("*^ \t") or not text.isascii():
            return refuse("has characters that stand for others")
        written = f"{url.protocol}//{text}" if self._keeps_scheme else text
        return written if len(written) <= self._room else refuse("longer than its reader takes")


class CheckPointListFormat(LineListFormat):
    """Check Point's feed of indicators as comma-separated values."""

    name = "checkpoint"
    summary = "Check Point: an IoC feed as CSV."
    types = ADDRESSES | DOMAINS | {"file-md5", "file-sha1", "file-sha256", "url"}

    def head(self, version: ListVersion) -> list[str]:
        """The names of the columns."""
        columns = "#UNIQ-NAME,VALUE,TYPE,CONFIDENCE,SEVERITY,PRODUCT,COMMENT"
        return [columns, *super().head(version)]

    def line(self, row: Row, version: ListVersion) -> str:
        """The row of an entry."""
        type_, value, score, number, _, _ = row
        if type_ in ADDRESSES and "/" in value:
            return refuse("Check Point's feeds have no networks")
        if type_ in DOMAINS and not is_writable(value):
            return refuse(UNWRITABLE)
        if "," in value or '"' in value:
            return refuse("has characters that stand for others")
        confidence = "high" if score >= 80 else "medium" if score >= 50 else "low"
        return (
            f"{version.name}-{number},{value},{_CHECK_POINT[type_]},{confidence},{confidence},AV,"
        )


_CHECK_POINT: Final = {
    "ipv4-addr": "IP",
    "ipv6-addr": "IPV6",
    "domain-name": "Domain",
    "url": "URL",
    "file-md5": "MD5",
    "file-sha1": "SHA1",
    "file-sha256": "SHA256",
}

FIREWALLS: Final = (
    AddressListFormat("panos-ip", "PAN-OS: addresses and networks of an external dynamic list."),
    DomainListFormat("panos-domain", "PAN-OS: names of an external dynamic list."),
    UrlListFormat("panos-url", "PAN-OS: URLs of an external dynamic list, without scheme."),
    AddressListFormat("fortinet-ip", "FortiGate: addresses and networks of a threat feed."),
    DomainListFormat("fortinet-domain", "FortiGate: names of a threat feed."),
    UrlListFormat("fortinet-url", "FortiGate: URLs of a category feed.", keeps_scheme=True),
    HashListFormat("fortinet-hash", "FortiGate: hashes of malware."),
    MacListFormat(),
    AddressListFormat("cisco-ip", "Cisco Security Intelligence: addresses and networks."),
    DomainListFormat("cisco-domain", "Cisco Security Intelligence: names for DNS."),
    UrlListFormat("cisco-url", "Cisco Security Intelligence: URLs.", keeps_scheme=True, room=400),
    CheckPointListFormat(),
)
"""The formats of firewalls."""
