"""GreyNoise; the layout is that of https://docs.greynoise.io/reference/getcommunityip."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.greynoise import GreyNoise
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestGreyNoise(RemoteContract):
    enricher = GreyNoise
    query = Query("ipv4-addr", "71.6.135.131")
    path = "/v3/community/71.6.135.131"
    headers = {"key": SECRET, "accept": "application/json"}
    answer = {
        "ip": "71.6.135.131",
        "noise": True,
        "riot": False,
        "classification": "benign",
        "name": "Shodan.io",
        "link": "https://viz.greynoise.io/ip/71.6.135.131",
        "last_seen": "2026-09-20",
        "message": "Success",
    }
    facts = {
        "noise": True,
        "riot": False,
        "classification": "benign",
        "operator": "Shodan.io",
        "last_seen": "2026-09-20",
    }
    weights = [-0.4]
    unknown = Reply(
        404,
        b'{"ip":"71.6.135.131","noise":false,"riot":false,'
        b'"message":"IP not observed scanning the internet."}',
    )

    @pytest.mark.parametrize(
        ("noise", "riot", "classification", "weights"),
        [
            (True, False, "malicious", [0.6]),
            (True, True, "malicious", [0.6]),
            (True, False, "suspicious", [0.3]),
            (False, True, "benign", [-0.6]),
            (False, True, None, [-0.6]),
            (True, False, "unknown", []),
        ],
    )
    def test_what_it_is_counts(self, provider, noise, riot, classification, weights):
        answer = {
            "ip": "71.6.135.131",
            "noise": noise,
            "riot": riot,
            "classification": classification,
            "name": None,
        }
        assert [weight.weight for weight in self.finding(provider, answer).weights] == weights

    def test_an_unknown_scanner_has_no_operator(self, provider):
        answer = {**self.answer, "classification": "unknown", "name": "unknown"}
        assert "operator" not in self.finding(provider, answer).facts

    def test_neither_noise_nor_riot_is_unknown(self, provider):
        body = b'{"ip":"71.6.135.131","noise":false,"riot":false,"message":"IP not observed."}'
        assert self.ask(provider, Reply(body=body)).finding is None

    def test_it_asks_without_a_key_too(self):
        assert not self.enricher().request(self.query, {}).auth_headers

    @pytest.mark.parametrize("value", ["10.0.0.1", "127.0.0.1", "192.168.1.0/24"])
    def test_private_addresses_are_not_queried(self, value):
        assert not self.enricher().applies(Query("ipv4-addr", value))
