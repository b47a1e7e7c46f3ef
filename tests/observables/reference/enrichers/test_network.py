"""The network of addresses, networks, and URLs whose host is an address."""

from typing import ClassVar

import pytest

from services.observables.reference import networks
from services.observables.reference.enrichers.network import NetworkEnricher, addresses_of
from services.observables.reference.hosts import host_of
from services.observables.reference.networks import Networks
from tests.observables.reference.enrichers.contract import OfflineContract

ASN_TABLE = b"""\
8.8.8.0,8.8.8.255,15169,Google LLC
9.0.0.0,9.0.0.255,64496,x
2001:db8::,2001:db8::ffff,64497,y
"""
COUNTRY_TABLE = b"8.8.8.0,8.8.8.255,US\n10.0.0.0,10.0.0.255,DE\n"
BLOB = networks.pack([("asn", ASN_TABLE), ("country", COUNTRY_TABLE)])


class TestContract(OfflineContract):
    described: ClassVar = {
        "ipv4-addr": ["8.8.8.8", "9.0.0.1", "10.0.0.1", "8.8.8.0/24"],
        "ipv6-addr": ["2001:db8::1", "2001:db8::/64"],
        "url": ["http://8.8.8.8/", "https://[2001:db8::1]:8443/a?b#c"],
    }
    undescribed: ClassVar = {
        "ipv4-addr": ["11.0.0.1"],
        "ipv6-addr": ["2001:db8:1::"],
        "url": ["http://example.com/8.8.8.8", "http://11.0.0.1/", "http://8.8.8.8.example.com/"],
    }

    @classmethod
    def make(cls):
        return NetworkEnricher(Networks(BLOB))


@pytest.fixture
def enricher() -> NetworkEnricher:
    return NetworkEnricher(Networks(BLOB))


def test_facts_are_system_and_country_without_unknown_parts(enricher):
    assert list(enricher.enrich("ipv4-addr", ["8.8.8.8", "9.0.0.9", "10.0.0.9", "1.1.1.1"])) == [
        {"asn": 15169, "as_name": "Google LLC", "country": "US"},
        {"asn": 64496, "as_name": "x"},
        {"country": "DE"},
        None,
    ]


def test_equal_facts_are_one_object_across_batches_and_types(enricher):
    (address,) = enricher.enrich("ipv4-addr", ["8.8.8.8"])
    (url,) = enricher.enrich("url", ["http://8.8.8.4/x"])
    assert address is url


def test_a_network_has_no_effect(enricher):
    assert list(enricher.effects({"asn": 15169, "country": "US"})) == []


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com/a:b@c", "example.com"),
        ("https://user:pa%40ss@example.com:8443/", "example.com"),
        ("ftp://[2001:db8::1]:21/", "[2001:db8::1]"),
        ("http://1.2.3.4?x", "1.2.3.4"),
        ("irc+ssl://Example.com", "Example.com"),
        ("http://example.com./#http://other.example/", "example.com."),
        ("mailto:a@example.com", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_url(url, host):
    assert host_of(url) == host


def test_addresses_keep_the_places_of_their_urls():
    urls = [
        "http://[::2]/",
        "http://example.com/",
        "http://1.2.3.4/",
        "http://[::2/",
        "http://1.2.3.04x5/",
    ]
    families = list(addresses_of("url", urls))
    assert [(str(type_), places, list(hosts)) for type_, places, hosts in families] == [
        ("ipv4-addr", [2], ["1.2.3.4"]),
        ("ipv6-addr", [0], ["::2"]),
    ]
