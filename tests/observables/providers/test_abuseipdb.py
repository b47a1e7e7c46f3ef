"""AbuseIPDB; the layout is that of https://docs.abuseipdb.com/#check-endpoint."""

import pytest

from services.observables.providers.abuseipdb import AbuseIPDB
from services.observables.providers.base import Query
from tests.observables.providers.contract import SECRET, RemoteContract


class TestAbuseIPDB(RemoteContract):
    enricher = AbuseIPDB
    query = Query("ipv4-addr", "118.25.6.39")
    path = "/check"
    params = {"ipAddress": "118.25.6.39", "maxAgeInDays": "90"}
    headers = {"key": SECRET, "accept": "application/json"}
    answer = {
        "data": {
            "ipAddress": "118.25.6.39",
            "isPublic": True,
            "ipVersion": 4,
            "isWhitelisted": False,
            "abuseConfidenceScore": 80,
            "countryCode": "CN",
            "usageType": "Data Center/Web Hosting/Transit",
            "isp": "Tencent Cloud Computing (Beijing) Co. Ltd",
            "domain": "tencent.com",
            "hostnames": [],
            "isTor": False,
            "totalReports": 22,
            "numDistinctUsers": 9,
            "lastReportedAt": "2026-09-20T20:55:14+00:00",
        }
    }
    facts = {
        "confidence": 80,
        "reports": 22,
        "reporters": 9,
        "country": "CN",
        "usage": "Data Center/Web Hosting/Transit",
        "isp": "Tencent Cloud Computing (Beijing) Co. Ltd",
        "domain": "tencent.com",
        "tor": False,
        "allow_listed": False,
        "last_reported": "2026-09-20T20:55:14+00:00",
    }
    weights = [0.4]
    related = [("related-to", "domain-name", "tencent.com")]

    def test_a_service_on_its_list_of_the_well_behaved_loses_score(self, provider):
        answer = {"data": {"abuseConfidenceScore": 0, "totalReports": 3, "isWhitelisted": True}}
        assert [weight.weight for weight in self.finding(provider, answer).weights] == [-0.5]

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not AbuseIPDB().applies(Query("ipv4-addr", value))
