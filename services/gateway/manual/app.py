"""The manual below `/manual` of the gateway: no sign-in, no script, nothing from elsewhere."""

from typing import Final

from fastapi import FastAPI
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.manual.pages import manual_files

BASE: Final = "/manual"
_FIRST: Final = "index.html"
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ABSENT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Manual</title>
<h1>The manual is not built</h1>
<p>This installation runs from its sources. <code>make manual</code> in their folder builds the
pages that this address shows; packages and images have them. The same pages are the files of the
folder <code>docs/</code>, which begin with <code>docs/tutorial.md</code>.</p>
</html>
"""
_MISSING: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Manual</title>
<h1>The manual has no such page</h1>
<p><a href="/manual/index.html">Its first page</a> leads to all others.</p>
</html>
"""


class ManualDoor:
    """Answers requests below the manual's path, and leads all others to the app behind it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path", "")
        is_here = path == BASE or path.startswith(f"{BASE}/")
        if scope["type"] != "http" or not is_here:
            await self._app(scope, receive, send)
            return
        response = _answer(scope["method"], path.removeprefix(BASE).removeprefix("/"))
        response.headers.update(_HEADERS)
        await response(scope, receive, send)


def _answer(method: str, name: str) -> Response:
    if method not in ("GET", "HEAD"):
        return Response(status_code=405, headers={"Allow": "GET, HEAD"})
    files = manual_files()
    if not files:
        return HTMLResponse(_ABSENT, 404)
    if not name:
        return RedirectResponse(f"{BASE}/{_FIRST}", 307)
    file = files.get(name)
    if file is None:
        return HTMLResponse(_MISSING, 404)
    return Response(file.content, media_type=file.media_type)


def add_manual(app: FastAPI) -> None:
    """Offer the manual below the gateway's address."""
    app.add_middleware(ManualDoor)
