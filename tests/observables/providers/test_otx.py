"""OTX; the layout is that of
https://otx.alienvault.com/assets/static/external_api.html#api_v1_indicators.
"""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.otx import OTX
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


def pulse(name, **more):
    empty = {
        "adversary": "",
        "tags": [],
        "malware_families": [],
        "attack_ids": [],
        "references": [],
    }
    dates = {"created": "2023-03-27T16:17:36.094000", "modified": "2023-05-13T00:18:43.306000"}
    return {
        "id": "5fd402cf91a35497c2af3da8",
        "name": name,
        "TLP": "green",
        **dates,
        **empty,
        **more,
    }


def answer(*pulses, **more):
    related = {"alienvault": {"adversary": [], "malware_families": [], "industries": []}}
    info = {"count": len(pulses), "pulses": list(pulses), "references": [], "related": related}
    return {
        "indicator": "103.205.14.176",
        "type": "IPv4",
        "pulse_info": info,
        "false_positive": [],
        **more,
    }


class TestOTX(RemoteContract):
    enricher = OTX
    query = Query("ipv4-addr", "103.205.14.176")
    path = "/api/v1/indicators/IPv4/103.205.14.176/general"
    headers = {"x-otx-api-key": SECRET, "accept": "application/json"}
    answer = answer(
        pulse("Hosts seen by a honeypot", tags=["ssh", "scanner"]),
        pulse(
            "Greenbug registers new domains",
            modified="2023-06-01T10:00:00.000000",
            adversary="Greenbug",
            tags=["greenbug", "ssh"],
            malware_families=[{"id": "Mirai", "display_name": "Mirai", "target": None}, "Gafgyt"],
            attack_ids=[
                {"id": "T1110", "name": "Brute Force", "display_name": "T1110 - Brute Force"},
                "T1046",
            ],
        ),
        reputation=0,
        validation=[],
        asn="AS134859 IMPERIAL TECH SERVICES",
        country_code="IN",
        country_name="India",
        sections=["general", "geo", "reputation"],
    )
    facts = {
        "pulses": 2,
        "pulse_names": ["Hosts seen by a honeypot", "Greenbug registers new domains"],
        "adversaries": ["Greenbug"],
        "malware": ["Mirai", "Gafgyt"],
        "techniques": ["T1110", "T1046"],
        "tags": ["ssh", "scanner", "greenbug"],
        "last_pulse": "2023-06-01T10:00:00.000000",
        "asn": "AS134859",
        "as_name": "IMPERIAL TECH SERVICES",
        "country": "IN",
    }
    weights = [0.25]
    related = [("belongs-to", "autonomous-system", "AS134859")]
    unknown = Reply(
        body=b'{"indicator": "x", "pulse_info": {"count": 0, "pulses": []}, "validation": []}'
    )

    @pytest.mark.parametrize(
        "good",
        [
            {
                "validation": [
                    {
                        "source": "whitelist",
                        "message": "Whitelisted domain",
                        "name": "Whitelisted domain",
                    }
                ]
            },
            {"false_positive": [{"assessment": "accepted", "report_date": "2020-01-01T00:00:00"}]},
        ],
    )
    def test_what_is_known_to_be_harmless_loses_score_whatever_pulses_say(self, provider, good):
        finding = self.finding(provider, answer(pulse("All of the Internet"), **good))
        assert [weight.weight for weight in finding.weights] == [-0.4]
        assert finding.facts["harmless"] in (
            ["Whitelisted domain"],
            ["accepted as a false positive"],
        )

    def test_being_popular_is_not_being_harmless(self, provider):
        popular = [
            {"source": "akamai", "message": "Akamai rank: #4", "name": "Akamai Popular Domain"}
        ]
        rejected = [{"assessment": "rejected"}]
        finding = self.finding(
            provider, answer(pulse("One"), validation=popular, false_positive=rejected)
        )
        assert [weight.weight for weight in finding.weights] == pytest.approx([0.2])

    def test_many_pulses_are_still_a_weak_claim(self, provider):
        answer_ = {
            "pulse_info": {"count": 50, "pulses": []},
            "asn": None,
            "validation": None,
            "false_positive": None,
        }
        finding = self.finding(provider, answer_)
        assert [weight.weight for weight in finding.weights] == [0.5]
        assert dict(finding.facts) == {"pulses": 50}

    def test_without_pulses_the_network_is_a_fact(self, provider):
        finding = self.finding(provider, answer(asn="AS15169 google", country_code="US"))
        assert dict(finding.facts) == {"asn": "AS15169", "as_name": "google", "country": "US"}
        assert finding.weights == ()

    @pytest.mark.parametrize(
        ("type_", "value", "path"),
        [
            ("ipv6-addr", "2001:db8::1", "IPv6/2001%3Adb8%3A%3A1"),
            ("domain-name", "example.com", "domain/example.com"),
            ("domain-name", "example.co.uk", "domain/example.co.uk"),
            ("domain-name", "www.example.com", "hostname/www.example.com"),
            ("domain-name", "www.example.co.uk", "hostname/www.example.co.uk"),
            ("url", "http://example.com/a", "url/http%3A%2F%2Fexample.com%2Fa"),
            (
                "file-md5",
                "44d88612fea8a8f36de82e1278abb02f",
                "file/44d88612fea8a8f36de82e1278abb02f",
            ),
            ("vulnerability", "CVE-2021-44228", "cve/CVE-2021-44228"),
        ],
    )
    def test_each_type_has_its_path(self, type_, value, path):
        request = self.enricher().request(Query(type_, value), self.key())
        assert request.path == f"/api/v1/indicators/{path}/general"

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not OTX().applies(Query("ipv4-addr", value))
