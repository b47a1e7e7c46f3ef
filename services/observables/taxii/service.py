"""Collections: configured by a tenant, and read by the clients of TAXII."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from services.observables import NAME
from services.observables.dissemination.lists import repository as lists
from services.observables.quotas.limits import COLLECTIONS, DELETIONS
from services.observables.taxii import envelope
from services.observables.taxii.cursor import decode_next, encode_next
from services.observables.taxii.models import CollectionRow
from services.observables.taxii.moments import format_moment
from services.observables.taxii.page_request import (
    PageRequest,
    Place,
    read_limit,
    read_request,
)
from services.observables.taxii.posted_events import PostOrigin, posted_events, revoked
from services.observables.taxii.repository import collections, objects, pages
from services.observables.taxii.schemas import CollectionCreate
from shared.audit import changes_between
from shared.database import PUBLIC, Database
from shared.errors import Conflict, Forbidden, InvalidInput, NotFound
from shared.kafka.outbox import audit, publish
from shared.keys import PROVIDER_KEYS, keys_of
from shared.quotas import require_room, spend
from shared.settings import Settings

_AUDITED: Final = ("title", "description", "list_id", "is_writable", "tlp", "has_empty_list")


@dataclass(frozen=True, slots=True)
class DatedBody:
    """A resource that is paged through.

    Attributes:
        body: its bytes.
        first: when its first object was added, as TAXII's header says it.
        last: when its last object was added.
    """

    body: bytes
    first: str
    last: str


def roots_of(tenant: str) -> list[str]:
    """The API roots that a tenant reads: its own, and that of what is public."""
    return [tenant] if tenant == PUBLIC else [tenant, PUBLIC]


def require_root(tenant: str, root: str) -> None:
    """Require that a tenant reads an API root.

    Raises:
        NotFound: it does not; that of another tenant is not told from one that does not exist.
    """
    if root not in roots_of(tenant):
        raise NotFound("There is no such API root.")


def create(database: Database, tenant: str, actor: str, body: CollectionCreate) -> CollectionRow:
    """Create a collection.

    Raises:
        InvalidInput: neither a list nor clients would fill it, or both would; or the tenant has no
            such list.
        Conflict: the tenant has one of that title.
        QuotaExceeded: the tenant has as many as it may have.
    """
    if (body.list_id is not None) == body.is_writable:
        raise InvalidInput(
            "A collection is filled by a list (list_id), or by its clients (is_writable).",
            field="is_writable",
        )
    values = body.model_dump()
    with database.transaction(tenant) as session:
        require_room(session, tenant, COLLECTIONS)
        if body.list_id is not None:
            source = lists.get(session, tenant, body.list_id)
            if source is None:
                raise InvalidInput("The tenant has no such list.", field="list_id")
            values["tlp"] = source.tlp_ceiling
        row = collections.add_collection(session, tenant, uuid4(), values, actor)
        if row is None:
            raise _title_conflict(body.title)
        changes = changes_between({}, _audited(row))
        audit(session, NAME, tenant, actor, "collections.create", row.id, changes)
    return row


def overview(database: Database, tenant: str) -> list[CollectionRow]:
    """A tenant's collections, the oldest first."""
    return list_of(database, tenant, tenant)


def list_of(database: Database, reader: str, tenant: str) -> list[CollectionRow]:
    """The collections of a tenant, as another may read them; the oldest first."""
    with database.transaction(reader) as session:
        return collections.list_collections(session, tenant)


def get(database: Database, reader: str, tenant: str, identity: UUID) -> CollectionRow:
    """A collection.

    Args:
        database: the service's.
        reader: the tenant that reads.
        tenant: whose collection it is.
        identity: its id.

    Raises:
        NotFound: the tenant has no such.
    """
    with database.transaction(reader) as session:
        row = collections.get_collection(session, tenant, identity)
    if row is None:
        raise not_found()
    return row


