"""Censys Platform; the layout is that of
https://docs.censys.com/reference/v3-globaldata-asset-host.
"""

import pytest

from services.observables.enrichment.execution.provider_call import Failed, OverQuota
from services.observables.providers.base import Query
from services.observables.providers.censys import Censys
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

_CERTIFICATE = "4c2ab2fbbbb2b2b8c1f3f0eeb3d3bd1d8c0a40b8c7c4a1b9dcb4df4ee7aa1a52"


def _answer(**resource):
    return {"result": {"resource": {"ip": "8.8.8.8", **resource}, "extensions": {}}}


class TestCensys(RemoteContract):
    enricher = Censys
    query = Query("ipv4-addr", "8.8.8.8")
    path = "/v3/global/asset/host/8.8.8.8"
    headers = {
        "accept": "application/vnd.censys.api.v3.host.v1+json",
        "authorization": f"Bearer {SECRET}",
    }
    answer = _answer(
        location={
            "continent": "North America",
            "country": "United States",
            "country_code": "US",
            "city": "Mountain View",
            "postal_code": "94043",
            "timezone": "America/Los_Angeles",
            "province": "California",
            "coordinates": {"latitude": 37.4056, "longitude": -122.0775},
        },
        autonomous_system={
            "asn": 15169,
            "description": "GOOGLE",
            "bgp_prefix": "8.8.8.0/24",
            "name": "GOOGLE",
            "country_code": "US",
        },
        operating_system={
            "source": "censys",
            "confidence": 0.9,
            "part": "o",
            "vendor": "linux",
            "product": "linux_kernel",
            "cpe": "cpe:2.3:o:linux:linux_kernel:*:*:*:*:*:*:*:*",
        },
        whois={"network": {"handle": "LVLT-GOGL-8-8-8", "name": "GOGL"}},
        services=[
            {
                "port": 53,
                "protocol": "DNS",
                "transport_protocol": "udp",
                "ip": "8.8.8.8",
                "scan_time": "2026-11-24T23:58:55Z",
                "dns": {"server_type": "forwarding"},
                "labels": None,
            },
            {
                "port": 443,
                "protocol": "HTTP",
                "transport_protocol": "tcp",
                "ip": "8.8.8.8",
                "scan_time": "2026-11-25T03:10:02Z",
                "cert": {
                    "fingerprint_sha256": _CERTIFICATE,
                    "parsed": {"subject_dn": "CN=dns.google"},
                },
                "software": [
                    {
                        "source": "recog",
                        "part": "a",
                        "vendor": "nginx",
                        "product": "nginx",
                        "version": "1.18.0",
                        "cpe": "cpe:2.3:a:nginx:nginx:1.18.0:*:*:*:*:*:*:*",
                    }
                ],
                "labels": [{"source": "censys", "value": "REMOTE_ACCESS"}],
            },
            {
                "port": 853,
                "protocol": "UNKNOWN",
                "scan_time": "2026-11-23T10:00:00Z",
                "software": None,
                "vulns": None,
            },
        ],
        service_count=3,
        dns={
            "names": ["dns.google.com", "dns.google"],
            "reverse_dns": {
                "names": ["dns.google", "any.example.net"],
                "resolve_time": "2026-11-20T13:16:34Z",
            },
            "forward_dns": {"dns.google.com": {"name": "dns.google.com", "record_type": "a"}},
        },
        labels=[{"source": "censys", "confidence": 1.0, "value": "OPEN_DNS", "evidence": None}],
    )
    facts = {
        "ports": [53, 443, 853],
        "services": ["DNS", "HTTP", "UNKNOWN"],
        "software": ["nginx nginx 1.18.0"],
        "certificates": [_CERTIFICATE],
        "names": ["dns.google", "any.example.net", "dns.google.com"],
        "labels": ["OPEN_DNS", "REMOTE_ACCESS"],
        "operating_system": "linux linux_kernel",
        "country": "US",
        "city": "Mountain View",
        "asn": "AS15169",
        "as_name": "GOOGLE",
        "network": "8.8.8.0/24",
        "last_seen": "2026-11-25T03:10:02Z",
    }
    related = [
        ("<resolves-to", "domain-name", "dns.google.com"),
        ("<resolves-to", "domain-name", "dns.google"),
        ("related-to", "domain-name", "any.example.net"),
        ("belongs-to", "autonomous-system", "AS15169"),
        ("related-to", "x509-sha256", _CERTIFICATE),
    ]
    unknown = Reply(404, b'{"title":"Not Found","status":404,"detail":"host not found"}')

    def test_a_host_with_neither_services_nor_names_was_never_seen(self, provider):
        body = b'{"result":{"resource":{"ip":"8.8.8.8","services":[],"dns":{}},"extensions":{}}}'
        assert self.ask(provider, Reply(body=body)).finding is None

    def test_what_is_missing_is_left_out(self, provider):
        finding = self.finding(
            provider, _answer(services=[{"port": 53}], location=None, dns=None, labels=None)
        )
        assert dict(finding.facts) == {"ports": [53]}
        assert not finding.related

    def test_a_host_without_services_may_have_a_name(self, provider):
        finding = self.finding(
            provider, _answer(services=None, dns={"reverse_dns": {"names": ["dns.google"]}})
        )
        assert dict(finding.facts) == {"names": ["dns.google"]}
        assert [(relation.kind, relation.inward) for relation in finding.related] == [
            ("related-to", False)
        ]

    def test_a_threat_is_a_claim(self, provider):
        threats = [
            {"id": "cobalt_strike", "name": "Cobalt Strike", "tactic": ["command_and_control"]}
        ]
        finding = self.finding(provider, _answer(services=[{"port": 443, "threats": threats}]))
        assert [weight.weight for weight in finding.weights] == [0.6]
        assert finding.facts["threats"] == ["Cobalt Strike"]

    def test_a_vulnerability_is_no_claim(self, provider):
        vulns = [{"id": "CVE-2021-23017", "severity": "high"}]
        finding = self.finding(provider, _answer(services=[{"port": 443, "vulns": vulns}]))
        assert finding.weights == ()
        assert finding.facts["vulnerabilities"] == ["CVE-2021-23017"]
        assert [tuple(relation) for relation in finding.related] == [
            ("related-to", "vulnerability", "CVE-2021-23017", False)
        ]

    def test_credits_used_up_are_a_quota(self, provider):
        body = (
            b'{"title":"Unprocessable Entity","status":422,'
            b'"errors":[{"message":"insufficient balance"}]}'
        )
        assert self.ask(provider, Reply(422, body)) == OverQuota(None)

    def test_the_layout_of_the_old_api_is_none(self, provider):
        outcome = self.ask(
            provider,
            Reply(body=b'{"code":200,"status":"OK","result":{"ip":"8.8.8.8","services":[]}}'),
        )
        assert isinstance(outcome, Failed)

    def test_addresses_of_version_6_are_quoted(self):
        request = Censys().request(Query("ipv6-addr", "2001:4860:4860::8888"), {"token": SECRET})
        assert request.path == "/v3/global/asset/host/2001%3A4860%3A4860%3A%3A8888"

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not Censys().applies(Query("ipv4-addr", value))
