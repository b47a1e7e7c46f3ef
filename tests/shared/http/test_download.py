"""Downloads: a file appears when it is complete, and otherwise nothing changes."""

import asyncio
import gzip
import hashlib
from ipaddress import ip_network

import pytest

from shared.http import (
    BadBody,
    GuardedClient,
    Limits,
    TimedOut,
    TooLarge,
    Unreachable,
    UpstreamStatus,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

BODY = b"".join(b"%d.%d.1.1,botnet\n" % (n % 251, n % 241) for n in range(50_000))
LIMITS = Limits(connect=1.0, total=2.0)


@pytest.fixture
async def client():
    async with GuardedClient((ip_network("127.0.0.0/8"),), LIMITS) as client:
        yield client


@pytest.fixture
def path(tmp_path):
    """A file with older content, alone in its folder."""
    path = tmp_path / "feed.csv"
    path.write_bytes(b"older")
    return path


def untouched(path) -> bool:
    return path.read_bytes() == b"older" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_the_decoded_body_replaces_the_file(http, client, path, encoding):
    body = gzip.compress(BODY) if encoding == "gzip" else BODY
    async with http.Server(
        http.answer(body, 200, f"Content-Encoding: {encoding}", 'ETag: "e2"')
    ) as server:
        done = await client.download(server.url(), path)
    assert path.read_bytes() == BODY
    assert (done.status, done.bytes_received, done.bytes_expanded) == (200, len(body), len(BODY))
    assert done.sha256 == hashlib.sha256(BODY).hexdigest()
    assert done.headers["etag"] == '"e2"'
    assert list(path.parent.iterdir()) == [path]


async def test_an_unchanged_feed_is_not_fetched(http, client, path):
    async with http.Server(b'HTTP/1.1 304 Not Modified\r\nETag: "e1"\r\n\r\n') as server:
        done = await client.download(
            server.url(),
            path,
            {"If-None-Match": '"e1"', "If-Modified-Since": "Sat, 01 Aug 2026 00:00:00 GMT"},
        )
        assert b'If-None-Match: "e1"' in server.requests[0]
        assert b"If-Modified-Since: Sat, 01" in server.requests[0]
    assert (done.status, done.bytes_received, done.headers["ETag"]) == (304, 0, '"e1"')
    assert untouched(path)


@pytest.mark.parametrize("status", [201, 204, 206, 400, 401, 403, 404, 410, 429, 500, 503])
async def test_any_other_status_leaves_the_file(http, client, path, status):
    body = b"" if status == 204 else b"<html>sorry</html>"
    async with http.Server(http.answer(body, status, "Retry-After: 7")) as server:
        with pytest.raises(UpstreamStatus) as caught:
            await client.download(server.url(), path)
    assert caught.value.upstream_status == status
    assert untouched(path)


def chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body)


@pytest.mark.parametrize("cut", ["length", "chunked", "gzip"])
async def test_a_connection_cut_half_way_leaves_the_file(http, client, path, cut):
    packed = gzip.compress(BODY)
    response = {
        "length": http.answer(BODY, length=2 * len(BODY)),
        "chunked": chunked(BODY),
        # No length at all: only the encoding tells that something is missing.
        "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed[: len(packed) // 2],
    }[cut]
    async with http.Server(response) as server:
        with pytest.raises(Unreachable) as caught:
            await client.download(server.url(), path)
    assert caught.value.retryable
    assert untouched(path)


async def test_a_bomb_leaves_the_file(http, client, path):
    bomb = gzip.compress(bytes(64 << 20))
    async with http.Server(http.answer(bomb, 200, "Content-Encoding: gzip")) as server:
        with pytest.raises(TooLarge, match="200 times"):
            await client.download(server.url(), path)
    assert untouched(path)


async def test_an_unknown_encoding_leaves_the_file(http, client, path):
    async with http.Server(http.answer(b"x", 200, "Content-Encoding: br")) as server:
        with pytest.raises(BadBody, match="'br'"):
            await client.download(server.url(), path)
    assert untouched(path)


async def stalled(head, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    await asyncio.sleep(5)


async def test_a_stall_leaves_the_file(http, client, path):
    async with http.Server(stalled) as server:
        with pytest.raises(TimedOut):
            await client.download(server.url(), path, limits=Limits(total=0.3))
    assert untouched(path)


async def test_a_cancelled_download_leaves_the_file(http, client, path):
    async with http.Server(stalled) as server:
        task = asyncio.create_task(client.download(server.url(), path))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert untouched(path)
