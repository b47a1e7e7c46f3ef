"""Each bad thing has its own clear outcome, and what the feed said before stays as it was."""

import gzip
import http.server
import io
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from services.feeds.runs import fetch
from shared.http import Limits
from tests.feeds.conftest import Desk

GOOD = "\n".join(f"203.0.113.{number}" for number in range(20)).encode()
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[dict[str, str]]]]:
    seen: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.block_on_close = False
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/list.txt", seen
    finally:
        httpd.shutdown()
        httpd.server_close()


def body(data: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return answer


def bomb() -> bytes:
    """1 GB of zeros in 1 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()


def crowded_zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(10_000):
            archive.writestr(f"{number}.txt", b"")
    return packed.getvalue()


def half(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(GOOD) * 2))
    request.end_headers()
    request.wfile.write(GOOD)


def trickle(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(50):
        request.wfile.write(b"2")
        request.wfile.flush()
        time.sleep(0.1)


def redirect(to: str) -> Answer:
    return body(b"", 302, Location=to)


EMPTY_MEMBERS = gzip.compress(b"") * 100_000
MISTAKES: dict[str, tuple[Answer, str, str]] = {
    "gzip bomb on the wire": (
        body(bomb(), Content_Encoding="gzip"),
        "failed",
        "expands to more than 200 times",
    ),
    "gzip bomb as a file": (body(bomb()), "failed", "expands to more than 200 times"),
    "empty gzip members on the wire": (
        body(EMPTY_MEMBERS, Content_Encoding="gzip"),
        "failed",
        "compressed members",
    ),
    "empty gzip members as a file": (body(EMPTY_MEMBERS), "failed", "compressed members"),
    "zip with 10,000 entries": (body(crowded_zip()), "failed", "10,000 entries"),
    "redirect to a private address": (
        redirect("http://10.0.0.1/list.txt"),
        "failed",
        "outside the public internet",
    ),
    "redirect to another scheme": (redirect("file:///etc/passwd"), "failed", "only http and https"),
    "connection cut at half": (half, "queued", "broke"),
    "slow loris": (trickle, "queued", "did not answer completely in time"),
    "404": (body(b"no", 404), "failed", "HTTP 404"),
    "401": (body(b"no", 401), "failed", "HTTP 401"),
    "429": (body(b"no", 429, Retry_After="120"), "queued", "HTTP 429"),
    "500": (body(b"no", 500), "queued", "HTTP 500"),
    "a web page": (
        body(b"<!doctype html><title>Sign in</title>"),
        "failed",
        'HTML page titled "Sign in"',
    ),
    "another encoding": (body(GOOD.decode().encode("utf-16")), "unchanged", ""),
    "another encoding, cut": (body(GOOD.decode().encode("utf-16")[:41]), "held", ""),
    "NUL bytes": (body(b"203.0.113.1\n\0\0\0\n"), "held", ""),
    "one line of 10 MB": (body(b"2" * 10_000_000), "held", ""),
    "a program": (body(b"\x7fELF" + bytes(100)), "failed", "a program"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_list_stays_what_it_was(desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, state, words = MISTAKES[name]
    monkeypatch.setattr(fetch, "_LIMITS", Limits(total=1.0 if name == "slow loris" else 60.0))
    current = [body(GOOD)]

    def answer_currently(request: http.server.BaseHTTPRequestHandler) -> None:
        current[-1](request)

    with server(answer_currently) as (url, _):
        feed = desk.feed(url=url, format="text")
        assert desk.done(desk.fetch(feed))["report"]["taken"] == 20
        current.append(answer)
        run = desk.fetch(feed)
        done = desk.done(run)
    assert done["state"] == state
    assert words in (done["error"] or {}).get("message", "")
    assert desk.published_values(run) == (set(), set())
    after = desk.client.get(f"/v1/feeds/{feed['id']}").json()
    assert after["listed"] == 20


def test_credentials_do_not_follow_a_redirect_to_another_host(desk: Desk) -> None:
    with (
        server(body(GOOD)) as (elsewhere, requests_elsewhere),
        server(redirect(elsewhere)) as (url, requests),
    ):
        auth = {"kind": "header", "name": "Auth-Key", "value": "very-secret"}
        feed = desk.feed(url=url, format="text", auth=auth)
        assert desk.done(desk.fetch(feed))["state"] == "succeeded"
    assert requests[0]["Auth-Key"] == "very-secret"
    assert "Auth-Key" not in requests_elsewhere[0]


def test_a_secret_is_never_read_again(desk: Desk) -> None:
    auth = {"kind": "query", "name": "apikey", "value": "very-secret"}
    with server(body(b"no", 500)) as (url, seen):
        feed = desk.feed(url=url, format="text", auth=auth)
        run = desk.done(desk.fetch(feed))
    assert seen
    texts = [
        str(feed),
        str(run),
        desk.client.get(f"/v1/feeds/{feed['id']}").text,
        desk.client.get("/v1/feeds").text,
    ]
    assert not any("very-secret" in text for text in texts)
    assert feed["auth"] == {"kind": "query", "name": "apikey"}
    refused = desk.client.post(
        "/v1/feeds", json={"name": "x", "url": url, "auth": {**auth, "more": "very-secret"}}
    )
    assert refused.status_code == 422
    assert "very-secret" not in refused.text


@pytest.mark.parametrize(
    ("status", "health"), [(401, "unauthorised"), (404, "gone"), (200, "drifted")]
)
def test_a_feed_does_not_die_in_silence(desk: Desk, status: int, health: str) -> None:
    with server(body(b"<html>moved</html>", status)) as (url, _):
        feed = desk.feed(url=url, format="text")
        desk.work(desk.fetch(feed))
    after = desk.client.get(f"/v1/feeds/{feed['id']}").json()
    assert after["health"] == health
    assert after["health_evidence"]["reason"]


@pytest.mark.parametrize(
    ("data", "format_", "state", "reason"),
    [
        (b'[{"ip": "203.0.113.1", "ip": "203.0.113.2"}]', "json", "succeeded", ""),
        (b"[" * 10_000 + b"]" * 10_000, "json", "failed", "nested too deeply"),
        (
            b'{"type": "bundle", "objects": [' + b"[" * 10_000 + b"]" * 10_000 + b"]}",
            "stix",
            "failed",
            "nested too deeply",
        ),
        (b"203.0.113.1\ncaf\xe9.example.com\n", "text", "succeeded", ""),
    ],
)
def test_documents_that_are_meant_to_break_a_parser(
    desk: Desk, data: bytes, format_: str, state: str, reason: str
) -> None:
    done = desk.done(desk.upload(data, format=format_))
    assert done["state"] == state
    assert reason in (done["error"] or {}).get("message", "")


def test_a_pattern_with_a_thousand_ors_is_a_thousand_observables(desk: Desk) -> None:
    pattern = " OR ".join(f"[ipv4-addr:value = '10.0.{n >> 8}.{n & 255}']" for n in range(1, 1001))
    bundle: Any = {
        "type": "bundle",
        "objects": [{"type": "indicator", "id": "indicator--1", "pattern": pattern}],
    }
    import json

    assert (
        desk.done(desk.upload(json.dumps(bundle).encode(), format="stix"))["report"]["taken"]
        == 1000
    )


def test_names_that_cannot_be_stored_are_told_all_the_same(desk: Desk) -> None:
    """A NUL in a name reaches the run's error, which is a row and an event."""
    run = desk.upload(b'[{"a\\u0000b": "zzz"}, {"a\\u0000b": "yyy"}]', format="json")
    done = desk.done(run)
    assert (done["state"], done["error"]["code"]) == ("failed", "malformed-document")
    assert "a\ufffdb" in done["error"]["message"]
