"""MISP feeds: events since the last run, oldest first, whatever is missing or cut short."""

import asyncio
import http.server
import json
import resource
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from services.feeds.collectors.base import FeedSource, FetchedDocument
from services.feeds.collectors.misp import MispCollector
from shared.errors import InvalidInput, TooLargeInput
from shared.http import GuardedClient, UpstreamStatus
from shared.http.limits import MIB
from shared.sandbox.limits import SandboxLimitExceeded

pytestmark = pytest.mark.usefixtures("environment")

A, B, C = (f"5f0c7a52-0d4c-4a0f-8d3e-2f6a5ad1a00{n}" for n in (1, 2, 3))
MANIFEST: dict[str, dict[str, Any]] = {
    A: {
        "timestamp": "100",
        "date": "2026-01-01",
        "Orgc": {"name": "CIRCL"},
        "Tag": [{"name": "tlp:clear"}],
    },
    B: {
        "timestamp": 200,
        "date": "2026-02-01",
        "Orgc": {"name": "Other"},
        "Tag": [{"name": "tlp:amber"}],
    },
    C: {"timestamp": "200", "date": "2026-03-01", "Orgc": {"name": "CIRCL"}},
}


@contextmanager
def feed(files: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/feed/")
            requests.append(name)
            content = files.get(name)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            etag = f'"{hash(data)}"'
            same = content is not None and self.headers.get("If-None-Match") == etag
            self.send_response(304 if same else 404 if content is None else 200)
            if content is not None:
                self.send_header("ETag", etag)
            self.send_header("Content-Length", "0" if same else str(len(data)))
            self.end_headers()
            self.wfile.write(b"" if same else data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/feed", requests
    finally:
        server.shutdown()
        server.server_close()


def collect(
    url: str, scratch: Path, cursor: dict[str, Any] | None = None, most: int = 99, **options: Any
) -> list[FetchedDocument]:
    async def parts() -> list[FetchedDocument]:
        fetched: list[FetchedDocument] = []
        source = FeedSource(url, options, cursor or {})
        client = GuardedClient([ip_network("127.0.0.0/8")])
        async with client, aclosing(MispCollector().collect(source, client, scratch)) as events:
            async for part in events:
                fetched.append(part)
                if len(fetched) == most:
                    break
        return fetched

    return asyncio.run(parts())


def files(**changes: Any) -> dict[str, Any]:
    events = {f"{uuid}.json": {"Event": {"uuid": uuid}} for uuid in MANIFEST}
    return {"manifest.json": dict(MANIFEST), **events, **changes}


def names(parts: list[FetchedDocument]) -> list[str]:
    return [part.name.removeprefix("event ") for part in parts]


def test_events_come_oldest_first_and_only_once(tmp_path: Path) -> None:
    with feed(files()) as (url, requests):
        first = collect(url, tmp_path)
        assert names(first) == [A, B, C]
        assert json.loads(first[0].path.read_bytes())["Event"]["uuid"] == A
        requests.clear()
        assert collect(url, tmp_path, dict(first[-1].cursor)) == []
        assert requests == ["manifest.json"]


def test_a_run_that_was_cut_short_goes_on_behind_its_last_event(tmp_path: Path) -> None:
    with feed(files()) as (url, _):
        first = collect(url, tmp_path, most=2)
        assert names(first) == [A, B]
        assert names(collect(url, tmp_path, dict(first[-1].cursor))) == [C]


def test_an_event_that_is_published_again_comes_again(tmp_path: Path) -> None:
    listed = files()
    with feed(listed) as (url, _):
        cursor = dict(collect(url, tmp_path)[-1].cursor)
        listed["manifest.json"] = {**MANIFEST, A: {**MANIFEST[A], "timestamp": "300"}}
        assert names(collect(url, tmp_path, cursor)) == [A]


def test_an_event_that_is_missing_stops_nothing(tmp_path: Path) -> None:
    listed = files()
    del listed[f"{B}.json"]
    with feed(listed) as (url, _):
        parts = collect(url, tmp_path)
        assert names(parts) == [A, C]
        assert collect(url, tmp_path, dict(parts[-1].cursor)) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tags": ["tlp:clear"]}, [A]),
        ({"not_tags": ["tlp:amber"]}, [A, C]),
        ({"orgs": ["CIRCL"]}, [A, C]),
        ({"after": "2026-01-15"}, [B, C]),
    ],
)
def test_only_events_that_are_wanted(
    tmp_path: Path, options: dict[str, Any], expected: list[str]
) -> None:
    with feed(files()) as (url, _):
        assert names(collect(url, tmp_path, **options)) == expected


def test_without_a_manifest_the_hashes_name_the_events(tmp_path: Path) -> None:
    listed = files(**{"hashes.csv": f"{'0' * 32},{A}\n{'1' * 32},{A}\n{'2' * 32},{C}\n".encode()})
    del listed["manifest.json"]
    with feed(listed) as (url, _):
        parts = collect(url, tmp_path)
        assert names(parts) == [A, C]
        assert collect(url, tmp_path, dict(parts[-1].cursor)) == []


def test_a_manifest_that_is_none_is_told(tmp_path: Path) -> None:
    with (
        feed({"manifest.json": b"<html>"}) as (url, _),
        pytest.raises(InvalidInput, match="no manifest"),
    ):
        collect(url, tmp_path)


def test_hashes_that_are_none_are_told(tmp_path: Path) -> None:
    with (
        feed({"hashes.csv": b'"' + b"x" * 200_000}) as (url, _),
        pytest.raises(InvalidInput, match="no list of hashes"),
    ):
        collect(url, tmp_path)


def test_a_manifest_that_expands_costs_a_child_and_not_the_worker(tmp_path: Path) -> None:
    # Objects of one property each become many times their bytes in memory.
    entries = ",".join(f'"{n:x}":[{{"a":[]}},{{}}]' for n in range(2_500_000))
    manifest = f"{{{entries}}}".encode()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with feed({"manifest.json": manifest}) as (url, _), pytest.raises(SandboxLimitExceeded):
        collect(url, tmp_path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < 200 * MIB
    # Nothing is left behind, and the next feed is read.
    assert list(tmp_path.iterdir()) == []
    with feed(files()) as (url, _):
        assert names(collect(url, tmp_path)) == [A, B, C]


def test_too_many_new_events_are_refused_with_the_options_that_help(tmp_path: Path) -> None:
    hashes = "".join(f"{'0' * 32},{n:08x}-0000-4000-8000-000000000000\n" for n in range(200_001))
    with (
        feed({"hashes.csv": hashes.encode()}) as (url, _),
        pytest.raises(TooLargeInput, match="`after`"),
    ):
        collect(url, tmp_path)


def test_an_address_that_is_no_feed_is_told(tmp_path: Path) -> None:
    with feed({}) as (url, _), pytest.raises(UpstreamStatus, match="404"):
        collect(url, tmp_path)
