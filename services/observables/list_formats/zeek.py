"""Zeek's intelligence framework: https://docs.zeek.org/en/master/frameworks/intel.html."""

from collections.abc import Mapping
from typing import Final

import ada_url

from services.observables.list_formats.base import LineListFormat, ListVersion, Row, refuse

_KINDS: Final[Mapping[str, str]] = {
    "ipv4-addr": "Intel::ADDR",
    "ipv6-addr": "Intel::ADDR",
    "domain-name": "Intel::DOMAIN",
    "url": "Intel::URL",
    "email-addr": "Intel::EMAIL",
    "file-md5": "Intel::FILE_HASH",
    "file-sha1": "Intel::FILE_HASH",
    "file-sha256": "Intel::FILE_HASH",
    "x509-sha1": "Intel::CERT_HASH",
}


class ZeekListFormat(LineListFormat):
    """A table with tabs: indicator, its kind, its source."""

    name = "zeek"
    summary = "Zeek's intelligence framework; URLs of plain HTTP have no scheme there."
    types = frozenset(_KINDS)
    comment = None

    def head(self, version: ListVersion) -> list[str]:  # noqa: ARG002  # the protocol's
        """The names of the columns."""
        return ["#fields\tindicator\tindicator_type\tmeta.source"]

    def line(self, row: Row, version: ListVersion) -> str:
        """The row of an entry."""
        type_ = row[0]
        value = row[1]
        kind = _KINDS[type_]
        if type_ in {"ipv4-addr", "ipv6-addr"} and "/" in value:
            kind = "Intel::SUBNET"
        if type_ == "url":
            bare = _bare(value)
            if bare is None:
                return refuse("Zeek sees URLs of plain HTTP alone")
            value = bare
        if value == "-" or value.startswith("#"):
            return refuse("its reader would read it otherwise")
        escaped = value.replace("\\", "\\x5c")
        return f"{escaped}\t{kind}\tsentineliq/{version.name}"


def _bare(value: str) -> str | None:
    """Host and path of a URL of plain HTTP on its port, which is what Zeek sees."""
    try:
        url = ada_url.URL(value)
    except ValueError:
        return None
    if url.protocol != "http:" or url.username or url.hash or url.port:
        return None
    return f"{url.host}{url.pathname}{url.search}"
