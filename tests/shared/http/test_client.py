"""The guarded client against real servers: where it goes, what it gives away, when it gives up."""

import asyncio
import gzip
import logging
import socket
import time
from ipaddress import ip_network

import pytest

from shared.errors import InvalidInput
from shared.http import (
    BadBody,
    ForbiddenTarget,
    GuardedClient,
    Limits,
    TimedOut,
    TooLarge,
    Unreachable,
    UpstreamStatus,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

LOOPBACK = (ip_network("127.0.0.0/8"),)
ONE = (ip_network("127.0.0.1/32"),)
QUICK = Limits(connect=1.0, total=2.0)


def names(**addresses):
    """A resolver with fixed answers; `hosts` are the names that it resolved."""
    hosts = []

    async def resolver(host, port):
        hosts.append(host)
        return addresses[host.replace(".", "_")]

    resolver.hosts = hosts
    return resolver


async def exhaust(response):
    async for _ in response.iter_bytes():
        pass


async def test_it_fetches_and_introduces_itself(http):
    async with http.Server(http.answer(b'{"a": 1}', 200, "X-Two: a", "X-Two: b")) as server:
        async with GuardedClient(LOOPBACK, QUICK) as client:
            response = await client.request(
                "GET", server.url("/x y?q=ü#part"), headers={"Accept": "text/csv"}
            )
        assert (response.status, response.json(), response.headers["X-TWO"]) == (
            200,
            {"a": 1},
            "a, b",
        )
        head = server.requests[0].decode()
        assert head.startswith("GET /x%20y?q=%C3%BC HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}\r\n" in head
        assert "User-Agent: SentinelIQ/" in head
        assert "Accept: text/csv" in head


async def test_it_reaches_nothing_private_unless_allowed(http):
    async with http.Server(http.answer(b"secret")) as server, GuardedClient(limits=QUICK) as client:
        for host in ("127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "0"):
            with pytest.raises(ForbiddenTarget):
                await client.request("GET", server.url(host=host))
        assert server.connections == 0


async def test_proxies_of_the_environment_are_not_used(http, monkeypatch):
    async with (
        http.Server(http.answer(b"direct")) as server,
        http.Server(http.answer(b"proxy")) as proxy,
    ):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        async with GuardedClient(LOOPBACK, QUICK) as client:
            assert (await client.request("GET", server.url())).content == b"direct"
        assert proxy.connections == 0


async def test_connections_are_reused(http):
    async def keep_open(head, writer):
        for _ in range(2):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with http.Server(keep_open) as server, GuardedClient(LOOPBACK, QUICK) as client:
        for _ in range(2):
            assert (await client.request("GET", server.url())).content == b"ok"
        assert server.connections == 1


# Names and addresses


async def test_a_name_is_resolved_once_and_the_vetted_address_is_dialled(http):
    async with http.Server(http.answer(b"ok")) as good:
        hosts = []

        async def rebinding(host, port):
            hosts.append(host)
            return ["127.0.0.1"] if len(hosts) == 1 else ["127.0.0.2"]

        async with http.Server(http.answer(b"forbidden"), host="127.0.0.2") as bad:
            async with GuardedClient(ONE, QUICK, rebinding) as client:
                url = good.url(host="rebind.example")
                assert (await client.request("GET", url)).content == b"ok"
                assert hosts == ["rebind.example"]
                with pytest.raises(ForbiddenTarget):
                    await client.request("GET", url)
                with pytest.raises(ForbiddenTarget):
                    await client.request("GET", bad.url(host="rebind.example"))
            assert bad.connections == 0
        assert b"Host: rebind.example:" in good.requests[0]
        assert (good.connections, len(hosts)) == (1, 3)


async def test_every_answer_must_pass(http):
    async with http.Server(http.answer(b"ok")) as server:
        resolver = names(mixed_example=["127.0.0.1", "10.0.0.1"])
        async with GuardedClient(ONE, QUICK, resolver) as client:
            with pytest.raises(ForbiddenTarget):
                await client.request("GET", server.url(host="mixed.example"))
        assert server.connections == 0


@pytest.mark.parametrize("addresses", [["::1", "127.0.0.1"], ["127.0.0.1", "::1"]])
async def test_the_next_address_is_tried_when_one_refuses(http, addresses):
    allow = (*LOOPBACK, ip_network("::1/128"))  # no server listens there
    resolver = names(two_example=addresses)
    async with (
        http.Server(http.answer(b"ok")) as server,
        GuardedClient(allow, QUICK, resolver) as client,
    ):
        assert (await client.request("GET", server.url(host="two.example"))).content == b"ok"


@pytest.mark.parametrize(
    "answer", [[], socket.gaierror(-2, "no such name"), UnicodeError("label too long")]
)
async def test_a_name_without_addresses_is_unreachable(answer):
    async def resolver(host, port):
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with GuardedClient(LOOPBACK, QUICK, resolver) as client:
        with pytest.raises(Unreachable, match=r"nowhere\.example does not resolve") as caught:
            await client.request("GET", "http://nowhere.example/")
    assert caught.value.retryable


async def test_a_resolver_that_hangs_runs_into_the_connect_limit():
    async def resolver(host, port):
        await asyncio.sleep(60)

    async with GuardedClient(LOOPBACK, Limits(connect=0.1), resolver) as client:
        with pytest.raises(TimedOut):
            await client.request("GET", "http://slow.example/")


async def test_a_closed_port_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with GuardedClient(LOOPBACK, QUICK) as client:
        with pytest.raises(Unreachable, match=f"http://127.0.0.1:{port}") as caught:
            await client.request("GET", f"http://127.0.0.1:{port}/secret?key=secret")
    assert "secret" not in caught.value.message


# Redirects


async def test_a_trickle_ends_at_the_deadline(http):
    async def trickle(head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(1000):
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with http.Server(trickle) as server, GuardedClient(LOOPBACK, Limits(total=0.4)) as client:
        started = time.monotonic()
        with pytest.raises(TimedOut) as caught:
            await client.request("GET", server.url("/?key=secret"))
        assert time.monotonic() - started < 1.5
        assert caught.value.retryable
        assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX-Head", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
async def test_headers_that_never_end_run_into_the_deadline(http, start):
    async def silent(head, writer):
        writer.write(start)
        await writer.drain()
        await asyncio.sleep(5)

    async with http.Server(silent) as server, GuardedClient(LOOPBACK, Limits(total=0.3)) as client:
        with pytest.raises(TimedOut):
            await client.request("GET", server.url())


async def test_the_head_of_an_answer_has_a_limit_of_its_own(http):
    async def slow(head, writer):
        await asyncio.sleep(0 if head.startswith(b"GET /quick") else 5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.5)
        writer.write(b"ok")
        await writer.drain()

    limits = Limits(total=30, head=0.3)
    async with http.Server(slow) as server, GuardedClient(LOOPBACK, limits) as client:
        assert (await client.request("GET", server.url("/quick"))).content == b"ok"
        with pytest.raises(TimedOut):
            await client.request("GET", server.url("/slow"))


async def test_a_flood_runs_into_the_deadline_too(http):
    async def flood(head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()

    async with (
        http.Server(flood) as server,
        GuardedClient(LOOPBACK, Limits(total=0.3, max_bytes=1 << 60)) as client,
        client.stream("GET", server.url()) as response,
    ):
        with pytest.raises(TimedOut):
            await exhaust(response)


async def test_the_callers_own_time_between_pieces_is_not_interrupted(http):
    async with (
        http.Server(http.answer(bytes(10))) as server,
        GuardedClient(LOOPBACK, Limits(total=0.2)) as client,
        client.stream("GET", server.url()) as response,
    ):
        await asyncio.sleep(0.3)
        with pytest.raises(TimedOut):
            await exhaust(response)


async def test_a_callers_timeout_stays_the_callers(http):
    async with http.Server(http.answer(b"x")) as server, GuardedClient(LOOPBACK, QUICK) as client:

        async def work():
            async with client.stream("GET", server.url()) as response:
                async for _ in response.iter_bytes():
                    raise TimeoutError("mine")

        with pytest.raises(TimeoutError, match="mine"):
            await work()


async def test_an_announced_size_beyond_the_limit_is_not_read(http):
    async with (
        http.Server(http.answer(b"", length=1001)) as server,
        GuardedClient(LOOPBACK, Limits(total=2, max_bytes=1000)) as client,
    ):
        with pytest.raises(TooLarge, match="1,000 bytes"):
            await client.request("GET", server.url())
        assert (await client.request("HEAD", server.url())).status == 200


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_in_memory_has_a_limit_of_its_own(http, encoding):
    body = gzip.compress(bytes(20_000)) if encoding == "gzip" else bytes(20_000)
    async with (
        http.Server(http.answer(body, 200, f"Content-Encoding: {encoding}")) as server,
        GuardedClient(LOOPBACK, QUICK) as client,
    ):
        with pytest.raises(TooLarge, match="10,000 bytes"):
            await client.request("GET", server.url(), max_body=10_000)
        assert len((await client.request("GET", server.url(), max_body=20_000)).content) == 20_000


async def test_endless_headers_end(http):
    async def headers(head, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            writer.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))
            await writer.drain()

    async with http.Server(headers) as server, GuardedClient(LOOPBACK, QUICK) as client:
        with pytest.raises(Unreachable):
            await client.request("GET", server.url())


# Statuses and mistakes


@pytest.mark.parametrize(
    ("status", "field", "retryable", "wait"),
    [
        (401, "X: y", False, None), (403, "X: y", False, None), (404, "X: y", False, None),
        (410, "X: y", False, None),
        (408, "X: y", True, None), (429, "Retry-After: 120", True, 120.0),
        (429, "Retry-After: soon", True, None),
        (503, "Retry-After: 99999999999", True, 86_400.0), (503, "Retry-After: -5", True, 0.0),
        (503, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", True, 0.0),
        (429, "Retry-After: nan", True, None),
        (503, "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT", True, 86_400.0),
        (500, "X: y", True, None),
    ],
)  # fmt: skip
async def test_a_bad_status_says_whether_and_when_to_retry(http, status, field, retryable, wait):
    async with (
        http.Server(http.answer(b"no", status, field)) as server,
        GuardedClient(LOOPBACK, QUICK) as client,
    ):
        response = await client.request(
            "GET", server.url("/?key=secret"), auth_headers={"Authorization": "secret"}
        )
        with pytest.raises(UpstreamStatus, match=f"HTTP {status}") as caught:
            response.raise_for_status()
    assert (caught.value.retryable, caught.value.retry_after) == (retryable, wait)
    assert caught.value.upstream_status == status
    assert "secret" not in str(caught.value.as_dict())


@pytest.mark.parametrize("body", [b"<html>", b"[" * 200_000, b"\xff\xfe\xfa"])
async def test_json_that_is_none_is_a_bad_body(http, body):
    async with http.Server(http.answer(body)) as server, GuardedClient(LOOPBACK, QUICK) as client:
        response = await client.request("GET", server.url())
    with pytest.raises(BadBody, match="not JSON"):
        response.json()


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
async def test_something_that_is_not_http_is_unreachable(http, bytes_):
    async with http.Server(bytes_) as server, GuardedClient(LOOPBACK, QUICK) as client:
        with pytest.raises(Unreachable):
            await client.request("GET", server.url())


@pytest.mark.parametrize(
    "headers",
    [{"X-Key": "s3cret\r\nHost: evil"}, {"X-Key": "s3crét"}, {"Host": "s3cret"},
     {"Content-Length": "3"},
     {"X Y": "s3cret"}, {"X-Key": " s3cret "}],
)  # fmt: skip
async def test_headers_that_cannot_be_sent_are_named_without_their_value(http, headers):
    async with http.Server(http.answer()) as server, GuardedClient(LOOPBACK, QUICK) as client:
        with pytest.raises(InvalidInput) as caught:
            await client.request("GET", server.url(), auth_headers=headers)
    assert "s3cr" not in repr(caught.value) + str(caught.value.__cause__)
    assert not server.requests


@pytest.mark.parametrize("method", ["CONNECT", "get", "GET / HTTP/1.1\r\nX:", ""])
async def test_other_methods_are_refused(method):
    async with GuardedClient(LOOPBACK) as client:
        with pytest.raises(InvalidInput):
            await client.request(method, "http://127.0.0.1/")


async def test_an_echo_is_not_repeated(http):
    async def echo(head, writer):
        writer.write(head)

    async with http.Server(echo) as server, GuardedClient(LOOPBACK, QUICK) as client:
        with pytest.raises(Unreachable) as caught:
            await client.request(
                "GET", server.url("/s3cret?key=s3cret"), auth_headers={"Authorization": "s3cret"}
            )
    assert "s3cret" not in str(caught.value.as_dict()) + str(caught.value.__cause__)


async def test_nothing_secret_is_logged(http, caplog):
    caplog.set_level(logging.INFO)
    async with http.Server(http.answer()) as server, GuardedClient(LOOPBACK, QUICK) as client:
        response = await client.request(
            "GET", server.url("/s3cret?key=s3cret"), auth_headers={"Authorization": "s3cret"}
        )
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(response)


async def test_a_body_that_is_left_half_read_does_no_harm(http):
    async with (
        http.Server(http.answer(bytes(5_000_000))) as server,
        GuardedClient(LOOPBACK, QUICK) as client,
    ):
        for _ in range(30):  # more often than there are connections in the pool
            async with client.stream("GET", server.url()) as response:
                async for _ in response.iter_bytes():
                    break
        assert len((await client.request("GET", server.url())).content) == 5_000_000
