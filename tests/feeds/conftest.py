"""A provider on loopback, and runs of the feeds service on the real parts."""

import asyncio
import gzip
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from starlette.testclient import TestClient

from services.feeds.runs.execution import execute
from services.feeds.runs.handlers import handle_applied
from services.feeds.runs.service import RUN_FEED
from shared.database import PLATFORM, Database, database
from shared.events import Event
from shared.events.feeds import OBSERVED, IndicatorsObserved
from shared.events.observables import APPLIED, RunApplied
from shared.kafka.cluster import client_options, consumer_group
from shared.kafka.topics import topic_name
from shared.runtime.hints import unmark
from shared.settings import Settings


class Provider(http.server.BaseHTTPRequestHandler):
    """Answers with `body`, gzipped; paths that were requested are in `requests`."""

    body = b""
    etag = '"1"'
    status = 200
    extra: ClassVar[dict[str, str]] = {}
    requests: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.etag and self.headers.get("If-None-Match") == self.etag:
            self.send_response(304)
            self.end_headers()
            return
        body = gzip.compress(self.body)
        self.send_response(self.status)
        if self.etag:
            self.send_header("ETag", self.etag)
        for name, value in self.extra.items():
            self.send_header(name, value)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[tuple[str, type[Provider]]]:
    handler = type("OneProvider", (Provider,), {"requests": [], "extra": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/list.txt", handler
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def own(settings: Settings) -> Database:
    service = database("feeds")
    with service.engine.begin() as connection:
        connection.execute(
            sa.text(
                "TRUNCATE feeds.feed, feeds.run, feeds.provider, feeds.provider_turn, "
                "feeds.outbox CASCADE"
            )
        )
    return service


@pytest.fixture
def client(own: Database, client_for: Callable[..., TestClient]) -> TestClient:
    return client_for("feeds")


class Desk:
    """Uploads and fetches, works on runs, and reads what they published."""

    def __init__(self, own: Database, settings: Settings, client: TestClient) -> None:
        self.own = own
        self.settings = settings
        self.client = client

    def upload(self, body: bytes, **parameters: Any) -> dict[str, Any]:
        """Upload to a feed; what an upload may not change of it is changed before."""
        params = {"name": "mine", **parameters}
        answer = self.client.post("/v1/ingest", params=params, content=body)
        if answer.status_code == 409:
            self.change_feed(
                params["name"], {name: params[name] for name in answer.json()["fields"]}
            )
            answer = self.client.post("/v1/ingest", params=params, content=body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def change_feed(self, name: str, values: dict[str, Any]) -> None:
        """Change settings of a feed of the tenant."""
        feeds = self.client.get("/v1/feeds").json()["items"]
        (feed,) = [feed for feed in feeds if feed["name"] == name]
        if isinstance(values.get("options"), str):
            values["options"] = json.loads(values["options"])
        self.client.patch(f"/v1/feeds/{feed['id']}", json=values).raise_for_status()

    def feed(self, **values: object) -> dict[str, Any]:
        answer = self.client.post("/v1/feeds", json={"name": "by-http", **values})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def fetch(self, feed: dict[str, Any]) -> dict[str, Any]:
        return self.client.post(f"/v1/feeds/{feed['id']}/runs").json()

    def work(self, run: dict[str, Any]) -> dict[str, Any]:
        with self.own.transaction(PLATFORM) as session:
            for table in ("provider", "provider_turn"):  # a test does not wait for its turn
                session.execute(sa.text(f"DELETE FROM {table}"))
        unmark(RUN_FEED, (run["id"],))  # as the task does when it starts
        asyncio.run(self._read_all())
        outcome = execute(self.own, self.settings, "acme", UUID(run["id"]))
        return outcome.as_dict()

    async def _read_all(self) -> None:
        """Tell Kafka, as the observables service does, that all chunks so far are handled."""
        topic = topic_name(self.settings, OBSERVED.name)
        async with AIOKafkaConsumer(
            **client_options(self.settings),
            group_id=consumer_group(self.settings, "observables"),
            enable_auto_commit=False,
        ) as consumer:
            count = self.settings.kafka_partitions
            partitions = [TopicPartition(topic, number) for number in range(count)]
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))

    def done(self, run: dict[str, Any]) -> dict[str, Any]:
        """Work on a run, and answer as the observables service does when it has applied it."""
        self.work(run)
        state = self.client.get(f"/v1/runs/{run['id']}").json()
        if state["state"] == "applying":
            self.answer(run)
        return self.client.get(f"/v1/runs/{run['id']}").json()

    def answer(self, run: dict[str, Any], **values: Any) -> None:
        """Let the observables service say what it applied of a run; all of it by default."""
        state = self.client.get(f"/v1/runs/{run['id']}").json()
        report = state["report"] or {"chunks": 0, "published": 0}
        applied = RunApplied(
            UUID(run["feed_id"]),
            UUID(run["id"]),
            **{
                "state": "applied",
                "chunks": report["chunks"],
                "received": report["published"],
                **values,
            },
        )
        event = Event(APPLIED, applied, run["tenant"], "/services/observables")
        with self.own.transaction(run["tenant"]) as session:
            handle_applied(session, [event])

    def published(self, run: dict[str, Any]) -> list[IndicatorsObserved]:
        async def read() -> list[IndicatorsObserved]:
            topic = topic_name(self.settings, OBSERVED.name)
            count = self.settings.kafka_partitions
            partitions = [TopicPartition(topic, number) for number in range(count)]
            consumer = AIOKafkaConsumer(
                **client_options(self.settings),
                auto_offset_reset="earliest",
            )
            consumer.assign(partitions)
            records = []
            async with consumer, asyncio.timeout(60):
                for partition, end in (await consumer.end_offsets(partitions)).items():
                    while await consumer.position(partition) < end:
                        batch = await consumer.getmany(partition, timeout_ms=500)
                        records += batch.get(partition, [])
            return [
                msgspec.json.decode(record.value, type=IndicatorsObserved) for record in records
            ]

        return [chunk for chunk in asyncio.run(read()) if str(chunk.run_id) == run["id"]]

    def published_values(self, run: dict[str, Any]) -> tuple[set[str], set[str]]:
        """Values that a run published as seen, and those it published as gone."""
        chunks = self.published(run)
        return (
            {item.value for chunk in chunks for item in chunk.seen},
            {item.value for chunk in chunks for item in chunk.gone},
        )


@pytest.fixture
def desk(own: Database, settings: Settings, client: TestClient) -> Desk:
    return Desk(own, settings, client)
