"""STIX indicators of what a list has, serialised by hand: a list may have a million entries.

A property test holds the result equal to what the library stix2 makes of the same fields.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from services.observables.taxii.moments import format_version
from services.observables.taxii.posted_objects import MARKING_IDS
from shared.stix import ObservableType as Type
from shared.stix.ids import shape_of

_NAMESPACE: Final = UUID("5f2f3c0e-9a51-4f0b-8f53-9d4f8f0f6a0e")
_MILLISECOND: Final = timedelta(milliseconds=1)
_NETWORKS: Final = frozenset({Type.IPV4, Type.IPV6})
_HASHES: Final[dict[str, str]] = {
    Type.MD5: "file:hashes.MD5",
    Type.SHA1: "file:hashes.'SHA-1'",
    Type.SHA256: "file:hashes.'SHA-256'",
    Type.SHA512: "file:hashes.'SHA-512'",
    Type.SSDEEP: "file:hashes.SSDEEP",
    Type.TLSH: "file:hashes.TLSH",
    Type.IMPHASH: "file:extensions.'windows-pebinary-ext'.imphash",
    Type.FILE_NAME: "file:name",
    Type.X509_SHA1: "x509-certificate:hashes.'SHA-1'",
    Type.X509_SHA256: "x509-certificate:hashes.'SHA-256'",
    Type.REGISTRY_KEY: "windows-registry-key:key",
    Type.MUTEX: "mutex:name",
}
"""Object paths of types whose value stands in another property than `value`."""
_WITHOUT_PATTERN: Final = frozenset({Type.VULNERABILITY})
"""Types that patterns cannot name: they are no cyber-observables."""


class ListedIndicator(NamedTuple):
    """An entry of a list, as an indicator.

    Attributes:
        object_id: of STIX.
        kind: an `ObservableType`.
        value: canonical.
        score: of the observable when it joined the list.
        marking: a level of TLP.
        created: when it joined the list.
    """

    object_id: str
    kind: str
    value: str
    score: int
    marking: str
    created: datetime


def pattern_of(kind: str, value: str) -> str | None:
    """The STIX pattern that matches an observable and nothing else; None where there is none."""
    if kind in _WITHOUT_PATTERN:
        return None
    if kind == Type.ASN:
        return f"[autonomous-system:number = {value[2:]}]"
    path = _HASHES.get(kind) or f"{shape_of(kind)[0]}:value"
    operator = "ISSUBSET" if kind in _NETWORKS and "/" in value else "="
    literal = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"[{path} {operator} '{literal}']"


def indicator_id(collection: UUID, pattern: str, number: int) -> str:
    """The id of an indicator: the same for a collection, a pattern, and one time in the list.

    Args:
        collection: its id.
        pattern: of STIX.
        number: of the change by which the observable joined the list. STIX lets nothing that is
            revoked come back: what joins again has another number and is another indicator.
    """
    return f"indicator--{uuid5(_NAMESPACE, f'{collection} {number} {pattern}')}"


def creation_of(changed: datetime) -> datetime:
    """When an indicator counts as created: whole milliseconds."""
    return changed.replace(microsecond=changed.microsecond // 1_000 * 1_000)


def revocation_of(changed: datetime, created: datetime) -> datetime:
    """When an indicator counts as revoked: later than it was created."""
    return max(creation_of(changed), created + _MILLISECOND)


def write_indicator(indicator: ListedIndicator, revoked: datetime | None = None) -> bytes:
    """An indicator as JSON, or its last version.

    Args:
        indicator: what it says.
        revoked: when it left the list; None while it is in it.
    """
    created = format_version(indicator.created)
    pattern = pattern_of(indicator.kind, indicator.value) or ""
    # The fields stand in the order in which stix2 writes them.
    end = b"" if revoked is None else b'"valid_until":"%b",' % format_version(revoked).encode()
    flag = b"" if revoked is None else b'"revoked":true,'
    return (
        b'{"type":"indicator","spec_version":"2.1","id":"%b","created":"%b","modified":"%b",'
        b'"indicator_types":["malicious-activity"],"pattern":%b,"pattern_type":"stix",'
        b'"pattern_version":"2.1","valid_from":"%b",%b%b"confidence":%d,'
        b'"object_marking_refs":["%b"]}'
        % (
            indicator.object_id.encode(),
            created.encode(),
            (created if revoked is None else format_version(revoked)).encode(),
            msgspec.json.encode(pattern),
            created.encode(),
            end,
            flag,
            indicator.score,
            MARKING_IDS[indicator.marking].encode(),
        )
    )
