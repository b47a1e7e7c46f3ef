"""Whose word about a client's address a service takes."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from shared.web.server import believed_gateways
from tests.gateway.routing.gateway_script import gateway_settings


@pytest.mark.parametrize(
    ("gateways", "peer", "client"),
    [
        ("127.0.0.1/32", "127.0.0.1", "203.0.113.9"),
        ("127.0.0.1/32", "192.0.2.1", "192.0.2.1"),
        ("10.2.0.0/16,127.0.0.1/32", "10.2.3.4", "203.0.113.9"),
    ],
)
def test_a_service_believes_the_gateways_that_are_named(
    gateways: str, peer: str, client: str
) -> None:
    seen = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"][0])

    settings = gateway_settings(1, "http://127.0.0.1:1", gateway_addresses=gateways)
    trusted = believed_gateways(FastAPI(), settings)
    headers = [(b"x-forwarded-for", b"203.0.113.9")]
    scope = {"type": "http", "client": (peer, 1), "headers": headers, "scheme": "http"}
    service = ProxyHeadersMiddleware(app, trusted_hosts=trusted)
    asyncio.run(service(scope, None, None))  # type: ignore[arg-type]
    assert seen == [client]


def test_without_a_name_nobody_is_believed_and_the_gateway_believes_none_here() -> None:
    address = "http://127.0.0.1:1"
    assert believed_gateways(FastAPI(), gateway_settings(1, address)) == []
    app = FastAPI()
    app.state.reads_strangers = True
    settings = gateway_settings(1, address, gateway_addresses="127.0.0.1/32")
    assert believed_gateways(app, settings) == []