def change(
    database: Database, tenant: str, actor: str, identity: UUID, values: Mapping[str, Any]
) -> CollectionRow:
    """Change a collection.

    Raises:
        NotFound: the tenant has no such.
        Conflict: another of its collections has the title.
    """
    with database.transaction(tenant) as session:
        before = collections.get_collection(session, tenant, identity, is_locked=True)
        if before is None:
            raise not_found()
        title = values.get("title")
        if title is not None and collections.has_title(session, tenant, title, identity):
            raise _title_conflict(title)
        row = before
        if values:
            row = collections.change_collection(session, tenant, identity, values)
        changes = changes_between(_audited(before), _audited(row))
        audit(session, NAME, tenant, actor, "collections.change", identity, changes)
    return row


def delete(database: Database, tenant: str, actor: str, identity: UUID) -> None:
    """Delete a collection with everything in it.

    Raises:
        NotFound: the tenant has no such.
    """
    with database.transaction(tenant) as session:
        before = collections.get_collection(session, tenant, identity, is_locked=True)
        if before is None:
            raise not_found()
        collections.delete_collection(session, tenant, identity)
        changes = changes_between(_audited(before), {})
        audit(session, NAME, tenant, actor, "collections.delete", identity, changes)


class CollectionReader:
    """Reads one collection for a client.

    Args:
        database: the service's.
        settings: of the process.
        tenant: the client's.
        root: whose collection it is.
        collection: its id.
    """

    def __init__(
        self, database: Database, settings: Settings, tenant: str, root: str, collection: UUID
    ) -> None:
        self._database = database
        self._keys = keys_of(settings).secret(PROVIDER_KEYS)
        self._tenant = tenant
        self._root = root
        self._collection = collection

    def objects(self, parameters: Mapping[str, str], object_id: str | None = None) -> DatedBody:
        """A page of objects, or of one object's versions.

        Raises:
            InvalidInput: a parameter is wrong.
            NotFound: there is no such collection, or no such object in it.
        """
        resource = "objects" if object_id is None else f"objects {object_id}"
        request = self._request(parameters, resource, object_id)
        with self._database.read_transaction(self._tenant) as connection:
            row, page = pages.read_objects(connection, self._root, self._collection, request)
        owner = _require(row)
        if object_id is not None and not page.count and "next" not in parameters:
            self._require_object(object_id)
        following = None
        if page.more and page.last is not None:
            place = Place(page.last, page.last_number)
            following = self._next(resource, request, place)
        body = envelope.write_envelope(page.objects, following, has_empty_list=owner.has_empty_list)
        return _dated(owner, request, body, page.first, page.last)

    def manifest(self, parameters: Mapping[str, str]) -> DatedBody:
        """A page of the manifest; errors as for `objects`."""
        request = self._request(parameters, "manifest", None)
        with self._database.read_transaction(self._tenant) as connection:
            row, records, more = pages.read_manifest(
                connection, self._root, self._collection, request
            )
        owner = _require(row)
        following = None
        if more:
            place = Place(records[-1].date_added, records[-1].number)
            following = self._next("manifest", request, place)
        body = envelope.write_manifest(records, following, has_empty_list=owner.has_empty_list)
        first = records[0].date_added if records else None
        return _dated(owner, request, body, first, records[-1].date_added if records else None)

    def versions(self, parameters: Mapping[str, str], object_id: str) -> DatedBody:
        """A page of an object's versions; errors as for `objects`."""
        resource = f"versions {object_id}"
        request = self._request({"match[version]": "all", **parameters}, resource, object_id)
        with self._database.read_transaction(self._tenant) as connection:
            row, records, more = pages.read_manifest(
                connection, self._root, self._collection, request
            )
        owner = _require(row)
        if not records and "next" not in parameters:
            self._require_object(object_id)
        following = None
        if more:
            place = Place(records[-1].date_added, records[-1].number)
            following = self._next(resource, request, place)
        body = envelope.write_versions(records, following)
        first = records[0].date_added if records else None
        return _dated(owner, request, body, first, records[-1].date_added if records else None)

    def _request(
        self, parameters: Mapping[str, str], resource: str, object_id: str | None
    ) -> PageRequest:
        token = parameters.get("next")
        if token is not None:
            # It has all filters: what a client repeats beside it, it knows already.
            request = decode_next(self._keys, self._collection, resource, token)
            limit = read_limit(parameters.get("limit"))
            return request if limit is None else msgspec.structs.replace(request, limit=limit)
        request = read_request(dict(parameters))
        if object_id is None:
            return request
        return msgspec.structs.replace(request, ids=(object_id,))

    def _next(self, resource: str, request: PageRequest, place: Place) -> str:
        following = msgspec.structs.replace(request, place=place)
        return encode_next(self._keys, self._collection, resource, following)

    def _require_object(self, object_id: str) -> None:
        unfiltered = PageRequest(limit=1, ids=(object_id,), has_all=True)
        with self._database.read_transaction(self._tenant) as connection:
            _, records, _ = pages.read_manifest(
                connection, self._root, self._collection, unfiltered
            )
        if not records:
            raise NotFound("The collection has no such object.")


