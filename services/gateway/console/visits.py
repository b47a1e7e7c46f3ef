"""One request of a person to the console: who they are, what they want, how it is shown."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.gateway.console.addresses import page_address
from services.gateway.console.api_client import Answer, ApiRefusal, Json, ServiceApis
from services.gateway.console.forms import FormFields
from services.gateway.console.identity import IdentityDoor
from services.gateway.console.pages import render
from services.gateway.console.preferences import Preferences
from services.gateway.console.sessions import ConsoleSession
from services.gateway.console.table_labels import label_cells
from shared.auth import Principal
from shared.settings import ServiceName

_TEXT: Final = "text/plain; charset=utf-8"


def make_request_id() -> str:
    """Make a trace id of W3C Trace Context: what the services log with every call of this page."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class ConsoleVisit:
    """A request with all that a screen needs.

    Attributes:
        request: as it arrived.
        session: of the browser.
        apis: the services' APIs.
        preferences: how the person wants to see pages.
        environment: the templates in their language.
        identity: signs people in, and lets them in.
        request_id: names this request in the logs of every service that it reaches.
        form: what was sent with a POST.
        began_at: milliseconds since 1970: what happens later is new to the page.
    """

    request: Request
    session: ConsoleSession
    apis: ServiceApis
    preferences: Preferences
    environment: Environment
    identity: IdentityDoor
    request_id: str = field(default_factory=make_request_id)
    form: FormFields = field(default_factory=FormFields)
    began_at: int = field(default_factory=lambda: int(time.time() * 1000))

    @property
    def principal(self) -> Principal:
        """Who is signed in."""
        principal = self.session.principal
        assert principal is not None  # noqa: S101  # screens are reached by who has signed in
        return principal

    @property
    def origin(self) -> str | None:
        """The origin of the page that sent a form: what passkeys are bound to."""
        return self.request.headers.get("origin")

    @property
    def browser_name(self) -> str:
        """What stands for this sign-in in the browser, where a script may read it."""
        return sha256(f"live:{self.session.form_secret}".encode()).hexdigest()[:16]

    @property
    def next_session(self) -> ConsoleSession | None:
        """The session that takes the place of this one, when a person signs in or out."""
        session: ConsoleSession | None = getattr(self.request.state, "next_session", None)
        return session

    @property
    def is_partial(self) -> bool:
        """Whether a script of a page asks for a part of it."""
        return self.request.headers.get("hx-request-type") == "partial"

    def change_session(self, session: ConsoleSession) -> None:
        """Give the browser another session with the answer."""
        self.request.state.next_session = session

    def may(self, permission: str) -> bool:
        """Whether the person's role has a permission: what it lacks is not offered."""
        return self.principal.may(permission)

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the address, trimmed."""
        return self.request.query_params.get(name, default).strip()

    def place(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    async def get(self, service: ServiceName, path: str, **params: Any) -> Answer:
        """Get a document from an API; parameters that are empty are left out."""
        return await self._call("GET", service, path, params=params)

    async def post(
        self, service: ServiceName, path: str, body: Json | None = None, **params: Any
    ) -> Answer:
        """Create something, or start an act."""
        return await self._call("POST", service, path, params=params, body=body)

    async def post_of_page(self, service: ServiceName, path: str, body: Json) -> Answer:
        """Create something that is bound to the origin of the page, such as a passkey."""
        headers = {"Origin": self.origin or ""}
        return await self._call("POST", service, path, headers=headers, body=body)

    async def post_text(self, service: ServiceName, path: str, text: str) -> Answer:
        """Send a text to an API."""
        headers = {"Content-Type": _TEXT}
        return await self._call("POST", service, path, headers=headers, body=text.encode())

    async def patch(self, service: ServiceName, path: str, body: Json) -> Answer:
        """Change something."""
        return await self._call("PATCH", service, path, body=body)

    async def put(self, service: ServiceName, path: str, body: Json) -> Answer:
        """Set something as a whole."""
        return await self._call("PUT", service, path, body=body)

    async def delete(self, service: ServiceName, path: str) -> Answer:
        """Delete something."""
        return await self._call("DELETE", service, path)

    async def _call(
        self,
        method: str,
        service: ServiceName,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Json | bytes | None = None,
    ) -> Answer:
        trace = f"00-{self.request_id}-{secrets.token_hex(8)}-01"
        return await self.apis.call(
            method,
            service,
            path,
            headers={"traceparent": trace, "Accept": "application/json", **(headers or {})},
            token=self.session.bearer(service),
            params=params,
            body=body,
        )

    def page(
        self, template: str, *, status: int = 200, fragment: str | None = None, **context: Any
    ) -> Response:
        """Answer with a page.

        Args:
            template: the file's name.
            status: of HTTP.
            fragment: the block that is enough when a script of the page asks for a part of it.
            context: what the template shows.
        """
        block = fragment if self.is_partial else None
        text = render(self.environment, template, {"visit": self, **context}, block)
        return HTMLResponse(label_cells(text), status)

    def refused(self, refusal: ApiRefusal) -> Response:
        """Answer with the page of an error, when nothing else of a page can be shown."""
        status = refusal.status if 400 <= refusal.status < 500 else 503
        return self.page("error.html", status=status, refusal=refusal)

    def moved(self, path: str, **state: Any) -> Response:
        """Answer a POST with the page to look at next."""
        return RedirectResponse(page_address(path, **state), 303)


Handler = Callable[[ConsoleVisit], Awaitable[Response]]


class Screen(NamedTuple):
    """One page or act.

    Attributes:
        method: GET for pages, POST for acts.
        path: below the console, with parts in braces.
        handler: answers it.
        permission: what a person needs to see it; empty if everybody may.
    """

    method: str
    path: str
    handler: Handler
    permission: str = ""
