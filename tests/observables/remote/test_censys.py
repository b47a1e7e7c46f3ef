"""Censys Search; the layout is that of https://search.censys.io/api#/hosts/viewHost."""

from base64 import b64encode

import pytest

from services.observables.remote.base import Asked
from services.observables.remote.censys import Censys
from tests.observables.remote.contract import SECRET, RemoteContract
from tests.observables.remote.provider import Reply

_CERTIFICATE = "4c2ab2fbbbb2b2b8c1f3f0eeb3d3bd1d8c0a40b8c7c4a1b9dcb4df4ee7aa1a52"


class TestCensys(RemoteContract):
    enricher = Censys
    asked = Asked("ipv4-addr", "8.8.8.8")
    path = "/hosts/8.8.8.8"
    headers = {
        "accept": "application/json",
        "authorization": f"Basic {b64encode(f'{SECRET}:{SECRET}'.encode()).decode()}",
    }
    answer = {
        "code": 200,
        "status": "OK",
        "result": {
            "ip": "8.8.8.8",
            "services": [
                {
                    "extended_service_name": "DNS",
                    "observed_at": "2023-02-28T23:58:55.705035895Z",
                    "perspective_id": "PERSPECTIVE_TELIA",
                    "port": 53,
                    "service_name": "DNS",
                    "source_ip": "74.120.14.37",
                    "transport_protocol": "UDP",
                    "truncated": False,
                },
                {
                    "certificate": _CERTIFICATE,
                    "extended_service_name": "HTTPS",
                    "port": 443,
                    "service_name": "HTTP",
                    "software": [
                        {
                            "part": "a",
                            "vendor": "nginx",
                            "product": "nginx",
                            "uniform_resource_identifier": "cpe:2.3:a:nginx:nginx:*:*:*:*:*:*:*:*",
                        }
                    ],
                    "transport_protocol": "TCP",
                },
                {"port": 853, "service_name": "UNKNOWN", "software": None},
            ],
            "location": {
                "continent": "North America",
                "country": "United States",
                "country_code": "US",
                "city": "Mountain View",
                "postal_code": "94043",
                "timezone": "America/Los_Angeles",
                "coordinates": {"latitude": 37.4056, "longitude": -122.0775},
            },
            "location_updated_at": "2023-02-20T16:08:47.237933Z",
            "autonomous_system": {
                "asn": 15169,
                "description": "GOOGLE",
                "bgp_prefix": "8.8.8.0/24",
                "name": "GOOGLE",
                "country_code": "US",
            },
            "autonomous_system_updated_at": "2023-02-20T16:08:47.237933Z",
            "operating_system": {"part": "o", "vendor": "linux", "product": "linux"},
            "dns": {
                "names": ["dns.google.com"],
                "records": {"dns.google.com": {"record_type": "A", "resolved_at": "2023-02-27T03:01:56.147559092Z"}},
                "reverse_dns": {"names": ["dns.google"], "resolved_at": "2023-02-25T13:16:34.532024359Z"},
            },
            "labels": ["open-dns"],
            "last_updated_at": "2023-02-28T23:58:55.765Z",
        },
    }
    facts = {
        "ports": [53, 443, 853],
        "services": ["DNS", "HTTPS", "UNKNOWN"],
        "software": ["cpe:2.3:a:nginx:nginx:*:*:*:*:*:*:*:*"],
        "certificates": [_CERTIFICATE],
        "names": ["dns.google", "dns.google.com"],
        "labels": ["open-dns"],
        "operating_system": "linux",
        "country": "US",
        "city": "Mountain View",
        "asn": 15169,
        "as_name": "GOOGLE",
        "network": "8.8.8.0/24",
        "last_seen": "2023-02-28T23:58:55.765Z",
    }
    related = [
        ("<resolves-to", "domain-name", "dns.google"),
        ("<resolves-to", "domain-name", "dns.google.com"),
        ("belongs-to", "autonomous-system", "AS15169"),
        ("related-to", "x509-sha256", _CERTIFICATE),
    ]
    unknown = Reply(200, b'{"code":200,"status":"OK","result":{"ip":"8.8.8.8","services":[],"dns":{}}}')

    def test_what_is_missing_is_left_out(self, provider):
        answer = {"result": {"ip": "8.8.8.8", "services": [{"port": 53}], "location": None, "dns": None}}
        found = self.found(provider, answer)
        assert dict(found.facts) == {"ports": [53]}
        assert not found.related

    def test_a_host_without_services_may_have_a_name(self, provider):
        answer = {"result": {"ip": "8.8.8.8", "services": [], "dns": {"reverse_dns": {"names": ["dns.google"]}}}}
        assert dict(self.found(provider, answer).facts) == {"names": ["dns.google"]}

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_asked_about(self, value):
        assert not Censys().applies(Asked("ipv4-addr", value))
