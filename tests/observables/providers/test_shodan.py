"""Shodan; the layout is that of https://developer.shodan.io/api, "Host Information"."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.shodan import Shodan
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestShodan(RemoteContract):
    enricher = Shodan
    query = Query("ipv4-addr", "45.33.32.156")
    path = "/shodan/host/45.33.32.156"
    params = {"key": SECRET, "minify": "true"}
    answer = {
        "region_code": "CA",
        "tags": ["cloud"],
        "ip": 757669020,
        "area_code": None,
        "domains": ["nmap.org"],
        "hostnames": ["scanme.nmap.org"],
        "country_code": "US",
        "org": "Linode",
        "data": [],
        "asn": "AS63949",
        "city": "Fremont",
        "latitude": 37.54827,
        "isp": "Akamai Technologies, Inc.",
        "longitude": -121.98857,
        "last_update": "2026-09-21T04:37:30.416402",
        "vulns": ["CVE-2021-40438"],
        "country_name": "United States",
        "ip_str": "45.33.32.156",
        "os": "Ubuntu",
        "ports": [22, 80, 123],
    }
    facts = {
        "ports": [22, 80, 123],
        "hostnames": ["scanme.nmap.org"],
        "domains": ["nmap.org"],
        "tags": ["cloud"],
        "vulnerabilities": ["CVE-2021-40438"],
        "organisation": "Linode",
        "isp": "Akamai Technologies, Inc.",
        "asn": "AS63949",
        "operating_system": "Ubuntu",
        "country": "US",
        "city": "Fremont",
        "last_seen": "2026-09-21T04:37:30.416402",
    }
    related = [
        ("<resolves-to", "domain-name", "scanme.nmap.org"),
        ("belongs-to", "autonomous-system", "AS63949"),
        ("related-to", "vulnerability", "CVE-2021-40438"),
    ]
    unknown = Reply(404, b'{"error": "No information available for that IP."}')

    @pytest.mark.parametrize(
        ("tags", "weights"),
        [
            (["c2", "cloud"], [0.7]),
            (["malware", "compromised"], [0.6, 0.4]),
            (["vpn"], []),
            (None, []),
        ],
    )
    def test_tags_that_are_claims(self, provider, tags, weights):
        finding = self.finding(provider, {"ip_str": "45.33.32.156", "ports": [443], "tags": tags})
        assert [weight.weight for weight in finding.weights] == weights

    def test_what_is_missing_is_left_out(self, provider):
        answer = {
            "ip_str": "45.33.32.156",
            "ports": [],
            "hostnames": None,
            "asn": None,
            "os": None,
            "vulns": None,
        }
        finding = self.finding(provider, answer)
        assert dict(finding.facts) == {}
        assert not finding.related

    def test_vulnerabilities_may_come_with_details(self, provider):
        answer = {
            "ip_str": "45.33.32.156",
            "ports": [80],
            "vulns": {"CVE-2021-40438": {"cvss": 9.0}},
        }
        assert self.finding(provider, answer).facts["vulnerabilities"] == ["CVE-2021-40438"]

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not Shodan().applies(Query("ipv4-addr", value))
