"""Collections over TAXII: each object once, whatever the server forgets, repeats or claims."""

import asyncio
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from services.feeds.collectors.base import Credentials, FeedSource, FetchedDocument
from services.feeds.collectors.taxii import EndlessPagination, TaxiiCollector, _api_roots
from shared.errors import InvalidInput
from shared.http import GuardedClient, UpstreamStatus

OBJECTS = 10_000
SHARING = 50
COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
LOGIN = Credentials({"Authorization": "Basic " + b64encode(b"admin:secret").decode()})
ALLOW = [ip_network("127.0.0.0/8")]


async def parts(
    source: FeedSource, scratch: Path, most: int | None = None
) -> list[tuple[FetchedDocument, list[dict[str, Any]]]]:
    fetched = []
    async with (
        GuardedClient(ALLOW) as client,
        aclosing(TaxiiCollector().collect(source, client, scratch)) as pages,
    ):
        async for part in pages:
            fetched.append((part, json.loads(part.path.read_bytes())["objects"]))
            if len(fetched) == most:
                break
    return fetched


def collect(
    source: FeedSource, scratch: Path, most: int | None = None
) -> list[tuple[FetchedDocument, list[dict[str, Any]]]]:
    return asyncio.run(parts(source, scratch, most))


def ids(fetched: list[tuple[FetchedDocument, list[dict[str, Any]]]]) -> list[str]:
    return [stix_object["id"] for _, objects in fetched for stix_object in objects]


def indicator(number: int) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "pattern": f"[ipv4-addr:value = '10.{number >> 16}.{number >> 8 & 255}.{number & 255}']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
    }


def added(number: int) -> str:
    """The time of an object's arrival, which objects on both sides of a page's end share."""
    second = (number + 20) // SHARING
    return f"2026-02-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000001Z"


