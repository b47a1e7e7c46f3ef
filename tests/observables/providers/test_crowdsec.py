"""CrowdSec CTI; the layout is that of https://docs.crowdsec.net/u/cti_api/taxonomy/cti_object."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.crowdsec import CrowdSec
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestCrowdSec(RemoteContract):
    enricher = CrowdSec
    query = Query("ipv4-addr", "185.7.214.104")
    path = "/smoke/185.7.214.104"
    headers = {"accept": "application/json", "x-api-key": SECRET}
    answer = {
        "ip_range_score": 5,
        "ip": "185.7.214.104",
        "ip_range": "185.7.214.0/24",
        "as_name": "Delis LLC",
        "reputation": "malicious",
        "ip_range_24": "185.7.214.0/24",
        "ip_range_24_reputation": "suspicious",
        "ip_range_24_score": 3,
        "background_noise_score": 10,
        "background_noise": "high",
        "confidence": "high",
        "as_num": 211252,
        "location": {"country": "FR", "city": None, "latitude": 48.8582, "longitude": 2.3387},
        "reverse_dns": "host.delis.one",
        "behaviors": [
            {
                "name": "http:scan",
                "label": "HTTP Scan",
                "description": "IP has been reported for scanning.",
            },
            {
                "name": "ssh:bruteforce",
                "label": "SSH Bruteforce",
                "description": "IP has been reported for guessing.",
            },
        ],
        "history": {
            "first_seen": "2025-05-28T16:00:00+00:00",
            "last_seen": "2026-10-15T05:45:00+00:00",
            "full_age": 507,
            "days_age": 505,
        },
        "classifications": {
            "false_positives": [],
            "classifications": [
                {"name": "proxy:tor", "label": "TOR exit node", "description": "An exit of TOR."}
            ],
        },
        "attack_details": [
            {
                "name": "crowdsecurity/ssh-bf",
                "label": "SSH Bruteforce",
                "description": "Detect",
                "references": [],
            }
        ],
        "target_countries": {"AU": 2, "DE": 79},
        "mitre_techniques": [
            {"name": "T1110", "label": "Brute Force", "description": "Adversaries may guess."}
        ],
        "cves": ["CVE-2021-44228"],
        "scores": {
            "overall": {"aggressiveness": 5, "threat": 2, "trust": 4, "anomaly": 0, "total": 4},
            "last_day": {"aggressiveness": 0, "threat": 0, "trust": 0, "anomaly": 0, "total": 0},
        },
        "references": [],
    }
    facts = {
        "reputation": "malicious",
        "confidence": "high",
        "score": 4,
        "background_noise": "high",
        "behaviors": ["HTTP Scan", "SSH Bruteforce"],
        "attacks": ["crowdsecurity/ssh-bf"],
        "techniques": ["T1110"],
        "vulnerabilities": ["CVE-2021-44228"],
        "classifications": ["TOR exit node"],
        "country": "FR",
        "asn": "AS211252",
        "as_name": "Delis LLC",
        "network": "185.7.214.0/24",
        "hostname": "host.delis.one",
        "first_seen": "2025-05-28T16:00:00+00:00",
        "last_seen": "2026-10-15T05:45:00+00:00",
    }
    weights = [0.85]
    related = [
        ("related-to", "domain-name", "host.delis.one"),
        ("belongs-to", "autonomous-system", "AS211252"),
        ("related-to", "vulnerability", "CVE-2021-44228"),
    ]
    unknown = Reply(404, b'{"message":"IP address information not found"}')

    @pytest.mark.parametrize(
        ("fields", "weights"),
        [
            ({"reputation": "malicious", "confidence": "low"}, [0.5]),
            ({"reputation": "malicious", "confidence": "none"}, [0.3]),
            ({"reputation": "malicious"}, [0.5]),
            ({"reputation": "suspicious"}, [0.4]),
            ({"reputation": "known"}, []),
            ({"reputation": "unknown"}, []),
            ({"reputation": "benign"}, [-0.5]),
            ({"reputation": "safe"}, [-0.7]),
            ({}, []),
        ],
    )
    def test_reputations(self, provider, fields, weights):
        finding = self.finding(
            provider, {"ip": "185.7.214.104", "as_num": 0, "cves": None, "scores": None} | fields
        )
        assert [weight.weight for weight in finding.weights] == weights
        assert not finding.related

    @pytest.mark.parametrize(
        ("reputation", "weights"), [("suspicious", [0.4, -0.5]), ("safe", [-0.7])]
    )
    def test_reports_that_are_likely_false(self, provider, reputation, weights):
        classes = {"false_positives": [{"name": "seo:crawler"}], "classifications": None}
        answer = {"ip": "185.7.214.104", "reputation": reputation, "classifications": classes}
        finding = self.finding(provider, answer)
        assert finding.facts["false_positives"] == ["seo:crawler"]
        assert [weight.weight for weight in finding.weights] == weights
        assert all(weight.reason.endswith(".") for weight in finding.weights)

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not CrowdSec().applies(Query("ipv4-addr", value))
