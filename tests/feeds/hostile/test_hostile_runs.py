"""Hostile documents through previews, uploads and fetched feeds: each costs its sender alone."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest
import sqlalchemy as sa
import uvicorn

from services.feeds.runs.execution import execute
from shared.database import Database
from shared.runtime.process import load_service_app
from shared.settings import Settings
from tests.feeds.conftest import Desk, Provider
from tests.feeds.hostile.corpus import DOCUMENTS, HostileDocument, rss

LIMITS = {
    "SENTINELIQ_DOCUMENT_MEMORY_MIB": "256",
    "SENTINELIQ_DOCUMENT_SECONDS": "8",
    "SENTINELIQ_PREVIEW_SECONDS": "2",
}
_BY_NAME = {document.name: document for document in DOCUMENTS}
CASES = [
    _BY_NAME[name]
    for name in (
        "empty comments",
        "colons",
        "doubled texts",
        "nested blocks in an entry",
        "wide XML",
        "shared strings",
        "page of a PDF",
    )
]
SLOW = HostileDocument(
    "blocks nested deeper",
    lambda: rss("<div>" * 240_000),
    None,
    {},
    frozenset({"processor-time", "wall-clock", "memory", "crash"}),
)
"""It takes minutes of processor time, on any machine more than it may."""


@pytest.fixture(scope="module", autouse=True)
def limits() -> Iterator[None]:
    """Low limits, for the settings that this module's environment reads."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LIMITS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def desk(limits: None, desk: Desk) -> Desk:  # the limits come first
    assert desk.settings.document_memory_mib == 256
    return desk


def stored_run(own: Database, run_id: str) -> Any:
    with own.engine.begin() as connection:
        query = sa.text(
            "SELECT state, deaths, attempts, error, lease_until FROM feeds.run WHERE id = :id"
        )
        return connection.execute(query, {"id": UUID(run_id)}).one()


def check_end(own: Database, run: dict[str, Any], document: HostileDocument) -> None:
    """The run has ended once and for all, with its reason."""
    stored = stored_run(own, run["id"])
    assert (stored.deaths, stored.attempts, stored.lease_until) == (0, 1, None)
    if stored.state == "failed":
        limit = stored.error.get("limit")
        assert limit in document.outcomes if limit else "refused" in document.outcomes
        assert stored.error["message"]
    else:
        assert "read" in document.outcomes
        assert stored.state in {"applying", "succeeded", "unchanged"}


@pytest.mark.parametrize("document", CASES, ids=lambda document: document.name)
def test_an_uploaded_document_ends_its_run_once(
    desk: Desk, document: HostileDocument, settings: Settings
) -> None:
    parameters: dict[str, Any] = {"name": document.name}
    if document.format:
        parameters["format"] = document.format
    if document.options:
        parameters["options"] = msgspec.json.encode(document.options).decode()
    run = desk.upload(document.make(), **parameters)
    desk.work(run)
    check_end(desk.own, run, document)
    # No other worker takes it over.
    again = execute(desk.own, settings, "acme", UUID(run["id"]))
    assert again.status == "skipped"
    ordinary = desk.upload(b"192.0.2.1\n", name="ordinary")
    assert desk.done(ordinary)["state"] == "succeeded"


@pytest.mark.parametrize("document", CASES[:1] + CASES[3:5], ids=lambda document: document.name)
def test_a_fetched_document_ends_its_run_once(
    desk: Desk, provider: tuple[str, type[Provider]], document: HostileDocument
) -> None:
    url, handler = provider
    handler.body = document.make()
    values: dict[str, Any] = {"url": url, "kind": "snapshot"}
    if document.format:
        values |= {"format": document.format, "options": dict(document.options)}
    run = desk.fetch(desk.feed(**values))
    desk.work(run)
    check_end(desk.own, run, document)


@pytest.fixture
def address(own: Database, settings: Settings) -> Iterator[str]:
    """The address of a feeds API that a server of its own serves."""
    api = Database(settings.database_url.get_secret_value(), "feeds")
    app = load_service_app("feeds", settings, api)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(server.run)
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        work.result()
    api.close()


@contextmanager
def _asking(address: str) -> Iterator[list[float]]:
    """Asks for the health of an API again and again; seconds of each answer."""
    is_over = threading.Event()
    seconds: list[float] = []

    def ask() -> None:
        with httpx2.Client(base_url=address, timeout=30) as client:
            while not is_over.wait(0.02):
                started = time.monotonic()
                assert client.get("/healthz").status_code == 200
                seconds.append(time.monotonic() - started)

    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(ask)
        try:
            yield seconds
        finally:
            is_over.set()
            work.result()


def preview(
    address: str, token: str, content: bytes, format_name: str | None = None
) -> httpx2.Response:
    return httpx2.post(
        f"{address}/v1/preview/document",
        params={"format": format_name} if format_name else {},
        content=content,
        headers={"Authorization": f"Bearer {token}"},
        timeout=90,
    )


def test_a_lease_is_renewed_and_another_feed_goes_on_while_a_document_is_read(
    desk: Desk, settings: Settings
) -> None:
    slow = desk.upload(SLOW.make(), name="slow", format="rss")
    ordinary = desk.upload(b"192.0.2.7\n", name="ordinary")
    leases: list[Any] = []
    with ThreadPoolExecutor(1) as worker:
        reading = worker.submit(execute, desk.own, settings, "acme", UUID(slow["id"]))
        started = time.monotonic()
        assert desk.work(ordinary)["status"] in {"applying", "succeeded"}
        assert time.monotonic() - started < 30
        while not reading.done():
            leases.append(stored_run(desk.own, slow["id"]).lease_until)
            time.sleep(0.2)
    assert reading.result().status == "failed"
    stored = stored_run(desk.own, slow["id"])
    assert stored.error["code"] == "document-limit"
    assert stored.error["limit"] in SLOW.outcomes
    assert stored.deaths == 0
    assert len(set(leases) - {None}) >= 2


@pytest.mark.parametrize(
    "name", ["empty comments", "nested blocks in an entry", "wide XML", "shared strings"]
)
def test_a_preview_answers_with_the_reason_and_the_api_goes_on(
    address: str, make_token: Callable[..., str], name: str
) -> None:
    document = _BY_NAME[name]
    with _asking(address) as seconds:
        answer = preview(address, make_token(), document.make(), document.format)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    limit = problem.get("limit")
    assert (limit or "refused") in document.outcomes
    assert (problem["type"].endswith("document-limit")) == (limit is not None)
    assert max(seconds, default=0) < 5
    assert preview(address, make_token(), b"192.0.2.1\n").json()["taken"] == 1


def test_a_third_preview_is_told_to_come_again(
    address: str, make_token: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.sandbox.pool.QUEUE_SECONDS", 0.2)
    token = make_token()
    with ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(preview, address, token, SLOW.make()) for _ in range(2)]
        time.sleep(0.8)
        refused = preview(address, token, b"192.0.2.1\n")
        assert [answer.result().status_code for answer in slow] == [422, 422]
    assert refused.status_code == 503
    assert refused.headers["retry-after"]


def test_a_reparse_answers_with_the_reason(desk: Desk) -> None:
    run = desk.upload(b'[{"v":"192.0.2.1"}]', name="reparsed", format="json")
    assert desk.done(run)["state"] == "succeeded"
    options = dict(_BY_NAME["doubled texts"].options)
    answer = desk.client.post(
        f"/v1/feeds/{run['feed_id']}/reparse", json={"format": "json", "options": options}
    )
    assert answer.status_code == 422
    assert answer.json()["limit"] in {"memory", "processor-time", "crash"}
