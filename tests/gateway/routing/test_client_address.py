"""Whose word about a client's address counts, and how far."""

from ipaddress import ip_network

import pytest

from services.gateway.routing.client_address import client_place
from services.gateway.routing.request_check import MalformedRequest

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_client(
    peer: str, forwarded: str, client: str
) -> None:
    headers = {b"x-forwarded-for": forwarded.encode(), b"x-forwarded-proto": b"https"}
    place = client_place(peer, "http", headers, PROXIES)
    assert place.address == client
    assert place.scheme == ("https" if place.is_proxied else "http")
    assert place.is_proxied == (peer not in ("192.0.2.1", ""))


def test_without_trusted_proxies_nothing_is_believed() -> None:
    headers = {b"x-forwarded-for": b"203.0.113.9", b"x-forwarded-proto": b"https"}
    assert client_place("127.0.0.1", "http", headers, ()) == ("127.0.0.1", "http", False)


@pytest.mark.parametrize("text", ["unknown", "203.0.113.9:80", "a, 203.0.113.9x", "_hidden"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(MalformedRequest):
        client_place("10.0.0.1", "http", {b"x-forwarded-for": text.encode()}, PROXIES)
