"""Redirects: the guarded client checks each hop, and gives no secret to another origin."""

import gzip
from ipaddress import ip_network

import pytest

from shared.http import (
    ForbiddenTarget,
    GuardedClient,
    Limits,
    TooManyRedirects,
    UpstreamStatus,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

LOOPBACK = (ip_network("127.0.0.0/8"),)
ONE = (ip_network("127.0.0.1/32"),)
QUICK = Limits(connect=1.0, total=2.0)


async def test_redirects_on_the_same_origin_keep_credentials(http):
    async def handler(head, writer):
        writer.write(
            http.answer(b"here") if b"GET /there" in head else http.redirect("../there?b=2")
        )

    async with http.Server(handler) as server, GuardedClient(LOOPBACK, QUICK) as client:
        response = await client.request(
            "GET", server.url("/a/b?a=1"), auth_headers={"X-Api-Key": "k3y"}
        )
        assert response.content == b"here"
        assert response.url == server.url("/there?b=2")
        assert all(b"X-Api-Key: k3y" in head for head in server.requests)
        assert len(server.requests) == 2


async def test_a_redirect_to_a_private_address_is_not_followed(http):
    async with http.Server(http.answer(b"metadata"), host="127.0.0.2") as private:
        for location in (private.url(), private.url(host="0x7f.2"), private.url(host="2130706434")):
            async with (
                http.Server(http.redirect(location)) as server,
                GuardedClient(ONE, QUICK) as client,
            ):
                with pytest.raises(ForbiddenTarget):
                    await client.request("GET", server.url())
        assert private.connections == 0


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://u:p@127.0.0.1/", "//", "gopher://127.0.0.1/"]
)
async def test_a_redirect_to_something_else_is_refused(http, location):
    async with (
        http.Server(http.redirect(location)) as server,
        GuardedClient(LOOPBACK, QUICK) as client,
    ):
        with pytest.raises(ForbiddenTarget):
            await client.request("GET", server.url())


async def test_nothing_secret_follows_to_another_origin(http):
    async with http.Server(http.answer(b"mirror")) as other:
        location = other.url("/d?format=csv&token=s3cret&X-Signature=a%2Bb&t=s3cret")
        async with (
            http.Server(http.redirect(location)) as server,
            GuardedClient(LOOPBACK, QUICK) as client,
        ):
            response = await client.request(
                "GET",
                server.url("/d?token=s3cret"),
                headers={
                    "If-None-Match": '"e1"',
                    "Cookie": "s3cret",
                    "x-otx-api-key": "s3cret",
                    "Authorization": "s3cret",
                },
                auth_headers={"Plain-Looking": "s3cret"},
            )
            assert response.content == b"mirror"
            assert server.requests[0].count(b"s3cret") == 5
    assert b"s3cret" not in other.requests[0]
    assert b"GET /d?format=csv&X-Signature=a%2Bb HTTP/1.1" in other.requests[0]
    assert b'If-None-Match: "e1"' in other.requests[0]


async def test_credentials_stay_away_after_the_way_back(http):
    async def home(head, writer):
        writer.write(http.answer(b"home") if b"/back" in head else http.redirect(other.url()))

    async with (
        http.Server(home) as server,
        http.Server(http.redirect(server.url("/back"))) as other,
        GuardedClient(LOOPBACK, QUICK) as client,
    ):
        await client.request("GET", server.url(), auth_headers={"X-Api-Key": "k3y"})
    assert [b"k3y" in head for head in (*server.requests, *other.requests)] == [True, False, False]


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [(301, "POST", "GET"), (302, "POST", "GET"), (303, "PUT", "GET"), (307, "POST", "POST"),
     (308, "POST", "POST"),
     (301, "HEAD", "HEAD"), (303, "HEAD", "HEAD")],
)  # fmt: skip
async def test_the_method_after_a_redirect(http, status, method, then):
    async def handler(head, writer):
        writer.write(http.answer() if b" /new " in head else http.redirect("/new", status))

    content = None if method == "HEAD" else b"{}"
    async with http.Server(handler) as server, GuardedClient(LOOPBACK, QUICK) as client:
        headers = {"Content-Type": "application/json"}
        await client.request(method, server.url(), content=content, headers=headers)
        assert server.requests[1].startswith(f"{then} /new".encode())
        assert server.requests[1].endswith(b"{}") is (then == "POST")


async def test_a_body_is_not_handed_to_another_origin(http):
    async with (
        http.Server(http.answer()) as other,
        http.Server(http.redirect(other.url(), 307)) as server,
        GuardedClient(LOOPBACK, QUICK) as client,
    ):
        with pytest.raises(ForbiddenTarget, match="body"):
            await client.request("POST", server.url(), content=b"alert")
    assert other.connections == 0


@pytest.mark.parametrize(("redirects", "requests"), [(3, 4), (1, 2)])
async def test_redirects_end(http, redirects, requests):
    async with http.Server(http.redirect("/again")) as server:
        async with GuardedClient(LOOPBACK, Limits(redirects=redirects)) as client:
            with pytest.raises(TooManyRedirects):
                await client.request("GET", server.url())
        assert len(server.requests) == requests


async def test_without_redirects_a_redirect_is_an_answer(http):
    async with http.Server(http.redirect("/new", 307)) as server, GuardedClient(LOOPBACK) as client:
        response = await client.request(
            "POST", server.url(), content=b"{}", limits=Limits(redirects=0)
        )
        assert response.status == 307
        with pytest.raises(UpstreamStatus):
            response.raise_for_status()


async def test_a_bomb_in_a_redirect_is_never_unpacked_nor_kept(http):
    bomb = http.redirect(
        "/new", 302, gzip.compress(bytes(50 << 20)), "Content-Encoding: gzip, gzip, nonsense"
    )

    async def handler(head, writer):
        writer.write(http.answer(b"ok") if b"GET /new" in head else bomb)

    async with http.Server(handler) as server, GuardedClient(LOOPBACK, QUICK) as client:
        for _ in range(30):  # more often than there are connections in the pool
            assert (await client.request("GET", server.url())).content == b"ok"


# Limits
