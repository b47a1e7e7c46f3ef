"""Special addresses: the registries of IANA."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.reference.enrichers.special_ranges import (
    SPECIAL_RANGES,
    SpecialRangeEnricher,
)
from tests.observables.reference.enrichers.contract import OfflineContract

ENRICHER = SpecialRangeEnricher()


def about(value: str):
    return ENRICHER.enrich("ipv6-addr" if ":" in value else "ipv4-addr", [value])[0]


class TestContract(OfflineContract):
    described: ClassVar = {
        "ipv4-addr": ["10.1.2.3", "192.0.2.1", "224.0.0.1", "192.168.0.0/24"],
        "ipv6-addr": ["2001:db8::1", "fe80::1", "fc00::/8"],
        "url": ["http://192.168.0.1:8080/", "http://[fe80::1]/x"],
    }
    undescribed: ClassVar = {
        "ipv4-addr": ["8.8.8.8", "10.0.0.0/7"],
        "ipv6-addr": ["2606:4700::1111", "2001::/16"],
        "url": ["http://8.8.8.8/", "http://example.com/10.0.0.1"],
    }

    @classmethod
    def make(cls):
        return SpecialRangeEnricher()


@pytest.mark.parametrize(
    ("value", "name", "rfc"),
    [
        ("10.255.255.255", "Private-Use", "RFC 1918"),
        ("172.31.0.1", "Private-Use", "RFC 1918"),
        ("100.64.0.1", "Shared Address Space", "RFC 6598"),
        ("169.254.169.254", "Link Local", "RFC 3927"),
        ("192.0.0.9", "Port Control Protocol Anycast", "RFC 7723"),
        ("192.0.0.200", "IETF Protocol Assignments", "RFC 6890"),
        ("198.19.255.255", "Benchmarking", "RFC 2544"),
        ("203.0.113.7", "Documentation (TEST-NET-3)", "RFC 5737"),
        ("239.255.255.250", "Multicast", "RFC 5771"),
        ("255.255.255.254", "Reserved", "RFC 1112"),
        ("255.255.255.255", "Limited Broadcast", "RFC 8190"),
        ("2001:0:1::", "TEREDO", "RFC 4380"),
        ("2001:db8::", "Documentation", "RFC 3849"),
        ("2002:808:808::", "6to4", "RFC 3056"),
        ("fd12::1", "Unique-Local", "RFC 4193"),
        ("ff02::1", "Multicast", "RFC 4291"),
    ],
)
def test_the_narrowest_range_counts(value, name, rfc):
    assert about(value) == {"name": name, "rfc": rfc}


@pytest.mark.parametrize(
    "value", ["9.255.255.255", "11.0.0.0", "172.32.0.0", "223.255.255.255", "192.0.1.0", "2600::"]
)
def test_ordinary_addresses_are_none(value):
    assert about(value) is None


def test_a_network_is_special_when_all_of_it_is():
    assert about("10.0.0.0/8") == about("10.128.0.0/9") == about("10.0.0.1")
    assert about("10.0.0.0/7") is None
    # Its first address lies in a narrower range than the network itself.
    assert about("192.0.0.0/24")["name"] == "IETF Protocol Assignments"
    assert about("192.0.0.0/30")["name"] == "IPv4 Service Continuity Prefix"


@pytest.mark.parametrize("value", ["192.168.1.1", "203.0.113.5", "224.0.0.1", "fe80::1"])
def test_a_special_range_has_no_effect(value):
    assert list(ENRICHER.effects(about(value))) == []


def test_one_name_has_one_reachability():
    names = {special.name for special in SPECIAL_RANGES}
    assert len(names) == len({(special.name, special.reachable) for special in SPECIAL_RANGES})


def naive(value: str):
    network = ip_network(value)
    around = []
    for special in SPECIAL_RANGES:
        enclosing = ip_network(special.network)
        if enclosing.version == network.version and network.subnet_of(enclosing):
            around.append((enclosing.prefixlen, special))
    return {"name": max(around)[1].name, "rfc": max(around)[1].rfc} if around else None


def near(version: int):
    """Addresses at and around the ends of the ranges, and any others."""
    make = IPv4Address if version == 4 else IPv6Address
    space = 1 << (32 if version == 4 else 128)
    ends: set[int] = set()
    for special in SPECIAL_RANGES:
        network = ip_network(special.network)
        if network.version == version:
            for end in (int(network[0]), int(network[-1])):
                ends |= {end - 1, end, end + 1}
    inside = [end for end in sorted(ends) if 0 <= end < space]
    return st.one_of(st.sampled_from(inside), st.integers(0, space - 1)).map(make)


@given(st.one_of(near(4), near(6)))
def test_addresses_are_found_as_the_slow_way_finds_them(address):
    assert about(str(address)) == naive(str(address))


@given(st.one_of(near(4), near(6)), st.integers(0, 128))
def test_networks_are_found_as_the_slow_way_finds_them(address, length):
    kind = IPv4Network if address.version == 4 else IPv6Network
    network = str(kind((int(address), min(length, address.max_prefixlen)), strict=False))
    network = network.removesuffix(f"/{address.max_prefixlen}")
    assert about(network) == naive(network)


@given(near(4))
def test_python_agrees_about_multicast_loopback_and_link_local(address):
    name = (about(str(address)) or {}).get("name")
    assert (name == "Multicast") == address.is_multicast
    assert (name == "Loopback") == address.is_loopback
    assert (name == "Link Local") == address.is_link_local
    assert (name in {"Reserved", "Limited Broadcast"}) == ip_address(address).is_reserved
