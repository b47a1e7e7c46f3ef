"""Team Cymru's Malware Hash Registry; the record is that of https://hash.cymru.com/docs_dns.

The layout around it is that of https://developers.google.com/speed/public-dns/docs/doh/json.
"""

import json

import pytest

from services.observables.enrichment.execution.provider_call import Failed
from services.observables.providers.base import InvalidAnswer, Query
from services.observables.providers.team_cymru_mhr import TeamCymruMHR
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

SHA256 = "9b573bc2555d8d35e4a2e927cc14217eb112f0725cb4ebff4878976a229fde45"


def answer_with(text):
    record = {
        "name": "8a62d103168974fba9c61edab336038c.hash.cymru.com.",
        "type": 16,
        "TTL": 21600,
        "data": text,
    }
    return {
        "Status": 0,
        "TC": False,
        "RD": True,
        "RA": True,
        "AD": False,
        "CD": False,
        "Answer": [record],
    }


class TestTeamCymruMHR(RemoteContract):
    enricher = TeamCymruMHR
    query = Query("file-md5", "8a62d103168974fba9c61edab336038c")
    path = "/resolve"
    params = {"name": "8a62d103168974fba9c61edab336038c.hash.cymru.com", "type": "TXT"}
    answer = answer_with('"1611956489 28"')
    facts = {"detection_rate": 28, "last_seen": "2021-01-29T21:41:29+00:00"}
    weights = [0.58]
    unknown = Reply(200, b'{"Status":3,"TC":false,"RD":true,"RA":true,"AD":false,"CD":false}')

    def test_many_engines_are_strong_evidence_and_no_proof(self, provider):
        finding = self.finding(provider, answer_with("1611956489 95"))
        assert [weight.weight for weight in finding.weights] == [0.9]
        assert finding.facts["detection_rate"] == 95

    def test_no_engine_is_no_claim(self, provider):
        finding = self.finding(provider, answer_with("1611956489 0"))
        assert finding.weights == ()
        assert finding.facts["detection_rate"] == 0

    def test_a_sha1_is_one_label(self):
        query = Query("file-sha1", "e1112134b6dcc8bed54e0e34d8ac272795e73d74")
        request = TeamCymruMHR().request(query, {})
        assert request.params["name"] == "e1112134b6dcc8bed54e0e34d8ac272795e73d74.hash.cymru.com"

    def test_a_sha256_is_two_labels(self):
        request = TeamCymruMHR().request(Query("file-sha256", SHA256), {})
        assert request.params["name"] == (
            "9b573bc2555d8d35e4a2e927cc14217e.b112f0725cb4ebff4878976a229fde45.hash.cymru.com"
        )

    @pytest.mark.parametrize("text", ["1611956489 NO_DATA", "v=spf1 -all", ""])
    def test_another_text_is_no_detection(self, provider, text):
        outcome = self.ask(provider, Reply(200, json.dumps(answer_with(text)).encode()))
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, InvalidAnswer)

    def test_their_name_servers_failing_is_not_unknown(self, provider):
        assert isinstance(self.ask(provider, Reply(200, b'{"Status":2}')), Failed)
