"""Pulsedive; the layout is that of https://docs.pulsedive.com/api/indicator/overview."""

import pytest

from services.observables.enrichment.execution.provider_call import Answered, Failed
from services.observables.providers.base import InvalidAnswer, Query
from services.observables.providers.pulsedive import Pulsedive
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestPulsedive(RemoteContract):
    enricher = Pulsedive
    query = Query("domain-name", "parkingcrew.net")
    path = "/indicator.php"
    params = {"indicator": "parkingcrew.net", "key": SECRET}
    answer = {
        "iid": 118,
        "type": "domain",
        "indicator": "parkingcrew.net",
        "risk": "medium",
        "risk_recommended": "medium",
        "manualrisk": 0,
        "retired": 0,
        "stamp_added": "2017-09-27 18:11:58",
        "stamp_updated": "2026-03-31 15:12:55",
        "stamp_seen": "2026-03-31 14:47:36",
        "stamp_probed": "2026-03-31 14:47:39",
        "stamp_retired": None,
        "recent": 1,
        "submissions": 3,
        "umbrella_rank": 11032,
        "umbrella_domain": "parkingcrew.net",
        "riskfactors": [
            {"rfid": 60, "description": "found in threat feeds", "risk": "medium"},
            {"rfid": 32, "description": "registration recently updated", "risk": "medium"},
        ],
        "threats": [
            {
                "tid": 9,
                "name": "Kraken Botnet",
                "category": "malware",
                "risk": "unknown",
                "stamp_linked": "2019-01-01 04:01:30",
            }
        ],
        "feeds": [
            {
                "fid": 13,
                "name": "BBcan177 DNSBL",
                "category": "general",
                "organization": "BBcan177",
                "pricing": "free",
                "stamp_linked": "2020-02-10 07:41:05",
            }
        ],
        "comments": [],
        "attributes": {
            "port": ["443", "53"],
            "protocol": [["DNS", "HTTPS"]],
            "technology": ["Nginx"],
        },
        "properties": {
            "dns": {
                "A": "185.53.179.29",
                "AAAA": ["2001:db8::1"],
                "MX": "62.116.130.8",
                "TXT": "v=spf1 -all",
            },
            "geo": {"city": "Munich", "country": "Germany", "countrycode": "DE", "region": "DE"},
            "http": {"++code": "200", "Server": "nginx"},
        },
    }
    facts = {
        "risk": "medium",
        "retired": False,
        "risk_factors": ["found in threat feeds", "registration recently updated"],
        "threats": ["Kraken Botnet"],
        "feeds": ["BBcan177 DNSBL"],
        "ports": [443, 53],
        "protocols": ["DNS", "HTTPS"],
        "technologies": ["Nginx"],
        "country": "DE",
        "umbrella_rank": 11032,
        "added": "2017-09-27 18:11:58",
        "last_seen": "2026-03-31 14:47:36",
    }
    weights = [0.35]
    related = [
        ("resolves-to", "ipv4-addr", "185.53.179.29"),
        ("resolves-to", "ipv6-addr", "2001:db8::1"),
    ]
    unknown = Reply(404, b'{"error":"Indicator not found."}')

    def test_without_a_key_it_sends_none(self):
        assert Pulsedive().request(self.query, {}).params == {"indicator": "parkingcrew.net"}

    @pytest.mark.parametrize(
        ("risk", "retired", "weights"),
        [
            ("critical", 0, [0.8]),
            ("high", 0, [0.65]),
            ("high", "No recent activity", [0.325]),
            ("high", 1, [0.325]),
            ("high", "0", [0.65]),
            ("low", 0, []),
            ("none", 0, []),
            ("unknown", None, []),
        ],
    )
    def test_risks(self, provider, risk, retired, weights):
        # It writes empty objects as lists.
        answer = {
            "indicator": "1.2.3.4",
            "risk": risk,
            "retired": retired,
            "attributes": [],
            "properties": [],
        }
        finding = self.finding(provider, answer)
        assert dict(finding.facts) == {"risk": risk, "retired": retired not in {None, 0, "0"}}
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)
        assert not finding.related

    def test_properties_without_dns(self, provider):
        answer = {
            "indicator": "parkingcrew.net",
            "risk": "none",
            "properties": {"dns": [], "geo": []},
        }
        assert not self.finding(provider, answer).related

    def test_an_address_resolves_to_nothing(self):
        finding = Pulsedive().read(Query("ipv4-addr", "185.53.179.29"), self.encoded())
        assert not finding.related

    def test_the_unknown_may_also_be_a_success(self, provider):
        outcome = self.ask(provider, Reply(body=b'{"error":"Indicator not found."}'))
        assert isinstance(outcome, Answered)
        assert outcome.finding is None

    @pytest.mark.parametrize("body", [b'{"error":"Invalid API key."}', b'{"iid": 1}'])
    def test_other_answers_are_bad(self, provider, body):
        outcome = self.ask(provider, Reply(body=body))
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, InvalidAnswer)

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not Pulsedive().applies(Query("ipv4-addr", value))
