"""A MISP event: an attribute for each entry. Format: https://www.misp-standard.org/rfc/.

Ids are derived: the same list is the same event, and the same observable the same attribute, so
that an event which is imported again renews what is there. MISP keeps attributes that an event no
longer has; what left the list lately is therefore there once more, as deleted.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from services.observables.list_formats.base import (
    FileAccount,
    ListVersion,
    Pages,
    PlainTextFormat,
    Row,
)

_NAMESPACE: Final = UUID("5d0f1d2e-5e0b-45b1-8a37-0c6a0c6c3b7a")
_NETWORK: Final = "Network activity"
_FILE: Final = "Payload delivery"
_ORGANISATION: Final = "SentinelIQ"
MISP_TYPES: Final[Mapping[str, tuple[str, str]]] = {
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
"""Type and category of an attribute, by the type of an observable."""
_encode: Final = msgspec.json.Encoder().encode


def event_uuid(list_id: UUID) -> UUID:
    """The id of the event that stands for a list."""
    return uuid5(_NAMESPACE, str(list_id))


def describe_event(version: ListVersion) -> dict[str, Any]:
    """What the event of a list says of itself, as in the manifest of a feed."""
    return {
        "info": f"SentinelIQ list {version.name}",
        "date": version.timestamp[:10],
        "timestamp": str(int(version.changed_at.timestamp())),
        "threat_level_id": "2",
        "analysis": "2",
        "Orgc": {"name": _ORGANISATION, "uuid": str(uuid5(_NAMESPACE, _ORGANISATION))},
        "Tag": [{"name": f"tlp:{version.tlp}"}] if version.tlp else [],
    }


class MispListFormat(PlainTextFormat):
    """An event with an attribute for each entry."""

    name = "misp"
    summary = "A MISP event, with an attribute for each entry."
    media_type = "application/json"
    types = frozenset(MISP_TYPES)
    tells_departed = True

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the event."""
        head = {"uuid": str(event_uuid(version.list_id)), **describe_event(version)}
        yield b'{"Event":' + _encode({**head, "published": False})[:-1] + b',"Attribute":['
        yield from _joined(self._attributes(pages, version, account))
        yield b"]}}\n"

    def _attributes(
        self, pages: Pages, version: ListVersion, account: FileAccount
    ) -> Iterator[list[dict[str, Any]]]:
        for page in pages:
            rows = self.speakable(page, account)
            account.entries += len(rows)
            yield _described(rows, version)
        for page in version.departed:
            rows = [row for row in page if row[0] in self.types]
            yield _described(rows, version, deleted=True)


class MispManifestFormat(PlainTextFormat):
    """The manifest of a MISP feed, which has one event."""

    name = "misp-manifest"
    summary = "The manifest.json of a MISP feed: the event of the list."
    media_type = "application/json"
    types = frozenset(MISP_TYPES)
    needs_values_alone = True

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the manifest."""
        for page in pages:
            account.entries += len(self.speakable(page, account))
        yield _encode({str(event_uuid(version.list_id)): describe_event(version)}) + b"\n"


def _described(
    rows: Iterable[Row], version: ListVersion, *, deleted: bool = False
) -> list[dict[str, Any]]:
    return [
        {
            "uuid": str(uuid5(_NAMESPACE, f"{version.list_id} {row[5]}")),
            "type": MISP_TYPES[row[0]][0],
            "category": MISP_TYPES[row[0]][1],
            "value": row[1],
            "to_ids": True,
            "timestamp": str(int(row[4].timestamp())),
            "deleted": deleted,
        }
        for row in rows
    ]


def _joined(pages: Iterator[list[dict[str, Any]]]) -> Iterator[bytes]:
    """The items of arrays, as one array without its brackets."""
    is_first = True
    for attributes in pages:
        if attributes:
            yield (b"" if is_first else b",") + _encode(attributes)[1:-1]
            is_first = False
