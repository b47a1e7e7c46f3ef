"""The API of raw answers."""

from typing import Annotated

import zstandard
from fastapi import APIRouter, Path, Request, Response

from services.observables.enrichment.answers import service
from services.observables.store.references import StixId
from shared.auth import Principal
from shared.web.app import database_of, require_permission

router = APIRouter(prefix="/v1", tags=["enrichment"])


@router.get(
    "/observables/{identity}/enrichments/{enricher}/raw",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def get_raw(
    request: Request,
    principal: Annotated[Principal, require_permission("enrichment:read")],
    identity: StixId,
    enricher: Annotated[str, Path(max_length=100)],
) -> Response:
    """Give the bytes that a provider sent about an observable; they are kept for 30 days."""
    answer = service.raw_answer(database_of(request), principal.tenant, identity, enricher)
    return Response(
        zstandard.decompress(answer.content),
        media_type="application/octet-stream",
        headers={
            "X-Content-Type-Options": "nosniff",
            "X-Obtained-At": answer.obtained_at.isoformat(),
        },
    )