class Medallion:
    """A server that can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        media = "application/stix+json;version=2.1"
        objects = [indicator(number) for number in range(OBJECTS)]
        manifest = [
            {
                "id": stix_object["id"],
                "date_added": added(at),
                "version": stix_object["modified"],
                "media_type": media,
            }
            for at, stix_object in enumerate(objects)
        ]
        collection = {"id": COLLECTION, "title": "Everything", "can_read": True, "can_write": False}
        collection |= {"media_types": [media], "objects": objects, "manifest": manifest}
        root = f"http://127.0.0.1:{self.port}/root/"
        data = {
            "/discovery": {"title": "Test", "default": root, "api_roots": [root]},
            "root": {
                "information": {
                    "title": "Root",
                    "versions": ["application/taxii+json;version=2.1"],
                    "max_content_length": 9765625,
                },
                "status": [],
                "collections": [collection],
            },
        }
        (folder / "data.json").write_text(json.dumps(data))
        backend = {"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend"}
        config = {"users": {"admin": "secret"}, "taxii": {"max_page_size": 1000}}
        config["backend"] = {**backend, "filename": str(folder / "data.json")}
        self._config = folder / "config.json"
        self._config.write_text(json.dumps(config))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/root/collections/{COLLECTION}/"

    def start(self) -> None:
        script = Path(__file__).with_name("taxii_server.py")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", script, str(self.port), self._config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, "medallion does not start"
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture(scope="module")
def medallion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Medallion]:
    server = Medallion(tmp_path_factory.mktemp("medallion"))
    server.start()
    yield server
    server.kill()


@pytest.mark.slow
def test_every_object_comes_once_though_the_server_is_killed_between_pages(
    medallion: Medallion, tmp_path: Path
) -> None:
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        fetched = collect(FeedSource(medallion.url, {}, cursor, LOGIN), tmp_path, most=2)
        seen += ids(fetched)
        cursor = json.loads(json.dumps(fetched[-1][0].cursor))
        medallion.kill()
        medallion.start()
    fetched = collect(FeedSource(medallion.url, {}, cursor, LOGIN), tmp_path)
    seen += ids(fetched)
    assert len(seen) == OBJECTS
    assert len(set(seen)) == OBJECTS
    again = collect(FeedSource(medallion.url, {}, fetched[-1][0].cursor, LOGIN), tmp_path)
    assert ids(again) == []


def test_a_collection_is_found_by_its_title_from_the_discovery(
    medallion: Medallion, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{medallion.port}/taxii2/"
    fetched = collect(
        FeedSource(url, {"collection": "Everything", "page": 100}, {}, LOGIN), tmp_path, most=1
    )
    assert len(ids(fetched)) == 100
    with pytest.raises(InvalidInput, match="no collection 'Nothing'"):
        collect(FeedSource(url, {"collection": "Nothing"}, {}, LOGIN), tmp_path)


def test_wrong_credentials_are_told(medallion: Medallion, tmp_path: Path) -> None:
    with pytest.raises(UpstreamStatus) as refusal:
        collect(FeedSource(medallion.url), tmp_path)
    assert refusal.value.upstream_status == 401


Answer = Callable[[dict[str, str], dict[str, str]], tuple[int, dict[str, str], Any]]


@contextmanager
def server(answer: Answer, version: str = "2.1") -> Iterator[str]:
    """A server whose `answer(query, headers)` gives status, headers and body of a page."""
    kind = (
        "application/vnd.oasis.taxii+json; version=2.0"
        if version == "2.0"
        else "application/taxii+json;version=2.1"
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parsed = urlsplit(self.path)
            status = 200
            headers = {}
            body = {"id": COLLECTION, "title": "x", "can_read": True, "can_write": False}
            if version == "2.0" and "version=2.1" in self.headers["Accept"]:
                status = 406
                body = {}
            elif parsed.path.endswith("/objects/"):
                query = {name: values[0] for name, values in parse_qs(parsed.query).items()}
                status, headers, body = answer(query, dict(self.headers))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/root/collections/{COLLECTION}/"
    finally:
        httpd.shutdown()
        httpd.server_close()


def test_a_server_that_repeats_a_page_for_ever_is_left(tmp_path: Path) -> None:
    page = {"more": True, "next": "again", "objects": [indicator(1), indicator(2)]}
    with server(lambda *_: (200, {}, page)) as url, pytest.raises(EndlessPagination):
        collect(FeedSource(url), tmp_path)


def test_a_server_whose_added_after_is_inclusive_gives_nothing_twice(tmp_path: Path) -> None:
    def answer(query: dict[str, str], _headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        listed = [(added(number), indicator(number)) for number in range(200)]
        chosen = [pair for pair in listed if pair[0] >= query.get("added_after", "")][:60]
        more = chosen[-1] != listed[-1]
        headers = {
            "X-TAXII-Date-Added-First": chosen[0][0],
            "X-TAXII-Date-Added-Last": chosen[-1][0],
        }
        return 200, headers, {"more": more, "objects": [stix_object for _, stix_object in chosen]}

    with server(answer) as url:
        fetched = collect(FeedSource(url), tmp_path)
        assert sorted(ids(fetched)) == [indicator(number)["id"] for number in range(200)]
        assert collect(FeedSource(url, {}, fetched[-1][0].cursor), tmp_path) == []


def test_a_server_that_ignores_added_after_comes_to_an_end(tmp_path: Path) -> None:
    page = {"more": False, "objects": [indicator(1), indicator(2)]}
    with server(lambda *_: (200, {}, page)) as url:
        fetched = collect(FeedSource(url), tmp_path)
        assert len(ids(fetched)) == 2
        assert collect(FeedSource(url, {}, fetched[-1][0].cursor), tmp_path) == []


def test_a_new_version_of_an_object_is_another_object(tmp_path: Path) -> None:
    objects = [indicator(1)]
    with server(lambda *_: (200, {}, {"objects": objects})) as url:
        fetched = collect(FeedSource(url), tmp_path)
        objects[0] = {**objects[0], "modified": "2026-03-01T00:00:00.000Z", "revoked": True}
        assert len(ids(collect(FeedSource(url, {}, fetched[-1][0].cursor), tmp_path))) == 1


def test_taxii_2_0_pages_by_ranges(tmp_path: Path) -> None:
    def answer(_query: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        first, last = (int(text) for text in headers["Range"].removeprefix("items=").split("-"))
        last = min(last, 249)
        bundle = {
            "type": "bundle",
            "objects": [indicator(number) for number in range(first, last + 1)],
        }
        return 206, {"Content-Range": f"items {first}-{last}/250"}, bundle

    with server(answer, "2.0") as url:
        fetched = collect(FeedSource(url, {"page": 100}), tmp_path)
    assert ids(fetched) == [indicator(number)["id"] for number in range(250)]


def test_a_token_that_is_a_number_is_sent_back(tmp_path: Path) -> None:
    pages = {None: {"objects": [indicator(1), indicator(2)], "more": True, "next": 50}}
    pages["50"] = {"objects": [indicator(3)], "more": False}
    with server(lambda query, _: (200, {}, pages[query.get("next")])) as url:
        assert len(ids(collect(FeedSource(url), tmp_path))) == 3


def test_types_count_whatever_the_server_sends(tmp_path: Path) -> None:
    def answer(query: dict[str, str], _headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        number = int(query.get("next", "0"))
        kinds = ["indicator"] if number == 5 else ["ipv4-addr"]
        objects = [{**indicator(number), "type": kind} for kind in kinds]
        return 200, {}, {"objects": objects, "more": number < 5, "next": str(number + 1)}

    with server(answer) as url:
        fetched = collect(FeedSource(url, {"types": ["indicator"]}), tmp_path)
    assert ids(fetched) == [indicator(5)["id"]]


def test_a_total_that_is_unknown_is_read_to_its_end(tmp_path: Path) -> None:
    def answer(_query: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        first, last = (int(text) for text in headers["Range"].removeprefix("items=").split("-"))
        last = min(last, 24)
        objects = [indicator(number) for number in range(first, last + 1)]
        return 206, {"Content-Range": f"items {first}-{last}/*"}, {"objects": objects}

    with server(answer, "2.0") as url:
        fetched = collect(FeedSource(url, {"page": 10}), tmp_path)
    assert len(ids(fetched)) == 25


@pytest.mark.parametrize("root", ["/root/", "../root/", "http://other.example/root/"])
def test_api_roots_may_be_relative_to_the_server(root: str) -> None:
    roots = _api_roots("http://server.example/taxii2/", {"api_roots": [root]})
    host = "other.example" if "other" in root else "server.example"
    assert roots == [f"http://{host}/root/"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "error"),
    [
        (200, {}, b'{"objects": [', InvalidInput),
        (200, {}, {"objects": "none"}, InvalidInput),
        (404, {}, {}, UpstreamStatus),
        (429, {"Retry-After": "120"}, {}, UpstreamStatus),
        (500, {}, {}, UpstreamStatus),
    ],
)
def test_an_answer_that_is_no_page_is_told(
    tmp_path: Path, status: int, headers: Any, body: Any, error: type
) -> None:
    with server(lambda *_: (status, headers, body)) as url, pytest.raises(error) as problem:
        collect(FeedSource(url), tmp_path)
    assert getattr(problem.value, "retry_after", None) == (120 if status == 429 else None)


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no option `colection`"):
        collect(FeedSource("http://127.0.0.1:1/", {"colection": "x"}), tmp_path)
