"""FIRST EPSS; the layout is that of https://api.first.org/epss/."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.epss import EPSS
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply


def answer(*scores):
    frame = {
        "status": "OK",
        "status-code": 200,
        "version": "1.0",
        "access": "public",
        "total": len(scores),
    }
    return {**frame, "offset": 0, "limit": 100, "data": list(scores)}


class TestEPSS(RemoteContract):
    enricher = EPSS
    query = Query("vulnerability", "CVE-2022-27225")
    path = "/data/v1/epss"
    params = {"cve": "CVE-2022-27225"}
    answer = answer(
        {
            "cve": "CVE-2022-27225",
            "epss": "0.001580000",
            "percentile": "0.370800000",
            "date": "2026-09-21",
        }
    )
    facts = {"epss": 0.00158, "percentile": 0.3708, "scored_on": "2026-09-21"}
    unknown = Reply(
        body=b'{"status":"OK","status-code":200,"version":"1.0","access":"public",'
        b'"total":0,"offset":0,"limit":100,'
        b'"data":[]}'
    )

    @pytest.mark.parametrize(
        ("epss", "weights"), [("0.25", [0.25]), ("0.97", [0.9]), ("0.0999", [])]
    )
    def test_likely_exploitation_is_a_claim(self, provider, epss, weights):
        finding = self.finding(
            provider, answer({"cve": "CVE-2022-27225", "epss": epss, "percentile": "0.9"})
        )
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)

    def test_another_vulnerability_is_none(self, provider):
        body = b'{"data":[{"cve":"CVE-2022-27223","epss":"0.5","percentile":"0.9"}]}'
        assert self.ask(provider, Reply(body=body)).finding is None
