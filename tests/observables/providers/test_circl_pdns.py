"""CIRCL Passive DNS; the layout is that of
https://www.circl.lu/services/passive-dns/: a JSON object a line.
"""

import json
from base64 import b64encode

import pytest

from services.observables.providers.base import Query
from services.observables.providers.circl_pdns import CirclPassiveDns
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


def _line(rrtype, rrname, rdata, **times):
    seen = {"time_first": 1475825207, "time_last": 1516844160} | times
    return json.dumps({"rrtype": rrtype, "rrname": rrname, "rdata": rdata, "count": 3, **seen})


def _lines(*lines):
    return "\n".join([*lines, ""]).encode()


class TestCirclPassiveDns(RemoteContract):
    enricher = CirclPassiveDns
    query = Query("domain-name", "circl.lu")
    path = "/query/circl.lu"
    headers = {"authorization": f"Basic {b64encode(f'{SECRET}:{SECRET}'.encode()).decode()}"}
    answer = _lines(
        _line("A", "circl.lu", "194.154.205.24", time_first=1298398002),
        _line("AAAA", "circl.lu.", "2a00:5980:93::67", time_last=1600000000),
        _line("MX", "circl.lu", "10 cppy.circl.lu."),
        _line("NS", "circl.lu", ["ns1.eurodns.com", "ns2.eurodns.com"]),
        _line(
            "SOA",
            "circl.lu",
            "ns1.eurodns.com hostmaster.eurodns.com 2013020400 43200 7200 1209600 86400",
        ),
        _line("CNAME", "www.example.org", "circl.lu"),
    )
    facts = {
        "records": 6,
        "record_types": ["AAAA", "A", "MX", "NS", "SOA", "CNAME"],
        "names": ["circl.lu", "www.example.org"],
        "data": [
            "2a00:5980:93::67",
            "194.154.205.24",
            "10 cppy.circl.lu",
            "ns1.eurodns.com",
            "ns2.eurodns.com",
            "ns1.eurodns.com hostmaster.eurodns.com 2013020400 43200 7200 1209600 86400",
            "circl.lu",
        ],
        "first_seen": "2011-02-22T18:06:42+00:00",
        "last_seen": "2020-09-13T12:26:40+00:00",
    }
    related = [
        ("resolves-to", "ipv6-addr", "2a00:5980:93::67"),
        ("resolves-to", "ipv4-addr", "194.154.205.24"),
        ("related-to", "domain-name", "cppy.circl.lu"),
        ("related-to", "domain-name", "ns1.eurodns.com"),
        ("related-to", "domain-name", "ns2.eurodns.com"),
        ("<resolves-to", "domain-name", "www.example.org"),
    ]
    unknown = Reply(200, b"")

    def test_names_of_an_address(self):
        body = _lines(
            _line("A", "www.CIRCL.lu", "194.154.205.24", time_first=None, time_last=None),
            _line("A", "elsewhere.example.org", "194.154.205.25", time_first=None, time_last=None),
        )
        finding = CirclPassiveDns().read(Query("ipv4-addr", "194.154.205.24"), body)
        assert [tuple(relation) for relation in finding.related] == [
            ("resolves-to", "domain-name", "www.circl.lu", True)
        ]
        assert "first_seen" not in finding.facts

    @pytest.mark.parametrize("body", [b"\n", b"\n\n"])
    def test_empty_lines_are_no_records(self, body):
        assert CirclPassiveDns().read(self.query, body) is None

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not CirclPassiveDns().applies(Query("ipv4-addr", value))
