"""A bundle of STIX 2.1: an indicator for each entry, written by hand, since lists are long.

The ids are derived: the same entry of the same list is the same indicator in every version, and
what left a list and came back is another one, since STIX lets nothing that is revoked come back.
A test holds the result equal to what the library stix2 makes of the same fields.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

import msgspec

from services.observables.list_formats.base import (
    FileAccount,
    ListVersion,
    Pages,
    PlainTextFormat,
    Row,
)
from services.observables.list_formats.patterns import pattern_of

_NAMESPACE: Final = UUID("8d6c0a3a-1c38-4a39-93a5-2f7d0f0f5d31")
_REASON: Final = "patterns of STIX cannot name it"
_encode: Final = msgspec.json.Encoder().encode


class StixListFormat(PlainTextFormat):
    """A bundle of indicators."""

    name = "stix"
    summary = "A STIX 2.1 bundle: an indicator for each entry."
    media_type = "application/stix+json;version=2.1"

    def write(self, pages: Pages, version: ListVersion, account: FileAccount) -> Iterator[bytes]:
        """Write the bundle. A bundle must not have an empty list of objects: then it has none."""
        identity = uuid5(_NAMESPACE, f"{version.list_id} {version.number}")
        yield b'{"type":"bundle","id":"bundle--%b"' % str(identity).encode()
        is_first = True
        for page in pages:
            indicators = [_indicator(row, version.list_id) for row in page]
            written = [indicator for indicator in indicators if indicator is not None]
            account.entries += len(written)
            if len(written) < len(page):
                account.left_out[_REASON] += len(page) - len(written)
            if written:
                yield (b',"objects":[' if is_first else b",") + b",".join(written)
                is_first = False
        yield b"}\n" if is_first else b"]}\n"


def _indicator(row: Row, list_id: UUID) -> bytes | None:
    """An entry as an indicator; None if no pattern names it."""
    type_, value, score, number, joined_at, _ = row
    pattern = pattern_of(type_, value)
    if pattern is None:
        return None
    moment = _timestamp(joined_at)
    identity = uuid5(_NAMESPACE, f"{list_id} {number} {pattern}")
    return (
        b'{"type":"indicator","spec_version":"2.1","id":"indicator--%b","created":"%b",'
        b'"modified":"%b","indicator_types":["malicious-activity"],"pattern":%b,'
        b'"pattern_type":"stix","pattern_version":"2.1","valid_from":"%b","confidence":%d}'
        % (str(identity).encode(), moment, moment, _encode(pattern), moment, score)
    )


def _timestamp(moment: datetime) -> bytes:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").encode()
