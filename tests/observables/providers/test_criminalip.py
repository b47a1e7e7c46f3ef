"""Criminal IP; the layout is that of
https://www.criminalip.io/developer/api/get-asset-ip-summary.
"""

import pytest

from services.observables.enrichment.execution.provider_call import Failed
from services.observables.providers.base import InvalidAnswer, Query
from services.observables.providers.criminalip import CriminalIP
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestCriminalIP(RemoteContract):
    enricher = CriminalIP
    query = Query("ipv4-addr", "196.188.187.85")
    path = "/asset/ip/summary"
    params = {"ip": "196.188.187.85"}
    headers = {"x-api-key": SECRET}
    answer = {
        "ip": "196.188.187.85",
        "score": {"inbound": "Critical", "outbound": "Moderate"},
        "country": "Ethiopia",
        "country_code": "et",
        "region": "Addis Ababa",
        "city": "Addis Ababa",
        "isp": "Ethio Telecom",
        "org_name": "Ethiopian Telecommunication Corporation",
        "as_no": 24757,
        "postal_code": "",
        "latitude": 9.025,
        "longitude": 38.7469,
        "status": 200,
    }
    facts = {
        "inbound": "Critical",
        "outbound": "Moderate",
        "country": "ET",
        "region": "Addis Ababa",
        "city": "Addis Ababa",
        "isp": "Ethio Telecom",
        "organisation": "Ethiopian Telecommunication Corporation",
        "asn": "AS24757",
    }
    weights = [0.65]
    related = [("belongs-to", "autonomous-system", "AS24757")]
    unknown = Reply(200, b'{"status": 404, "message": "not found"}')

    @pytest.mark.parametrize(
        ("score", "facts", "weights"),
        [
            (
                {"inbound": "safe", "outbound": "Dangerous"},
                {"inbound": "Safe", "outbound": "Dangerous"},
                [0.45],
            ),
            (
                {"inbound": "Low", "outbound": "Moderate"},
                {"inbound": "Low", "outbound": "Moderate"},
                [0.15],
            ),
            ({"inbound": 5, "outbound": 1}, {"inbound": "Critical", "outbound": "Safe"}, [0.65]),
            ({"inbound": 0, "outbound": None}, {}, []),
            (None, {}, []),
        ],
    )
    def test_scores(self, provider, score, facts, weights):
        finding = self.finding(
            provider, {"status": 200, "ip": "196.188.187.85", "score": score, "as_no": None}
        )
        assert dict(finding.facts) == facts
        assert [weight.weight for weight in finding.weights] == weights
        assert not finding.related

    @pytest.mark.parametrize("body", [b'{"status": 500, "message": "error"}', b'{"status": 200}'])
    def test_a_failure_within_a_success_is_bad(self, provider, body):
        outcome = self.ask(provider, Reply(body=body))
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, InvalidAnswer)

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not CriminalIP().applies(Query("ipv4-addr", value))
