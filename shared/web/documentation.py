"""The pages that describe an API: Swagger UI from files of this installation, and the document.

People paste tokens into that page. It loads nothing from elsewhere, and its content security policy
lets it run and reach nothing but this API. The files come from the package `fastapi-offline`.
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

DOCUMENTATION_PATHS: Final = frozenset(
    {
        "/openapi.json",
        "/docs",
        "/docs/start.js",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
    }
)
"""Paths that ask for no token."""

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SentinelIQ</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def show_page() -> Response:
    """Swagger UI."""
    return Response(_PAGE, media_type="text/html", headers=_HEADERS)


@router.get("/docs/start.js")
async def get_start() -> Response:
    """Start Swagger UI: the policy allows no script in the page itself."""
    return Response(_START, media_type="text/javascript", headers=_HEADERS)


@router.get("/docs/swagger-ui-bundle.js")
async def get_script() -> Response:
    """Swagger UI's program."""
    return _file("swagger-ui-bundle.js", "text/javascript")


@router.get("/docs/swagger-ui.css")
async def get_style() -> Response:
    """Swagger UI's style."""
    return _file("swagger-ui.css", "text/css")


@router.get("/openapi.json")
async def get_document(request: Request) -> Response:
    """The OpenAPI document, encoded once."""
    state = request.app.state
    if not hasattr(state, "openapi_document"):
        state.openapi_document = msgspec.json.encode(request.app.openapi())
    return Response(state.openapi_document, media_type="application/json", headers=_HEADERS)


def _file(name: str, media_type: str) -> Response:
    path = Path(str(files("fastapi_offline") / "static" / name))
    headers = {**_HEADERS, "Cache-Control": "max-age=86400"}
    return FileResponse(path, media_type=media_type, headers=headers)
