"""The routes of TAXII 2.1, with and without a slash at their end.

https://docs.oasis-open.org/cti/taxii/v2.1/taxii-v2.1.html describes them. They are no part of the
OpenAPI document.
"""

from collections.abc import Callable
from tempfile import TemporaryFile
from typing import Annotated, Any, BinaryIO, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from services.observables.taxii import posts, service
from services.observables.taxii.envelope import describe_collection
from services.observables.taxii.media_types import TAXII, require_acceptable, require_envelope
from services.observables.taxii.page_request import is_object_id, read_parameters
from services.observables.taxii.protocol_errors import PREFIX
from services.observables.taxii.service import CollectionReader, DatedBody
from shared.auth import Principal
from shared.errors import Forbidden, NotFound, TooLargeInput
from shared.web.app import database_of, require_permission

router = APIRouter(prefix=PREFIX, include_in_schema=False)

TITLE: Final = "SentinelIQ"
_PAGING: Final = ("limit", "next")
_OBJECTS: Final = (
    *("added_after", *_PAGING, "match[id]", "match[type]"),
    *("match[version]", "match[spec_version]"),
)
_OBJECT: Final = ("added_after", *_PAGING, "match[version]", "match[spec_version]")
_VERSIONS: Final = ("added_after", *_PAGING, "match[spec_version]")
_DELETED: Final = ("match[version]", "match[spec_version]")

Reader = Annotated[Principal, require_permission("collections:read")]
Writer = Annotated[Principal, require_permission("collections:write")]
Route = Callable[[Callable[..., Any]], Callable[..., Any]]


def check_accept(request: Request) -> None:
    """Require that the client accepts TAXII's media type; TAXII 2.1 §3.2."""
    require_acceptable(",".join(request.headers.getlist("accept")))


