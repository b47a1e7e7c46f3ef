"""mnemonic PassiveDNS.

The layout is that of
https://docs.mnemonic.no/display/public/API/Passive+DNS+Simplified+Integration+Guide.
"""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.mnemonic_pdns import MnemonicPDNS
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

NOTHING = (
    b'{"responseCode":200,"limit":100,"offset":0,"count":0,"metaData":{},"messages":[],'
    b'"data":[],"size":0}'
)


def record(rrtype, name, answer, first=1_356_998_400_000, last=1_790_000_000_000):
    return {
        "rrclass": "in",
        "rrtype": rrtype,
        "query": name,
        "answer": answer,
        "customer": None,
        "tlp": "white",
        "minTtl": 300,
        "maxTtl": 86400,
        "times": 17,
        "firstSeenTimestamp": first,
        "lastSeenTimestamp": last,
        "createdTimestamp": 1_728_394_412_222,
        "lastUpdatedTimestamp": 1_730_116_390_693,
        "flags": [],
    }


def answer_with(*records, count):
    return {
        "responseCode": 200,
        "limit": 100,
        "offset": 0,
        "count": count,
        "metaData": {},
        "messages": [],
        "data": list(records),
        "size": len(records),
    }


class TestMnemonicPDNS(RemoteContract):
    enricher = MnemonicPDNS
    query = Query("domain-name", "www.example.com")
    path = "/www.example.com"
    params = {"limit": "100"}
    answer = answer_with(
        record("a", "www.example.com", "93.184.216.34"),
        record(
            "aaaa", "www.example.com", "2606:2800:220:1:248:1893:25c8:1946", last=1_780_000_000_000
        ),
        record(
            "cname", "www.example.com", "www.example.com-v4.edgesuite.net", first=1_700_000_000_000
        ),
        record("cname", "shop.example.org", "www.example.com"),
        record("mx", "www.example.com", "mail.example.net"),
        record("ptr", "34.216.184.93.in-addr.arpa", "www.example.com"),
        count=243,
    )
    facts = {
        "records": 243,
        "addresses": ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"],
        "names": ["www.example.com-v4.edgesuite.net", "shop.example.org", "mail.example.net"],
        "record_types": ["a", "aaaa", "cname", "mx", "ptr"],
        "first_seen": "2013-01-01T00:00:00+00:00",
        "last_seen": "2026-09-21T14:13:20+00:00",
    }
    related = [
        ("resolves-to", "ipv4-addr", "93.184.216.34"),
        ("resolves-to", "ipv6-addr", "2606:2800:220:1:248:1893:25c8:1946"),
        ("resolves-to", "domain-name", "www.example.com-v4.edgesuite.net"),
        ("<resolves-to", "domain-name", "shop.example.org"),
        ("related-to", "domain-name", "mail.example.net"),
    ]
    unknown = Reply(200, NOTHING)

    def test_missing_times_are_those_of_the_record(self, provider):
        answer = answer_with(
            record("a", "www.example.com", "93.184.216.34", first=0, last=0), count=1
        )
        facts = self.finding(provider, answer).facts
        assert facts["first_seen"].startswith("2024-10-08T")
        assert facts["last_seen"].startswith("2024-10-28T")

    def test_a_record_without_any_times(self, provider):
        answer = {
            "responseCode": 200,
            "data": [{"rrtype": "a", "query": "www.example.com", "answer": "192.0.2.1"}],
        }
        assert self.finding(provider, answer).facts == {
            "records": 1,
            "addresses": ["192.0.2.1"],
            "record_types": ["a"],
        }

    def test_a_record_about_others_is_no_relation(self, provider):
        answer = answer_with(record("a", "mail.example.com", "93.184.216.34"), count=1)
        finding = self.finding(provider, answer)
        assert finding.related == ()
        assert "addresses" not in finding.facts

    @pytest.mark.parametrize(
        ("query", "applies"),
        [
            (Query("domain-name", "www.example.com"), True),
            (Query("ipv4-addr", "93.184.216.34"), True),
            (Query("ipv6-addr", "2606:2800:220:1:248:1893:25c8:1946"), True),
            (Query("ipv4-addr", "93.184.216.0/24"), False),
            (Query("ipv4-addr", "10.0.0.1"), False),
            (Query("file-md5", "8a62d103168974fba9c61edab336038c"), False),
        ],
    )
    def test_it_asks_about_single_public_addresses(self, query, applies):
        assert MnemonicPDNS().applies(query) is applies


class TestAddress(RemoteContract):
    enricher = MnemonicPDNS
    query = Query("ipv4-addr", "93.184.216.34")
    path = "/93.184.216.34"
    params = {"limit": "100"}
    answer = answer_with(
        record("a", "www.example.com", "93.184.216.34"),
        record("a", "example.org", "93.184.216.34"),
        count=2,
    )
    facts = {
        "records": 2,
        "names": ["www.example.com", "example.org"],
        "record_types": ["a"],
        "first_seen": "2013-01-01T00:00:00+00:00",
        "last_seen": "2026-09-21T14:13:20+00:00",
    }
    related = [
        ("<resolves-to", "domain-name", "www.example.com"),
        ("<resolves-to", "domain-name", "example.org"),
    ]
    unknown = Reply(200, NOTHING)

    def test_the_colons_of_an_ipv6_address_are_quoted(self):
        request = MnemonicPDNS().request(Query("ipv6-addr", "2606:4700::1111"), {})
        assert request.path == "/2606%3A4700%3A%3A1111"
