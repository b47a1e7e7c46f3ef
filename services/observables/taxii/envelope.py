"""TAXII's resources as bytes: TAXII 2.1 §3.7, §4 and §5."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.observables.taxii.media_types import STIX
from services.observables.taxii.models import CollectionRow, ManifestRow, PostedRow, PostRow
from services.observables.taxii.moments import format_moment, format_version


def write_envelope(objects: bytes, next_token: str | None, *, has_empty_list: bool) -> bytes:
    """An envelope around objects that are JSON already.

    Args:
        objects: objects between commas.
        next_token: leads to the following page; None on the last one.
        has_empty_list: whether an envelope without objects has an empty list of them.
    """
    if not objects:
        return b'{"more":false,"objects":[]}' if has_empty_list else b"{}"
    return b'%b,"objects":[%b]}' % (_head(next_token), objects)


def write_manifest(
    rows: Iterable[ManifestRow], next_token: str | None, *, has_empty_list: bool
) -> bytes:
    """A manifest resource (§5.3)."""
    records = [
        {
            "id": row.object_id,
            "date_added": format_moment(row.date_added),
            "version": format_version(row.version),
            "media_type": STIX.replace("2.1", row.spec_version),
        }
        for row in rows
    ]
    if not records and not has_empty_list:
        return b"{}"
    return b'%b,"objects":%b}' % (_head(next_token), msgspec.json.encode(records))


def write_versions(rows: Iterable[ManifestRow], next_token: str | None) -> bytes:
    """A versions resource (§5.8)."""
    versions = [format_version(row.version) for row in rows]
    if not versions:
        return b"{}"
    return b'%b,"versions":%b}' % (_head(next_token), msgspec.json.encode(versions))


def _head(next_token: str | None) -> bytes:
    if next_token is None:
        return b'{"more":false'
    return b'{"more":true,"next":"%b"' % next_token.encode()


def describe_collection(row: CollectionRow, *, can_write: bool) -> dict[str, Any]:
    """A collection resource (§5.2)."""
    resource: dict[str, Any] = {
        "id": str(row.id),
        "title": row.title,
        "can_read": True,
        "can_write": can_write and row.is_writable,
        "media_types": [STIX],
    }
    if row.description:
        resource["description"] = row.description
    return resource


def describe_status(post: PostRow, rows: Sequence[PostedRow]) -> dict[str, Any]:
    """A status resource (§4.3): what became of each posted object."""
    resource: dict[str, Any] = {
        "id": str(post.id),
        "status": "pending" if post.finished_at is None else "complete",
        "request_timestamp": format_moment(post.requested_at),
        "total_count": post.total,
    }
    for state, count, name in (
        ("success", "success_count", "successes"),
        ("failure", "failure_count", "failures"),
        ("pending", "pending_count", "pendings"),
    ):
        details = [_detail(row, post.requested_at) for row in rows if row.state == state]
        resource[count] = len(details)
        if details:
            resource[name] = details
    return resource


def _detail(row: PostedRow, requested: datetime) -> Mapping[str, str]:
    # What names no version has the time of the request, as TAXII 2.1 §4.3.1 prescribes.
    detail = {"id": row.object_id, "version": format_version(row.version or requested)}
    return {**detail, "message": row.message} if row.message else detail