def _route(method: str, path: str, parameters: tuple[str, ...] = ()) -> Route:
    """Add a route with and without a slash at its end: clients lose tokens on redirects."""

    def add(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        known_parameters = [{"in": "query", "name": name} for name in parameters]
        for address in (f"{path}/", path):
            router.add_api_route(
                address,
                endpoint,
                methods=[method],
                dependencies=[Depends(check_accept)],
                openapi_extra={"parameters": known_parameters},
            )
        return endpoint

    return add


@_route("GET", "")
def discover(principal: Reader) -> Response:
    """The server's API roots; TAXII 2.1 §4.1."""
    roots = [f"{PREFIX}/{tenant}/" for tenant in service.roots_of(principal.tenant)]
    return _answer({"title": TITLE, "default": roots[0], "api_roots": roots})


@_route("GET", "/{root}")
def describe_root(principal: Reader, root: str) -> Response:
    """An API root; TAXII 2.1 §4.2."""
    service.require_root(principal.tenant, root)
    return _answer(
        {
            "title": f"{TITLE}: {root}",
            "versions": [TAXII],
            "max_content_length": posts.MAX_CONTENT_BYTES,
        }
    )


@_route("GET", "/{root}/status/{status_id}")
def get_status(request: Request, principal: Reader, root: str, status_id: str) -> Response:
    """What became of a posted document; TAXII 2.1 §4.3."""
    _require_own(principal, root)
    post = _uuid(status_id)
    if post is None:
        raise NotFound("There is no such status.")
    return _answer(posts.status_of(database_of(request), principal.tenant, post))


@_route("GET", "/{root}/collections")
def list_collections(request: Request, principal: Reader, root: str) -> Response:
    """The collections of an API root; TAXII 2.1 §5.1."""
    service.require_root(principal.tenant, root)
    rows = service.list_of(database_of(request), principal.tenant, root)
    writes = _may_write(principal, root)
    described = [describe_collection(row, can_write=writes) for row in rows]
    return _answer({"collections": described} if described else {})


@_route("GET", "/{root}/collections/{collection_id}")
def get_collection(request: Request, principal: Reader, root: str, collection_id: str) -> Response:
    """A collection; TAXII 2.1 §5.2."""
    collection = _collection(principal, root, collection_id)
    row = service.get(database_of(request), principal.tenant, root, collection)
    return _answer(describe_collection(row, can_write=_may_write(principal, root)))


@_route("GET", "/{root}/collections/{collection_id}/manifest", _OBJECTS)
def get_manifest(request: Request, principal: Reader, root: str, collection_id: str) -> Response:
    """The manifest of a collection; TAXII 2.1 §5.3."""
    reader = _reader(request, principal, root, collection_id)
    return _page(reader.manifest(_parameters(request, _OBJECTS)))


@_route("GET", "/{root}/collections/{collection_id}/objects", _OBJECTS)
def get_objects(request: Request, principal: Reader, root: str, collection_id: str) -> Response:
    """Objects of a collection; TAXII 2.1 §5.4."""
    reader = _reader(request, principal, root, collection_id)
    return _page(reader.objects(_parameters(request, _OBJECTS)))


@_route("POST", "/{root}/collections/{collection_id}/objects")
async def add_objects(
    request: Request, principal: Writer, root: str, collection_id: str
) -> Response:
    """Add objects to a collection; TAXII 2.1 §5.5."""
    require_envelope(request.headers.get("content-type", ""))
    collection = _collection(principal, root, collection_id)
    _require_own(principal, root)
    database = database_of(request)
    with TemporaryFile() as document:
        await _receive(request, document)
        status = await run_in_threadpool(
            posts.accept_envelope,
            database,
            principal.tenant,
            principal.actor,
            collection,
            document,
        )
    answer = _answer(status, 202)
    if status["status"] == "pending":
        # A hint: the sweep takes over what this process leaves.
        answer.background = BackgroundTask(
            posts.take_over, database, principal.tenant, UUID(status["id"])
        )
    return answer


@_route("GET", "/{root}/collections/{collection_id}/objects/{object_id}", _OBJECT)
def get_object(
    request: Request, principal: Reader, root: str, collection_id: str, object_id: str
) -> Response:
    """An object; TAXII 2.1 §5.6."""
    reader = _reader(request, principal, root, collection_id)
    return _page(reader.objects(_parameters(request, _OBJECT), _object_id(object_id)))


@_route("DELETE", "/{root}/collections/{collection_id}/objects/{object_id}", _DELETED)
def delete_object(
    request: Request, principal: Writer, root: str, collection_id: str, object_id: str
) -> Response:
    """Delete an object from a writable collection; TAXII 2.1 §5.7."""
    collection = _collection(principal, root, collection_id)
    _require_own(principal, root)
    service.delete_object(
        database_of(request),
        principal.tenant,
        principal.actor,
        collection,
        _object_id(object_id),
        _parameters(request, _DELETED),
    )
    return Response(status_code=200, media_type=TAXII)


@_route("GET", "/{root}/collections/{collection_id}/objects/{object_id}/versions", _VERSIONS)
def get_versions(
    request: Request, principal: Reader, root: str, collection_id: str, object_id: str
) -> Response:
    """The versions of an object; TAXII 2.1 §5.8."""
    reader = _reader(request, principal, root, collection_id)
    return _page(reader.versions(_parameters(request, _VERSIONS), _object_id(object_id)))


def _reader(
    request: Request, principal: Principal, root: str, collection_id: str
) -> CollectionReader:
    collection = _collection(principal, root, collection_id)
    return CollectionReader(
        database_of(request), request.app.state.settings, principal.tenant, root, collection
    )


def _parameters(request: Request, allowed: tuple[str, ...]) -> dict[str, str]:
    return read_parameters(request.query_params.multi_items(), allowed)


def _collection(principal: Principal, root: str, collection_id: str) -> UUID:
    """The id of a collection in an API root that the client reads.

    Raises:
        NotFound: it reads no such root, or the id is none.
    """
    service.require_root(principal.tenant, root)
    identity = _uuid(collection_id)
    if identity is None:
        raise service.not_found()
    return identity


def _object_id(text: str) -> str:
    if not is_object_id(text):
        raise NotFound("The collection has no such object.")
    return text


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _may_write(principal: Principal, root: str) -> bool:
    return root == principal.tenant and principal.may("collections:write")


def _require_own(principal: Principal, root: str) -> None:
    """Require that an API root is the client's own.

    Raises:
        NotFound: it reads no such root.
        Forbidden: it is that of what is public.
    """
    service.require_root(principal.tenant, root)
    if root != principal.tenant:
        raise Forbidden("Operators alone write into what is public.")


def _page(page: DatedBody) -> Response:
    headers = {
        "X-TAXII-Date-Added-First": page.first,
        "X-TAXII-Date-Added-Last": page.last,
    }
    return Response(page.body, headers=headers, media_type=TAXII)


def _answer(resource: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(resource), status, media_type=TAXII)


async def _receive(request: Request, document: BinaryIO) -> None:
    announced = request.headers.get("content-length", "")
    limit = posts.MAX_CONTENT_BYTES
    too_large = TooLargeInput(f"An envelope may have {limit:,} bytes.")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise too_large
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise too_large
            document.write(piece)
    except ClientDisconnect:
        raise HTTPException(400, "The body ended before it was whole.") from None
    document.flush()
