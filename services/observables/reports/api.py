"""The route that extracts observables from a report."""

from functools import partial
from tempfile import TemporaryFile
from typing import IO, Annotated, Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from services.observables.reference.data_dates import DatasetDates
from services.observables.reports import service
from services.observables.reports.extraction_pool import ExtractionPool
from services.observables.reports.schemas import ExtractionView
from shared.auth import Principal
from shared.documents import MEDIA_TYPES
from shared.errors import TooLargeInput
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["observables"])

Reader = Annotated[Principal, require_permission("observables:read")]

MAX_REPORT_BYTES: Final = 32 * 1024 * 1024


@router.post(
    "/extract",
    response_model=ExtractionView,
    openapi_extra={
        "requestBody": {"required": True, "content": {kind: {} for kind in MEDIA_TYPES}}
    },
)
async def extract(request: Request, principal: Reader) -> Response:
    """Observables and ATT&CK ids in a report, and what is known of them.

    A report is text, Markdown, HTML or PDF, of up to 32 MiB.
    """
    pool: ExtractionPool = request.app.state.extraction_pool
    data_dates: DatasetDates = request.app.state.data_dates
    media_type = request.headers.get("content-type", "")
    annotate = partial(service.annotate, database_of(request), principal.tenant)
    # A file: reports that are sent slowly take no memory.
    with TemporaryFile() as document:
        await _receive(request, document)
        answer = await pool.extract(principal.tenant, document, media_type, annotate)
    dates = bytes(await data_dates.get_async())
    return Response(b'%b,"reference":%b}' % (answer[:-1], dates), media_type="application/json")


async def _receive(request: Request, document: IO[bytes]) -> None:
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > MAX_REPORT_BYTES:
                raise TooLargeInput(f"A report may have {MAX_REPORT_BYTES:,} bytes.")
            document.write(piece)
    except ClientDisconnect:
        raise HTTPException(400, "The body ended before it was whole.") from None
    document.flush()
