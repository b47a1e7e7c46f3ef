"""A MISP event: an attribute for each entry. Format: https://www.misp-standard.org/rfc/.

Ids are derived: the same list is the same event, and the same observable the same attribute, so
that an event which is imported again renews what is there.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID, uuid5

import msgspec

from services.observables.list_formats.base import (
    FileAccount,
    ListVersion,
    Pages,
    PlainTextFormat,
)

_NAMESPACE: Final = UUID("5d0f1d2e-5e0b-45b1-8a37-0c6a0c6c3b7a")
_NETWORK: Final = "Network activity"
_FILE: Final = "Payload delivery"
_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "ipv4-addr": ("ip-dst", _NETWORK),
    "ipv6-addr": ("ip-dst", _NETWORK),
    "domain-name": ("domain", _NETWORK),
    "url": ("url", _NETWORK),
    "email-addr": ("email-src", _FILE),
    "user-agent": ("user-agent", _NETWORK),
    "file-md5": ("md5", _FILE),
    "file-sha1": ("sha1", _FILE),
    "file-sha256": ("sha256", _FILE),
    "file-sha512": ("sha512", _FILE),
    "vulnerability": ("vulnerability", "External analysis"),
}


class MispListFormat(PlainTextFormat):
    """An event with an attribute for each entry."""

    name = "misp"
    summary = "A MISP event, with an attribute for each entry."
    media_type = "application/json"
    types = frozenset(_TYPES)

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the event."""
        encode = msgspec.json.Encoder().encode
        head = {
            "uuid": str(uuid5(_NAMESPACE, str(version.list_id))),
            "info": f"SentinelIQ list {version.name}",
            "date": version.timestamp[:10],
            "timestamp": str(int(version.changed_at.timestamp())),
            "threat_level_id": "2",
            "analysis": "2",
            "published": False,
        }
        yield b'{"Event":' + encode(head)[:-1] + b',"Attribute":['
        is_first = True
        for page in pages:
            attributes = [
                {
                    "uuid": str(uuid5(_NAMESPACE, f"{version.list_id} {row[5]}")),
                    "type": _TYPES[row[0]][0],
                    "category": _TYPES[row[0]][1],
                    "value": row[1],
                    "to_ids": True,
                    "timestamp": str(int(row[4].timestamp())),
                }
                for row in self.speakable(page, account)
            ]
            account.entries += len(attributes)
            if attributes:
                yield (b"" if is_first else b",") + encode(attributes)[1:-1]
                is_first = False
        yield b"]}}\n"
