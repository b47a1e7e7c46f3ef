"""PostgreSQL freezes: an API answers 503 with Retry-After within seconds, and stays alive."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.testclient import TestClient

from shared.database import Database
from shared.runtime.process import load_service_app
from shared.settings import Settings
from tests.faults.tcp_proxy import TcpProxy

ANSWERED = 7.0
"""Seconds; the promise is 5, and a test machine is busy."""


@pytest.mark.parametrize(
    ("service", "path"),
    [("observables", "/v1/lookup?value=192.0.2.1"), ("feeds", "/v1/feeds")],
)
def test_a_frozen_database_is_answered_with_503(
    environment: Settings, make_token: Callable[..., str], service: str, path: str
) -> None:
    address = urlsplit(environment.database_url.get_secret_value())
    with TcpProxy(str(address.hostname), address.port or 5432) as proxy:
        user = address.netloc.rpartition("@")[0]
        own = Database(f"postgresql://{user}@127.0.0.1:{proxy.port}{address.path}", service)
        app = load_service_app(service, environment, own)
        headers = {"Authorization": f"Bearer {make_token('acme', 'admin')}"}
        with TestClient(app, headers=headers, raise_server_exceptions=False) as client:

            def get(place: str) -> tuple[float, httpx2.Response]:
                started = time.monotonic()
                answer = client.get(place)
                return time.monotonic() - started, answer

            assert get(path)[1].status_code == 200
            proxy.freeze()
            with ThreadPoolExecutor(16) as threads:
                answers = list(threads.map(get, [path] * 48))
            for seconds, answer in answers:
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) > 0
                assert seconds < ANSWERED
            assert get("/healthz")[1].status_code == 200
            assert get("/readyz")[1].status_code == 503
            assert proxy.connections <= 20
            proxy.thaw()
            deadline = time.monotonic() + 10
            while get(path)[1].status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        own.close()
