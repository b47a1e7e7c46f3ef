"""The document of the whole installation: strangers who fetch it cost next to nothing."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI

from services.gateway.routing.upstreams import Upstreams
from services.gateway.routing.whole_document import WholeDocument
from shared.settings import Settings
from tests.gateway.routing.conftest import RunningGateway
from tests.gateway.routing.gateway_script import gateway_settings


class CountedApi(FastAPI):
    """An API that notes which threads make its document."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []

    def openapi(self) -> dict[str, Any]:
        self.threads.append(threading.current_thread())
        return super().openapi()


class SlowUpstreams(Upstreams):
    """Services that answer when the test wants."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.can_answer = asyncio.Event()
        self.can_answer.set()
        self.is_whole = True

    async def documents(self) -> Mapping[str, dict[str, Any] | None]:
        await self.can_answer.wait()
        document = {"paths": {"/v1/a": {"get": {"responses": {}}}}}
        return {"feeds": document if self.is_whole else None}


@pytest.fixture
def upstreams() -> SlowUpstreams:
    return SlowUpstreams(gateway_settings(1, "http://127.0.0.1:1"))


def test_a_crowd_lets_it_be_made_once_and_not_on_the_loop(upstreams: SlowUpstreams) -> None:
    api = CountedApi()
    document = WholeDocument(api, upstreams)

    async def ask() -> list[bytes]:
        answers = await asyncio.gather(*(document.answer([]) for _ in range(40)))
        return [bytes(answer.body) for answer in answers]

    bodies = asyncio.run(ask())
    assert len(api.threads) == 1
    assert api.threads[0] is not threading.main_thread()
    assert len({id(body) for body in bodies}) == 1, "all get the same bytes"
    assert "/api/feeds/v1/a" in msgspec.json.decode(bodies[0])["paths"]


def test_the_former_one_goes_out_until_the_next_is_there(
    upstreams: SlowUpstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.routing.whole_document._PARTIAL_SECONDS", 0.0)
    api = CountedApi()
    document = WholeDocument(api, upstreams)

    async def ask() -> None:
        upstreams.is_whole = False
        first = await document.answer([])
        upstreams.is_whole = True
        upstreams.can_answer.clear()
        async with asyncio.timeout(10):
            for _ in range(20):
                assert (await document.answer([])).body == first.body
        upstreams.can_answer.set()
        async with asyncio.timeout(10):
            while (await document.answer([])).body == first.body:
                await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert len(api.threads) == 2, "twenty requests began one refresh"


def test_a_client_that_has_it_gets_no_body(gateway: RunningGateway) -> None:
    with gateway.client(None) as client:
        first = client.get("/openapi.json")
        assert first.status_code == 200
        tag = first.headers["etag"]
        for sent in (tag, f'"other", W/{tag}', "*"):
            again = client.get("/openapi.json", headers={"If-None-Match": sent})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        changed = client.get("/openapi.json", headers={"If-None-Match": '"other"'})
        assert changed.content == first.content


def test_strangers_pay_for_documentation(new_gateway: Callable[..., RunningGateway]) -> None:
    gateway = new_gateway(api_rate="4")  # 20 units in 5 s
    with gateway.client(None) as client:
        answers = [client.get("/docs") for _ in range(60)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert answers[0].status_code == 200
        assert refused, "no limit"
        assert 1 <= int(refused[0].headers["retry-after"]) <= 5
        assert client.get("/healthz").status_code == 200