def delete_object(
    database: Database,
    tenant: str,
    actor: str,
    collection: UUID,
    object_id: str,
    parameters: Mapping[str, str],
) -> None:
    """Delete an object from a writable collection: the versions that the parameters name, or all.

    Raises:
        InvalidInput: a parameter is wrong.
        NotFound: there is no such collection, or no such object or version in it.
        Forbidden: clients may not write into it.
        RateExceeded: the tenant has deleted as much as it may this hour.
    """
    is_whole = "match[version]" not in parameters
    request = read_request({"match[version]": "all", **parameters})
    ends = {"first": request.has_first, "last": request.has_last}
    with database.transaction(tenant) as session:
        row = collections.get_collection(session, tenant, collection, is_locked=True)
        owner = require_writable(row)
        newest = objects.read_last(session, collection, object_id)
        count = objects.delete_versions(
            session,
            tenant,
            collection,
            object_id,
            versions=None if is_whole or request.has_all else request.versions,
            ends=[name for name, is_named in ends.items() if is_named],
            spec_versions=request.spec_versions,
        )
        if not count:
            raise NotFound("The collection has no such object.")
        spend(session, tenant, DELETIONS)
        is_left = objects.read_last(session, collection, object_id) is not None
        if newest is not None and not is_left:
            # What nobody shares any more, its feed no longer asserts.
            origin = PostOrigin(owner, uuid4(), 0, actor)
            publish(session, posted_events(origin, [revoked(newest)]))
        audit(
            session,
            NAME,
            tenant,
            actor,
            "collections.delete_object",
            collection,
            object=object_id,
            versions=str(count),
        )


def require_writable(row: CollectionRow | None) -> CollectionRow:
    """Require that there is a collection, and that clients may write into it.

    Raises:
        NotFound: there is none.
        Forbidden: they may not.
    """
    owner = _require(row)
    if not owner.is_writable:
        raise Forbidden("A list fills this collection: clients cannot write into it.")
    return owner


def not_found() -> NotFound:
    """The error for a collection that the tenant does not have."""
    return NotFound("There is no such collection.")


def _require(row: CollectionRow | None) -> CollectionRow:
    if row is None:
        raise not_found()
    return row


def _dated(
    owner: CollectionRow,
    request: PageRequest,
    body: bytes,
    first: datetime | None,
    last: datetime | None,
) -> DatedBody:
    """A resource with the times of its objects.

    A page without objects has the time up to which the collection was read, so that a client that
    remembers the header neither goes back nor takes its own clock.
    """
    reached = owner.last_added or request.added_after or owner.created_at
    return DatedBody(body, format_moment(first or reached), format_moment(last or reached))


def _audited(row: CollectionRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _AUDITED}


def _title_conflict(title: str) -> Conflict:
    return Conflict(f"There is a collection {title!r} already.", field="title")
