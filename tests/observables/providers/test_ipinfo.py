"""IPinfo; the layout is that of https://ipinfo.io/developers/responses."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.ipinfo import IPinfo
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestIPinfo(RemoteContract):
    enricher = IPinfo
    query = Query("ipv4-addr", "8.8.8.8")
    path = "/8.8.8.8/json"
    headers = {"accept": "application/json", "authorization": f"Bearer {SECRET}"}
    answer = {
        "ip": "8.8.8.8",
        "hostname": "dns.google",
        "anycast": True,
        "city": "Mountain View",
        "region": "California",
        "country": "US",
        "loc": "37.4056,-122.0775",
        "org": "AS15169 Google LLC",
        "postal": "94043",
        "timezone": "America/Los_Angeles",
    }
    facts = {
        "hostname": "dns.google",
        "country": "US",
        "region": "California",
        "city": "Mountain View",
        "location": "37.4056,-122.0775",
        "timezone": "America/Los_Angeles",
        "asn": "AS15169",
        "organisation": "Google LLC",
        "anycast": True,
    }
    related = [
        ("related-to", "domain-name", "dns.google"),
        ("belongs-to", "autonomous-system", "AS15169"),
    ]
    unknown = Reply(200, b'{"ip": "8.8.8.8", "bogon": true}')

    def test_an_organisation_without_a_number(self, provider):
        finding = self.finding(
            provider, {"ip": "8.8.8.8", "org": "ASPEN Networks", "hostname": None}
        )
        assert dict(finding.facts) == {"organisation": "ASPEN Networks"}
        assert not finding.related

    def test_ipv6_is_quoted(self):
        request = IPinfo().request(Query("ipv6-addr", "2001:4860:4860::8888"), {"token": SECRET})
        assert request.path == "/2001%3A4860%3A4860%3A%3A8888/json"

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not IPinfo().applies(Query("ipv4-addr", value))
