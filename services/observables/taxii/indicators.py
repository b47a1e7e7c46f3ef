"""STIX indicators of what a list has, serialised by hand: a list may have a million entries.

A property test holds the result equal to what the library stix2 makes of the same fields.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from services.observables.list_formats.patterns import pattern_of
from services.observables.taxii.moments import format_version
from services.observables.taxii.posted_objects import MARKING_IDS

_NAMESPACE: Final = UUID("5f2f3c0e-9a51-4f0b-8f53-9d4f8f0f6a0e")
_MILLISECOND: Final = timedelta(milliseconds=1)


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
