"""Google Public DNS; the layout is that of
https://developers.google.com/speed/public-dns/docs/doh/json.
"""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.google_dns import GoogleDNS
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

NXDOMAIN = (
    b'{"Status":3,"TC":false,"RD":true,"RA":true,"AD":true,"CD":false,'
    b'"Question":[{"name":"nosuchname.example.","type":1}],'
    b'"Authority":[{"name":".","type":6,"TTL":86398,'
    b'"data":"a.root-servers.net. nstld.verisign-grs.com. 2026112500"}]}'
)


class TestGoogleDNS(RemoteContract):
    enricher = GoogleDNS
    query = Query("domain-name", "www.apple.com")
    path = "/resolve"
    params = {"name": "www.apple.com", "type": "A"}
    answer = {
        "Status": 0,
        "TC": False,
        "RD": True,
        "RA": True,
        "AD": False,
        "CD": False,
        "Question": [{"name": "www.apple.com.", "type": 1}],
        "Answer": [
            {"name": "www.apple.com.", "type": 5, "TTL": 269, "data": "www.apple.com.edgekey.net."},
            {
                "name": "www.apple.com.edgekey.net.",
                "type": 5,
                "TTL": 8901,
                "data": "e6858.dsce9.akamaiedge.net.",
            },
            {"name": "e6858.dsce9.akamaiedge.net.", "type": 1, "TTL": 20, "data": "23.213.217.70"},
            {"name": "e6858.dsce9.akamaiedge.net.", "type": 1, "TTL": 20, "data": "127.0.0.1"},
        ],
        "Comment": "Response from 23.211.133.224.",
    }
    facts = {
        "addresses": ["23.213.217.70", "127.0.0.1"],
        "aliases": ["www.apple.com.edgekey.net", "e6858.dsce9.akamaiedge.net"],
        "validated": False,
    }
    related = [
        ("resolves-to", "ipv4-addr", "23.213.217.70"),
        ("resolves-to", "domain-name", "www.apple.com.edgekey.net"),
        ("resolves-to", "domain-name", "e6858.dsce9.akamaiedge.net"),
    ]
    unknown = Reply(200, NXDOMAIN)

    def test_a_name_without_addresses_is_unknown(self, provider):
        outcome = self.ask(
            provider,
            Reply(200, b'{"Status":0,"AD":true,"Question":[{"name":"x.example.","type":1}]}'),
        )
        assert outcome.finding is None

    @pytest.mark.parametrize(("status", "failure"), [(2, "SERVFAIL"), (5, "REFUSED")])
    def test_name_servers_that_fail_are_a_fact(self, provider, status, failure):
        answer = {"Status": status, "Comment": "Name servers refused query (lame delegation?)"}
        assert self.finding(provider, answer).facts == {"failure": failure}

    @pytest.mark.parametrize(
        ("query", "applies"),
        [
            (Query("domain-name", "www.apple.com"), True),
            (Query("ipv4-addr", "8.8.8.8"), True),
            (Query("ipv4-addr", "8.8.8.0/24"), False),
            (Query("ipv4-addr", "192.168.0.1"), False),
            (Query("ipv4-addr", "224.0.0.251"), False),
            (Query("ipv6-addr", "2001:4860:4860::8888"), True),
            (Query("ipv6-addr", "fe80::1"), False),
            (Query("url", "https://www.apple.com/"), False),
        ],
    )
    def test_it_asks_about_single_public_addresses(self, query, applies):
        assert GoogleDNS().applies(query) is applies


class TestReverse(RemoteContract):
    enricher = GoogleDNS
    query = Query("ipv4-addr", "8.8.8.8")
    path = "/resolve"
    params = {"name": "8.8.8.8.in-addr.arpa", "type": "PTR"}
    answer = {
        "Status": 0,
        "TC": False,
        "RD": True,
        "RA": True,
        "AD": False,
        "CD": False,
        "Question": [{"name": "8.8.8.8.in-addr.arpa.", "type": 12}],
        "Answer": [
            {"name": "8.8.8.8.in-addr.arpa.", "type": 12, "TTL": 6788, "data": "dns.google."}
        ],
    }
    facts = {"names": ["dns.google"], "validated": False}
    related = [("related-to", "domain-name", "dns.google")]
    unknown = Reply(200, NXDOMAIN)

    def test_an_alias_within_the_reverse_zone_is_not_what_the_address_resolves_to(self, provider):
        answer = {
            "Status": 0,
            "AD": True,
            "Answer": [
                {
                    "name": "5.113.0.203.in-addr.arpa.",
                    "type": 5,
                    "data": "5.0-31.113.0.203.in-addr.arpa.",
                },
                {"name": "5.0-31.113.0.203.in-addr.arpa.", "type": 12, "data": "mail.example.com."},
            ],
        }
        related = self.finding(provider, answer).related
        assert [(relation.kind, relation.value) for relation in related] == [
            ("related-to", "mail.example.com")
        ]


class TestReverseIPv6(RemoteContract):
    enricher = GoogleDNS
    query = Query("ipv6-addr", "2001:4860:4860::8888")
    path = "/resolve"
    params = {
        "name": "8.8.8.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.8.4.0.6.8.4.1.0.0.2.ip6.arpa",
        "type": "PTR",
    }
    answer = {
        "Status": 0,
        "AD": True,
        "Answer": [{"name": f"{params['name']}.", "type": 12, "TTL": 86400, "data": "dns.google."}],
    }
    facts = {"names": ["dns.google"], "validated": True}
    related = [("related-to", "domain-name", "dns.google")]
    unknown = Reply(200, NXDOMAIN)
