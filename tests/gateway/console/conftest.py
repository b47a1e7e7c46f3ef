"""The console on a socket of its own, before the real APIs of all services on theirs."""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from html import unescape
from typing import Self

import httpx2
import psycopg
import pytest
import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from services.gateway.console.app import Console
from shared.auth import RoleName
from shared.database import Database
from shared.runtime.process import load_service_app
from shared.settings import Settings
from tests.effects.world import World
from tests.gateway.console.chromium import chromium, page, reports

__all__ = ["chromium", "page", "reports"]
APIS = ("feeds", "observables", "notifications", "mitre", "scheduler", "gateway")
_SECRET = re.compile(r'name="form_secret" value="([^"]+)"')


class Servers:
    """ASGI apps on free ports of this machine, in one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._resumed = threading.Event()
        self._servers: list[tuple[uvicorn.Server, asyncio.Future[None]]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def serve(self, app: ASGIApp, port: int = 0) -> str:
        """Serve an app, on a free port or a stated one; return its address."""
        return asyncio.run_coroutine_threadsafe(self._serve(app, port), self._loop).result(60)

    async def _serve(self, app: ASGIApp, port: int) -> str:
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            log_config=None,
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        task = asyncio.ensure_future(server.serve())
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        self._servers.append((server, task))
        bound = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{bound}"

    async def _stop(self) -> None:
        for server, task in reversed(self._servers):
            server.should_exit = True
            await task

    def pause(self) -> None:
        """Freeze all servers: their connections stay, and nothing is answered."""
        self._resumed.clear()
        self._loop.call_soon_threadsafe(self._resumed.wait, 60)

    def resume(self) -> None:
        """Let all servers go on."""
        self._resumed.set()

    def close(self, console: Console) -> None:
        """Close the console's connections to the APIs and to Kafka."""
        asyncio.run_coroutine_threadsafe(console.live.close(), self._loop).result(30)
        asyncio.run_coroutine_threadsafe(console.apis.close(), self._loop).result(10)


@dataclass
class Browser:
    """A person at the console: cookies, and forms with their secret."""

    http: httpx2.Client
    origin: str

    def get(self, path: str, **options: object) -> httpx2.Response:
        """Open a page."""
        return self.http.get(f"/console{path}", **options)

    def form_secret(self, path: str = "/preferences") -> str:
        """The secret of a page's forms."""
        match = _SECRET.search(self.get(path).text)
        assert match is not None
        return unescape(match[1])

    def post(self, path: str, **fields: object) -> httpx2.Response:
        """Send a form as a browser does."""
        data = {"form_secret": self.form_secret(), **fields}
        return self.http.post(f"/console{path}", data=data, headers={"Origin": self.origin})


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with Servers() as servers:
        yield servers


@pytest.fixture(scope="module")
def gateway(environment: Settings, servers: Servers) -> Iterator[str]:
    """The address of a whole gateway: the edge, and the console behind it."""
    own = Database(environment.database_url.get_secret_value(), "gateway")
    yield servers.serve(load_service_app("gateway", environment, own))
    own.close()


@pytest.fixture(scope="module")
def site(environment: Settings, servers: Servers) -> Iterator[str]:
    """The console's address; the services behind it are real, on databases of this module."""
    with ExitStack() as stack:
        urls = {}
        for service in APIS:
            own = Database(environment.database_url.get_secret_value(), service)
            stack.callback(own.close)
            app = load_service_app(service, environment, own)
            urls[f"{service}_url"] = servers.serve(app)
        own = Database(environment.database_url.get_secret_value(), "gateway")
        stack.callback(own.close)
        console = Console(environment.model_copy(update=urls), own)
        yield servers.serve(console)
        servers.close(console)


@pytest.fixture
def visitor(site: str) -> Iterator[Callable[[], Browser]]:
    """Makes browsers in which nobody has signed in."""
    with ExitStack() as stack:

        def make() -> Browser:
            client = httpx2.Client(base_url=site, timeout=60, follow_redirects=False)
            return Browser(stack.enter_context(client), site)

        yield make


@pytest.fixture
def sign_in(
    visitor: Callable[[], Browser], make_token: Callable[..., str]
) -> Callable[..., Browser]:
    """Makes browsers of people who have signed in: `sign_in(role="viewer")`."""

    def make(tenant: str = "acme", role: RoleName = "admin") -> Browser:
        browser = visitor()
        answer = browser.post("/sign-in", token=make_token(tenant, role))
        assert answer.status_code == 303, answer.text
        return browser

    return make


@pytest.fixture
def world(settings: Settings, client_for: Callable[..., TestClient]) -> Iterator[World]:
    """What the tenant has, to which a test adds."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        yield World(settings, client_for, admin)
