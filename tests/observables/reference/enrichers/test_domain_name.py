"""Facts on how names are made up."""

from typing import ClassVar

import pytest

from services.observables.reference.enrichers.domain_name import (
    DomainNameEnricher,
    name_of,
)
from tests.observables.reference.enrichers.contract import OfflineContract


class TestContract(OfflineContract):
    described: ClassVar = {
        "domain-name": [
            "example.com",
            "www.example.co.uk",
            "co.uk",
            "a.github.io",
            "xn--bcher-kva.example.xn--p1ai",
        ],
        "url": [
            "http://www.example.co.uk/a",
            "https://user@example.com:8443/",
            "http://a.github.io/",
        ],
        "email-addr": ["someone@mail.example.com"],
    }
    undescribed: ClassVar = {"url": ["http://192.0.2.1/", "http://[2001:db8::1]/"]}

    @classmethod
    def make(cls):
        return DomainNameEnricher()


def test_facts_are_compact():
    assert list(
        DomainNameEnricher().enrich("domain-name", ["www.example.co.uk", "co.uk", "x.github.io"])
    ) == [
        {"registrable": "example.co.uk", "suffix": "co.uk"},
        {"suffix": "co.uk"},
        {"registrable": "x.github.io", "suffix": "github.io", "private": True},
    ]


@pytest.mark.parametrize(
    ("type_", "value", "name"),
    [
        ("domain-name", "example.com", "example.com"),
        ("email-addr", "a@b@example.com", "example.com"),
        ("url", "http://example.com./", "example.com"),
        ("url", "irc://Example.COM", "example.com"),
        ("url", "http://*.example.com/", "example.com"),
        ("url", "http://192.0.2.1:80/", ""),
        ("url", "http://[2001:db8::1]/", ""),
        ("url", "http://server1/", "server1"),
    ],
)
def test_the_name_in_a_value(type_, value, name):
    assert name_of(type_, value) == name


def test_how_a_name_is_made_up_is_no_judgement():
    assert list(DomainNameEnricher().effects({"suffix": "com"})) == []
