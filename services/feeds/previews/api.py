"""Routes of previews."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from services.feeds.payloads.store import PayloadStore
from services.feeds.previews import service
from services.feeds.previews.schemas import PreviewRequest, ReparseRequest
from services.feeds.runs.schemas import RunView
from services.feeds.subscriptions.vocabulary import FeedName, FileName, parse_options
from shared.auth import Principal
from shared.bounded_json import MAX_OBJECT_BYTES
from shared.web.app import database_of, json_response, require_permission
from shared.web.problems import upstream_problem
from shared.web.request_body import UPLOAD_BODY

router = APIRouter(prefix="/v1", tags=["feeds"])

Runner = Annotated[Principal, require_permission("feeds:run")]
Writer = Annotated[Principal, require_permission("feeds:write")]


@router.post("/preview", response_model=dict[str, Any], responses=upstream_problem())
async def preview(request: Request, principal: Runner, address: PreviewRequest) -> Response:
    """The first records an address would give, and what would be left out; nothing is stored."""
    payloads: PayloadStore = request.app.state.payloads
    settings = request.app.state.settings
    return json_response(
        await service.preview_address(settings, principal.tenant, payloads, address)
    )


@router.post("/preview/document", response_model=dict[str, Any], openapi_extra=UPLOAD_BODY)
async def preview_document(
    request: Request,
    principal: Runner,
    name: FeedName = "document",
    file: Annotated[
        FileName | None, Query(description="the file's name: its ending may tell the format")
    ] = None,
    format: Annotated[  # noqa: A002  # the parameter's name
        str | None, Query(max_length=100, description="guessed when not given")
    ] = None,
    options: Annotated[
        str | None, Query(max_length=MAX_OBJECT_BYTES, description="the format's options as JSON")
    ] = None,
) -> Response:
    """The same for a document that is the request's body."""
    payloads: PayloadStore = request.app.state.payloads
    with payloads.scratch() as folder:
        upload = await payloads.receive(request.stream(), folder)
        result = await run_in_threadpool(
            service.preview_file,
            principal.tenant,
            upload,
            file or name,
            format,
            parse_options(options) or {},
            folder,
        )
    return json_response(result)


@router.post("/feeds/{feed_id}/reparse", response_model=dict[str, Any])
def reparse(
    request: Request, principal: Writer, feed_id: UUID, changes: ReparseRequest
) -> Response:
    """Compare the feed's last payload under other settings with its snapshot.

    With `apply` it is read so from now on.
    """
    comparison, run = service.reparse(database_of(request), principal, feed_id, changes)
    answer: dict[str, Any] = msgspec.to_builtins(comparison)
    if run is not None:
        answer["run"] = RunView.model_validate(run).model_dump(mode="json")
    return json_response(answer)
